// How many of something each key has, for keys that clients choose, in a table of fixed size that
// all workers share without a lock: connections per source. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace shunt {

class KeyCounts {
 public:
  // Where a key is counted; to give back.
  using Ticket = uint32_t;
  static constexpr Ticket kRefused = UINT32_MAX;
  // The table has no room for another key at this place: counted nowhere, nothing to give back.
  static constexpr Ticket kUncounted = UINT32_MAX - 1;

  static constexpr uint32_t kMost = (1u << 20) - 1;

  // Room for `entries` counts that are not 0, and some more. `secret` keeps clients from aiming at
  // one set.
  KeyCounts(uint32_t entries, uint64_t secret);

  // One more for `key`, unless it has `most` (at most kMost) already: then kRefused.
  Ticket take(uint64_t key, uint32_t most);
  void give_back(Ticket ticket);

 private:
  static constexpr size_t kWays = 8;
  // One word each, so that key and count change together: 44 bits of the hashed key above 20 bits
  // of count. A word whose count is 0 is free.
  struct alignas(64) Set {
    std::array<std::atomic<uint64_t>, kWays> words{};
  };

  const uint64_t secret_;
  std::vector<Set> sets_;  // A power of two.
};

}  // namespace shunt
