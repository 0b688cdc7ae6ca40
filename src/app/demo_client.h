// The demo's visitors: a handful of threads that send requests over kept connections and note what
// comes back.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "app/demo_farm.h"

namespace shunt::app {

struct DemoAnswer {
  bool fine = false;  // 200, and complete.
  bool cache_hit = false;
  std::string server;  // That answered.
  std::chrono::nanoseconds latency{0};
};

// Sends `requests` in their order, several at a time, to Shunt on 127.0.0.1:`port`. The answers are
// in the same order. Blocks until the last.
std::vector<DemoAnswer> send_demo_requests(uint16_t port, std::span<const DemoRequest> requests);

}  // namespace shunt::app
