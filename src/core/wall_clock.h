// The time of day, for log lines and the Date of answers only; durations and deadlines use the
// loop's monotonic Instant.
#pragma once

#include <chrono>
#include <cstdint>

namespace shunt {

// Milliseconds since the Unix epoch.
inline int64_t wall_clock_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace shunt
