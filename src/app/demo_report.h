// The demo's table: what each server did in the round with rr beside the round with lblcr. Pure.
#pragma once

#include <span>
#include <string>

#include "app/demo_client.h"
#include "app/demo_farm.h"

namespace shunt::app {

struct DemoRound {
  std::string scheduler;
  std::vector<DemoAnswer> answers;  // Parallel to the requests.
};

// At most 100 columns wide; `colour`: with terminal escapes for what is worth a look.
std::string demo_table(const std::vector<DemoPool>& pools, std::span<const DemoRequest> requests,
                       const DemoRound& first, const DemoRound& second, bool colour);

size_t demo_failures(const DemoRound& round);

}  // namespace shunt::app
