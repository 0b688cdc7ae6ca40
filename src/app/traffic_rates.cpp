// Moving averages in integers, to the letter of the kernel's, so that both tables show the same for
// the same traffic.
#include "app/traffic_rates.h"

#include <algorithm>

namespace shunt::app {
namespace {

constexpr size_t kFields = 5;
constexpr size_t kFirstBytes = 3;  // Bytes have a coarser scale than connections and packets.

using Fields = std::array<uint64_t, kFields>;

Fields fields_of(const TrafficSample& sample) {
  return {sample.connections, sample.packets_in, sample.packets_out, sample.bytes_in,
          sample.bytes_out};
}

// A difference of two seconds is shifted by one less than a second's.
constexpr int kCountShift = 9;
constexpr int kByteShift = 4;
constexpr int kWeightShift = 2;

}  // namespace

TrafficSample& TrafficSample::operator+=(const TrafficSample& other) {
  connections += other.connections;
  packets_in += other.packets_in;
  packets_out += other.packets_out;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  return *this;
}

void RateEstimator::tick(const TrafficSample& now) {
  const Fields before = fields_of(last_);
  const Fields after = fields_of(now);
  last_ = now;
  if (!std::ranges::equal(before, after, std::ranges::less_equal())) {
    averages_ = {};
    return;
  }
  for (size_t i = 0; i < kFields; ++i) {
    const int shift = i < kFirstBytes ? kCountShift : kByteShift;
    const auto rate = static_cast<int64_t>((after[i] - before[i]) << shift);
    averages_[i] += (rate - averages_[i]) >> kWeightShift;
  }
}

TrafficSample RateEstimator::rates() const {
  const auto rounded = [&](size_t i) {
    const int shift = (i < kFirstBytes ? kCountShift : kByteShift) + 1;
    return static_cast<uint64_t>(averages_[i] + (int64_t{1} << (shift - 1)) - 1) >> shift;
  };
  return {.connections = rounded(0),
          .packets_in = rounded(1),
          .packets_out = rounded(2),
          .bytes_in = rounded(3),
          .bytes_out = rounded(4)};
}

}  // namespace shunt::app
