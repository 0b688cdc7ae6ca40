// The memory of lblc and lblcr: which server (or servers) a key went to. A bounded hash table with
// IPVS's collection of stale entries, driven by the time of the flows instead of a timer. Owned by
// one scheduler, under its set's lock.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/instant.h"

namespace shunt::sched {

template <class Value>
class LocalityTable {
 public:
  static constexpr Duration kExpiration = std::chrono::hours(24);  // Of an entry, at a full check.
  static constexpr Duration kIdleLeast =
      std::chrono::minutes(6);  // Of an entry, at a check for space.
  static constexpr Duration kCheckInterval = std::chrono::minutes(1);
  static constexpr uint32_t kFullCheckEvery = 30;     // Checks without lack of space.
  static constexpr uint32_t kSizeWanted = 16 * 1024;  // More are collected…
  static constexpr uint32_t kSizeMax =
      kSizeWanted * 3 / 2;  // …and from here on not even remembered.

  // `seed`: keys come from clients at layer 7, so they must not be able to aim at one chain.
  explicit LocalityTable(uint64_t seed) : multiplier_(mix(seed) | 1) { chains_.fill(kNone); }

  // The value of `key`, now used; null if it is not known. Good until the next insert or collect.
  Value* find(uint64_t key, Instant now) {
    for (uint32_t index = chains_[chain_of(key)]; index != kNone; index = entries_[index].next) {
      Entry& entry = entries_[index];
      if (entry.key != key) continue;
      entry.last_use = now;
      return &entry.value;
    }
    return nullptr;
  }

  // A value for a key that find() did not know; null when the table is full. It may be a used one:
  // assign all of it.
  Value* insert(uint64_t key, Instant now) {
    if (size_ == kSizeMax) return nullptr;
    uint32_t index = free_;
    if (index != kNone) {
      free_ = entries_[index].next;
    } else {
      index = static_cast<uint32_t>(entries_.size());
      entries_.emplace_back();
    }
    Entry& entry = entries_[index];
    entry.key = key;
    entry.last_use = now;
    entry.used = true;
    entry.next = std::exchange(chains_[chain_of(key)], index);
    ++size_;
    return &entry.value;
  }

  // Does the checks that are due. After a long pause whole cycles of them are left out: entries
  // only get staler, so the last cycle drops what the others would have dropped.
  void collect(Instant now) {
    constexpr Duration kCycle = kCheckInterval * kFullCheckEvery;
    if (!next_check_) next_check_ = now + kCheckInterval;
    const auto missed_cycles = (now - *next_check_) / kCycle;
    if (missed_cycles > 1) *next_check_ += (missed_cycles - 1) * kCycle;
    for (; *next_check_ <= now; *next_check_ += kCheckInterval) check(*next_check_);
  }

  uint32_t size() const { return size_; }

  template <class Predicate>
  bool any_of(Predicate predicate) const {
    return std::ranges::any_of(
        entries_, [&](const Entry& entry) { return entry.used && predicate(entry.value); });
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr unsigned kChainBits = 10;
  static constexpr uint32_t kChains = 1u << kChainBits;

  struct Entry {
    uint64_t key = 0;
    Instant last_use{};
    uint32_t next = kNone;  // In its chain or in the free list.
    bool used = false;
    Value value{};
  };

  static uint64_t mix(uint64_t seed) {
    seed = (seed ^ (seed >> 33)) * 0xff51afd7ed558ccdu;
    return seed ^ (seed >> 29);
  }

  // Multiply-shift: for an unknown odd multiplier no two keys are likelier to meet than by chance.
  uint32_t chain_of(uint64_t key) const {
    return static_cast<uint32_t>((key * multiplier_) >> (64 - kChainBits));
  }

  void check(Instant at) {
    if (checks_ % kFullCheckEvery == 0) {
      sweep(at - kExpiration, INT64_MAX);
      checks_ = 1;
    } else if (size_ <= kSizeWanted) {
      ++checks_;
    } else {
      const int64_t excess = size_ - kSizeWanted;
      sweep(at - kIdleLeast, std::min<int64_t>(excess * 4 / 3, kSizeWanted / 2));
    }
  }

  // Drops entries not used since `limit`, chain by chain from where the last sweep ended, until
  // `goal` are gone.
  void sweep(Instant limit, int64_t goal) {
    for (uint32_t i = 0; i < kChains && goal > 0; ++i) {
      rover_ = (rover_ + 1) % kChains;
      uint32_t* link = &chains_[rover_];
      while (*link != kNone) {
        const uint32_t index = *link;
        Entry& entry = entries_[index];
        if (entry.last_use > limit) {
          link = &entry.next;
          continue;
        }
        *link = entry.next;
        entry.used = false;
        entry.next = std::exchange(free_, index);
        --size_;
        --goal;
      }
    }
  }

  uint64_t multiplier_;
  std::array<uint32_t, kChains> chains_;
  std::vector<Entry> entries_;
  uint32_t free_ = kNone;
  uint32_t size_ = 0;
  uint32_t rover_ = 0;
  uint32_t checks_ = 1;
  std::optional<Instant> next_check_;
};

}  // namespace shunt::sched
