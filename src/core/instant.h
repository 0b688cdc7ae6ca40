// Time. Read once per loop turn by the event loop and passed on; nothing else on the data path asks
// the clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace shunt {

using Duration = std::chrono::nanoseconds;

// A point on the monotonic clock (CLOCK_MONOTONIC; the simulation starts it at 0).
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Far enough to mean "never" and still safe to add durations to.
inline constexpr Instant kNever = Instant(Duration(INT64_MAX / 2));

constexpr int64_t to_us(Duration duration) {
  return duration.count() / 1000;
}
constexpr int64_t to_ms(Duration duration) {
  return duration.count() / 1'000'000;
}

}  // namespace shunt
