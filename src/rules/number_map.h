// A map from numbers to numbers in one flat array: a look-up is one cache line where
// std::unordered_map takes three. Built once, then immutable and safe for all threads.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/assert.h"
#include "core/hash.h"

namespace shunt::rules {

class NumberMap {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Each key is added once; kNone is no key.
  explicit NumberMap(const std::vector<std::pair<uint32_t, uint32_t>>& entries = {}) {
    // At most half full, so that runs of occupied slots stay short and every look-up meets an empty
    // one.
    bits_ = static_cast<unsigned>(std::bit_width(entries.size() * 2));
    SHUNT_ASSERT(bits_ < 32);
    slots_.assign(size_t{1} << bits_, {kNone, 0});
    for (const auto& [key, value] : entries) {
      SHUNT_ASSERT(key != kNone);
      uint32_t slot = home(key);
      while (slots_[slot].first != kNone) slot = after(slot);
      slots_[slot] = {key, value};
    }
  }

  // The value of `key`, or kNone.
  uint32_t find(uint32_t key) const {
    for (uint32_t slot = home(key); slots_[slot].first != kNone; slot = after(slot)) {
      if (slots_[slot].first == key) return slots_[slot].second;
    }
    return kNone;
  }

 private:
  uint32_t home(uint32_t key) const { return bits_ == 0 ? 0 : hash_32(key, bits_); }
  uint32_t after(uint32_t slot) const {
    return (slot + 1) & static_cast<uint32_t>(slots_.size() - 1);
  }

  unsigned bits_ = 0;
  std::vector<std::pair<uint32_t, uint32_t>> slots_;  // Of {key, value}; a power of two of them.
};

}  // namespace shunt::rules
