// Request ids: a random number per worker, and a count that does not show how many there were.
#include "proxy/request_id.h"

#include <random>

namespace shunt::proxy {
namespace {

uint64_t random_number() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

// Bijective (the finaliser of SplitMix64), so that no two counts meet.
constexpr uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

RequestIds::RequestIds() : worker_(random_number()), next_(random_number()) {}

RequestId RequestIds::next() {
  return {worker_, mix(next_++)};
}

}  // namespace shunt::proxy
