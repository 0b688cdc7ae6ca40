// A token bucket over the virtual clock: so many a second, and so many at once. One worker's.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/instant.h"

namespace shunt::l4 {

class RateLimit {
 public:
  // `rate` per second, 0: no limit. `burst` >= 1.
  RateLimit(uint32_t rate, uint32_t burst, Instant start)
      : cost_(rate == 0 ? 0 : 1'000'000'000 / rate), burst_(burst), full_at_(start) {}

  // Whether one more may pass now; if so it is counted.
  bool take(Instant now) {
    if (cost_ == 0) return true;
    // full_at_ is when the bucket is full again; each one taken moves it.
    const Instant base = std::max(full_at_, now);
    if (base + Duration(cost_) - now > Duration(cost_ * burst_)) return false;
    full_at_ = base + Duration(cost_);
    return true;
  }

 private:
  int64_t cost_;  // Nanoseconds of the rate that one takes.
  int64_t burst_;
  Instant full_at_;
};

}  // namespace shunt::l4
