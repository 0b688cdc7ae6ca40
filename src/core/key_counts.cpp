// The table of counts: sets of eight words, each changed by one compare-and-swap.
#include "core/key_counts.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "core/assert.h"
#include "core/hash.h"

namespace shunt {
namespace {

constexpr unsigned kCountBits = 20;
constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;

uint64_t count_of(uint64_t word) {
  return word & kCountMask;
}

}  // namespace

// Sets that are half full on average seldom overflow.
KeyCounts::KeyCounts(uint32_t entries, uint64_t secret)
    : secret_(secret), sets_(std::bit_ceil(std::max<uint64_t>(uint64_t{entries} * 2 / kWays, 16))) {
  static_assert(kMost == kCountMask);
}

KeyCounts::Ticket KeyCounts::take(uint64_t key, uint32_t most) {
  SHUNT_ASSERT(most <= kMost);
  const std::string_view bytes(reinterpret_cast<const char*>(&key), sizeof key);
  const uint64_t hash = siphash_1_3(bytes, secret_, ~secret_);
  const uint64_t tag = hash & ~kCountMask;
  // The tag has the upper bits; the set is chosen by lower ones too, so that both together tell
  // more keys apart.
  const size_t index = (hash ^ (hash >> 40)) & (sets_.size() - 1);
  Set& set = sets_[index];
  for (;;) {
    size_t chosen = kWays;
    uint64_t word = 0;
    for (size_t i = 0; i < kWays; ++i) {
      const uint64_t each = set.words[i].load(std::memory_order_relaxed);
      const bool ours = count_of(each) > 0 && (each & ~kCountMask) == tag;
      if (!ours && (count_of(each) > 0 || chosen < kWays)) continue;
      chosen = i;
      word = each;
      if (ours) break;
    }
    if (chosen == kWays) return kUncounted;
    if (count_of(word) >= most) return kRefused;
    const uint64_t next = tag | (count_of(word) + 1);
    if (set.words[chosen].compare_exchange_weak(word, next, std::memory_order_relaxed))
      return static_cast<Ticket>(index * kWays + chosen);
  }
}

void KeyCounts::give_back(Ticket ticket) {
  SHUNT_ASSERT(ticket != kRefused);
  if (ticket == kUncounted) return;
  std::atomic<uint64_t>& word = sets_[ticket / kWays].words[ticket % kWays];
  const uint64_t before = word.fetch_sub(1, std::memory_order_relaxed);
  SHUNT_ASSERT(count_of(before) > 0);
}

}  // namespace shunt
