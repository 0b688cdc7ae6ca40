// The sum by 8 bytes at a time: the carries of 32-bit halves are collected in a 64-bit sum, which
// holds more of them than a packet has words.
#include "l4/checksum.h"

namespace shunt::l4 {

uint64_t add_bytes(std::span<const uint8_t> bytes, uint64_t sum) {
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint64_t other = 0;
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t words = 0;
    std::memcpy(&words, at, sizeof(words));
    sum += words & 0xffffffff;
    other += words >> 32;
  }
  uint64_t tail = 0;  // Padded with zeros; words keep their places, as 8 is even.
  if (left > 0) std::memcpy(&tail, at, left);
  sum += tail & 0xffffffff;
  return sum + other + (tail >> 32);
}

}  // namespace shunt::l4
