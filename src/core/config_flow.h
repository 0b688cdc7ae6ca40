// How a pool carries load and failures: the part of the configuration about queues, retries,
// ejection and circuits. Plain values, as in config.h, which includes this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/instant.h"

namespace shunt::config {

// Where requests wait while every server of the pool has its max_connections.
struct Queue {
  uint32_t size = 1024;                         // Requests of all workers; 0: none waits.
  Duration timeout = std::chrono::seconds(10);  // The longest wait.
  Duration target{};                            // Of CoDel (RFC 8289): waits should be shorter…
  Duration interval =
      std::chrono::milliseconds(100);  // …at least once in this time. 0 target: off.

  friend bool operator==(const Queue&, const Queue&) = default;
};

// The classes of failures after which a request is tried again, where that is safe.
struct RetryOn {
  bool connect = true;             // No connection: nothing has been sent.
  bool reset = false;              // The server closed or reset the connection before it answered.
  bool timeout = false;            // No answer within response_timeout.
  bool truncated = false;          // Short answers are held back until they are complete, for this.
  bool invalid = false;            // The answer's head is not HTTP.
  std::vector<uint16_t> statuses;  // 400 to 599.

  bool has(uint16_t status) const { return std::ranges::find(statuses, status) != statuses.end(); }
  friend bool operator==(const RetryOn&, const RetryOn&) = default;
};

// How many of a worker's requests to the pool may be retries at a time.
struct RetryBudget {
  double share = 0.2;   // Of those in flight…
  uint32_t floor = 10;  // …but always so many.

  friend bool operator==(const RetryBudget&, const RetryBudget&) = default;
};

// When servers are left out for their failures.
struct Ejection {
  uint32_t failures = 0;                        // Consecutive ones; 0: never.
  Duration time = std::chrono::seconds(10);     // For how long the first time; doubles each time…
  Duration time_max = std::chrono::minutes(5);  // …up to this.
  double max_share = 0.5;                       // Of the pool's servers may be out, rounded down.

  friend bool operator==(const Ejection&, const Ejection&) = default;
};

// A second request to another server for one that takes long; the first answer wins.
struct Hedge {
  double percentile = 0;  // Longer than so many percent of the pool's requests take; 0: never.
  Duration delay_min = std::chrono::milliseconds(5);  // But not earlier than this.

  friend bool operator==(const Hedge&, const Hedge&) = default;
};

// Levels of load of one server at which it gets nothing for a while; 0: no such level.
struct Breaker {
  uint32_t requests = 0;  // In flight.
  uint32_t pending = 0;   // Connections being established.
  uint32_t retries = 0;   // Requests in flight that other servers have failed.
  Duration time = std::chrono::seconds(5);

  friend bool operator==(const Breaker&, const Breaker&) = default;
};

}  // namespace shunt::config
