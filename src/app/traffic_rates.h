// How much passes per second, as IPVS's estimator has it: looked at every two seconds, each new
// value counting for a quarter. Pure; one thread's.
#pragma once

#include <array>
#include <cstdint>

#include "core/instant.h"

namespace shunt::app {

// What `ipvsadm --stats` shows of a service or a server, and with --rate the same a second. Packets
// and bytes are IP's; out only what passes by on the way back.
struct TrafficSample {
  uint64_t connections = 0;
  uint64_t packets_in = 0;
  uint64_t packets_out = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;

  TrafficSample& operator+=(const TrafficSample& other);
  friend bool operator==(const TrafficSample&, const TrafficSample&) = default;
};

class RateEstimator {
 public:
  // To be told the counters so often.
  static constexpr Duration kPeriod = std::chrono::seconds(2);

  explicit RateEstimator(const TrafficSample& start) : last_(start) {}

  // Counters that have gone back begin anew.
  void tick(const TrafficSample& now);
  TrafficSample rates() const;

 private:
  TrafficSample last_;
  std::array<int64_t, 5> averages_{};  // In units of the scales in the source.
};

}  // namespace shunt::app
