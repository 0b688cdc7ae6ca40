// The one source of chance in a simulation: the same seed gives the same run on every machine,
// which the standard library's distributions do not promise.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/assert.h"

namespace shunt::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // SplitMix64 (Steele, Lea, Flood 2014).
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 … bound - 1.
  uint64_t below(uint64_t bound) {
    SHUNT_ASSERT(bound > 0);
    return next() % bound;
  }
  // 1 … maximum.
  size_t some_of(size_t maximum) { return 1 + below(maximum); }
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
  }
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace shunt::sim
