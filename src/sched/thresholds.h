// The connection counts of a server and the thresholds over them (ipvsadm -x, -y). Pure; called
// under the set's lock.
#pragma once

#include <fmt/format.h>

#include <limits>

#include "core/assert.h"
#include "core/result.h"
#include "sched/load.h"
#include "sched/server_set.h"

namespace shunt::sched {

inline std::atomic<uint32_t>& counter(Server& server, Counted as) {
  return as == Counted::kActive ? server.active : server.inactive;
}

// The lock orders the writes; readers want any recent value.
inline void increase(std::atomic<uint32_t>& count) {
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

inline void decrease(std::atomic<uint32_t>& count) {
  const uint32_t before = count.load(std::memory_order_relaxed);
  SHUNT_ASSERT(before > 0);
  count.store(before - 1, std::memory_order_relaxed);
}

// The count below which an overload ends.
inline int64_t clearing_level(const ServerSpec& spec) {
  return spec.lower != 0 ? spec.lower : spec.upper - spec.upper / 4;
}

// Between the two thresholds the flag stays what it was.
inline void set_thresholds(Server& server, uint32_t upper, uint32_t lower) {
  if (server.spec.upper == upper && server.spec.lower == lower) return;
  server.spec.upper = upper;
  server.spec.lower = lower;
  const int64_t count = connection_count(server);
  if (upper == 0 || count < clearing_level(server.spec)) {
    server.overload = false;
  } else if (count >= upper) {
    server.overload = true;
  }
}

inline Result<void> check_limits(std::string_view name, int32_t weight, uint32_t upper,
                                 uint32_t lower) {
  if (weight < 0) return fail(fmt::format("server {}: weight {} is less than 0", name, weight));
  if (upper > uint32_t{std::numeric_limits<int32_t>::max()}) {
    return fail(fmt::format("server {}: upper threshold {} is greater than {}", name, upper,
                            std::numeric_limits<int32_t>::max()));
  }
  if (lower > upper) {
    return fail(fmt::format("server {}: lower threshold {} is above the upper one, {}", name, lower,
                            upper));
  }
  return {};
}

}  // namespace shunt::sched
