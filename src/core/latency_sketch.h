// A sketch of recent latencies that answers "which one do so many percent stay below": a histogram
// with eight buckets per doubling (an answer is at most an eighth too high), which halves its
// counts every few thousand values, so that the present counts more than the past. No allocation;
// one thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "core/instant.h"

namespace shunt {

class LatencySketch {
 public:
  void add(Duration latency) {
    ++buckets_[bucket_of(latency)];
    if (++count_ >= kCountMax) halve();
    if (stale_ < kStaleMax) ++stale_;
  }

  // Values that count now; old ones fade.
  uint32_t count() const { return count_; }

  // The upper end of the bucket that `share` (0 to 1) of the values do not exceed; 0 without any.
  // Worked out anew after every few values only.
  Duration quantile(double share) {
    if (stale_ < kStaleMax && share == cached_share_) return cached_;
    stale_ = 0;
    cached_share_ = share;
    cached_ = look_up(share);
    return cached_;
  }

 private:
  static constexpr uint32_t kCountMax = 4096;
  static constexpr uint32_t kStaleMax = 64;
  static constexpr int kStepBits = 3;
  static constexpr int kShift = 12;  // Of nanoseconds: steps of about 4 us at the low end.
  static constexpr size_t kBuckets = 256;

  static size_t bucket_of(Duration latency) {
    const auto ticks = static_cast<uint64_t>(std::max<int64_t>(latency.count(), 0)) >> kShift;
    if (ticks < (1u << kStepBits)) return ticks;
    const int shift = static_cast<int>(std::bit_width(ticks)) - 1 - kStepBits;
    const size_t step = (ticks >> shift) & ((1u << kStepBits) - 1);
    const size_t bucket = (static_cast<size_t>(shift + 1) << kStepBits) + step;
    return std::min(bucket, kBuckets - 1);
  }

  // The first latency of the bucket behind.
  static Duration end_of(size_t bucket) {
    constexpr size_t kSteps = 1u << kStepBits;
    const size_t next = bucket + 1;
    const size_t ticks = next < 2 * kSteps ? next : (kSteps + next % kSteps) << (next / kSteps - 1);
    return Duration(static_cast<int64_t>(ticks) << kShift);
  }

  Duration look_up(double share) const {
    const double wanted = share * count_;
    uint32_t seen = 0;
    for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
      seen += buckets_[bucket];
      if (seen > 0 && seen >= wanted) return end_of(bucket);
    }
    return Duration{0};
  }

  void halve() {
    count_ = 0;
    for (uint32_t& bucket : buckets_) count_ += bucket /= 2;
  }

  std::array<uint32_t, kBuckets> buckets_{};
  uint32_t count_ = 0;
  uint32_t stale_ = kStaleMax;  // Values since the last look.
  double cached_share_ = -1;
  Duration cached_{};
};

}  // namespace shunt
