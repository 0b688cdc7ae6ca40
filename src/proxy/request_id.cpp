// Request ids: a random number per worker, and a count that does not show how many there were.
#include "proxy/request_id.h"

#include <algorithm>
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

RequestIdText to_text(const RequestId& id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  RequestIdText text;
  size_t at = 0;
  for (const uint64_t half : id) {
    for (int shift = 60; shift >= 0; shift -= 4) text[at++] = kDigits[(half >> shift) & 15];
  }
  return text;
}

bool is_request_id(std::string_view value) {
  constexpr size_t kMost = 128;
  return !value.empty() && value.size() <= kMost &&
         std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace shunt::proxy
