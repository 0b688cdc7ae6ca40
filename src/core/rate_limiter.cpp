// The table of token buckets. See the header for why it needs no lock.
#include "core/rate_limiter.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "core/assert.h"
#include "core/hash.h"

namespace shunt {
namespace {

uint64_t hash_of(uint64_t key, uint64_t secret) {
  const std::string_view bytes(reinterpret_cast<const char*>(&key), sizeof key);
  return std::max<uint64_t>(siphash_1_3(bytes, secret, ~secret), 1);  // 0 is a free slot.
}

}  // namespace

RateLimiter::RateLimiter(Rate rate, uint32_t keys, uint64_t secret)
    : interval_(rate.interval.count()),
      capacity_(rate.interval.count() * rate.burst),
      secret_(secret),
      sets_(std::bit_ceil(std::max<uint64_t>((keys + kWays - 1) / kWays, 1))) {
  SHUNT_ASSERT(interval_ > 0);
  SHUNT_ASSERT(rate.burst > 0);
  SHUNT_ASSERT(capacity_ / rate.burst == interval_);
}

Duration RateLimiter::take(uint64_t key, Instant now) {
  const int64_t time = now.time_since_epoch().count();
  std::atomic<int64_t>& bucket = bucket_of(hash_of(key, secret_), time);
  int64_t full = bucket.load(std::memory_order_relaxed);
  for (;;) {
    const int64_t next = std::max(full, time) + interval_;
    if (next - time > capacity_) return Duration(next - time - capacity_);
    if (bucket.compare_exchange_weak(full, next, std::memory_order_relaxed))
      return Duration::zero();
  }
}

std::atomic<int64_t>& RateLimiter::bucket_of(uint64_t hash, int64_t now) {
  Set& set = sets_[(hash >> 32) & (sets_.size() - 1)];
  for (;;) {
    Slot* fullest = nullptr;
    uint64_t its_key = 0;
    int64_t its_time = INT64_MAX;
    for (Slot& slot : set.slots) {
      const uint64_t key = slot.key.load(std::memory_order_relaxed);
      if (key == hash) return slot.full;
      const int64_t full = key == 0 ? INT64_MIN : slot.full.load(std::memory_order_relaxed);
      if (fullest != nullptr && full >= its_time) continue;
      fullest = &slot;
      its_key = key;
      its_time = full;
    }
    // Another worker may be faster, perhaps with this very key.
    if (!fullest->key.compare_exchange_strong(its_key, hash, std::memory_order_relaxed)) continue;
    if (its_time > now) {
      forgotten_.fetch_add(1, std::memory_order_relaxed);
      fullest->full.compare_exchange_strong(its_time, now, std::memory_order_relaxed);
    }
    return fullest->full;
  }
}

}  // namespace shunt
