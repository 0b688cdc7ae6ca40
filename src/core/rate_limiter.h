// A token bucket per key, for as many keys as a fixed table holds, shared by all workers without a
// lock. Any thread.
//
// A bucket is one number: the time at which it will be full again (GCRA, the virtual scheduling
// form of the token bucket of ITU-T I.371). Taking a token moves that time ahead by one interval; a
// bucket whose time has passed is full, which is what a bucket that is not in the table is: nothing
// has to be expired. When a set of the table has no room the bucket that is closest to full is
// forgotten, so that a flood of keys cannot wash out those that are over their rate.
//
// Shared rather than per worker with a share of the rate each: a client has a connection or two,
// all of which may be with one worker, and would get a fraction of its rate there. The price is one
// compare-and-swap on a cache line that only this key's requests touch. Two words per bucket are
// not changed together: when workers claim the same slot in the same instant, a request may be
// counted to the wrong one of two keys. Nothing else can go wrong.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "core/instant.h"

namespace shunt {

class RateLimiter {
 public:
  struct Rate {
    Duration interval{};  // Between two tokens; > 0.
    uint32_t burst = 1;   // Tokens of a full bucket; >= 1. interval * burst is at most a year.
  };

  // Holds at least `keys` buckets, of 16 bytes. `secret` keeps clients from aiming at one set.
  RateLimiter(Rate rate, uint32_t keys, uint64_t secret);

  // Takes a token of `key`, if there is one. Zero: taken; else the time until there will be one.
  Duration take(uint64_t key, Instant now);

  // Buckets forgotten before they were full: the table is too small for its keys.
  uint64_t forgotten() const { return forgotten_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<uint64_t> key{0};  // Hashed; 0: free.
    std::atomic<int64_t> full{0};  // When it is full again, as Instant's count.
  };
  static constexpr size_t kWays = 8;
  struct alignas(64) Set {
    std::array<Slot, kWays> slots;
  };

  std::atomic<int64_t>& bucket_of(uint64_t hash, int64_t now);

  const int64_t interval_;
  const int64_t capacity_;  // Of a bucket, as time.
  const uint64_t secret_;
  std::vector<Set> sets_;  // A power of two.
  std::atomic<uint64_t> forgotten_{0};
};

}  // namespace shunt
