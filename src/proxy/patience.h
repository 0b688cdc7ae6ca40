// How long a client that is slow is waited for: a bucket of time. Waiting empties it, bytes that
// the client moves fill it again at the rate that is asked of it. So neither a pause that is too
// long nor a trickle that never pauses holds an exchange for ever, while one that is merely uneven
// is let be. Owned by an exchange, one for each direction. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/assert.h"
#include "core/instant.h"

namespace shunt::proxy {

class Patience {
 public:
  // `longest`: a full bucket, which is the longest pause. `rate`: bytes per second; 0: any byte
  // fills the bucket, so that only a pause ends it.
  Patience(Duration longest, uint32_t rate) : longest_(longest), rate_(rate), left_(longest) {}

  // The client is waited for from now on; settle() comes before this.
  void wait(Instant now) {
    SHUNT_ASSERT(!waiting());
    waiting_since_ = now;
    pausing_ = left_ == longest_;
  }
  bool waiting() const { return waiting_since_ != kNever; }

  // The client has moved `total` bytes so far; waiting for it, if that was under way, is over.
  void settle(Instant now, uint64_t total) {
    if (waiting()) left_ -= now - waiting_since_;
    waiting_since_ = kNever;
    if (total <= total_) return;
    left_ = std::min(longest_, left_ + worth(total - total_));
    total_ = total;
    pausing_ = false;
  }

  Duration left() const { return std::max(left_, Duration::zero()); }
  bool over() const { return left_ <= Duration::zero(); }
  // Once over(): not a byte has come for the longest pause, rather than too few for long.
  bool pausing() const { return pausing_; }

 private:
  Duration worth(uint64_t bytes) const {
    constexpr uint64_t kSecond = 1'000'000'000;
    const uint64_t plenty =
        uint64_t{rate_} * (static_cast<uint64_t>(longest_.count()) / kSecond + 1);
    if (bytes >= plenty) return longest_;
    return Duration(static_cast<int64_t>(bytes * kSecond / rate_));
  }

  Duration longest_;
  uint32_t rate_;
  Duration left_;
  uint64_t total_ = 0;
  Instant waiting_since_ = kNever;
  bool pausing_ = true;
};

}  // namespace shunt::proxy
