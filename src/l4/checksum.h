// The Internet checksum: whole (RFC 1071) and by the difference that an edit makes (RFC 1624,
// equation 3, which has no trouble with -0). Sums and checksums are raw words, in the order in
// which they lie in memory. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "l4/byte_order.h"

namespace shunt::l4 {

// Adds `bytes` as 16-bit words (the last one padded with 0) to `sum`. Only fold() makes a checksum
// of it.
// Inline, as most calls are for some 20 bytes. By 8 bytes at a time: the carries of 32-bit halves
// are collected in a 64-bit sum, which holds more of them than a packet has words.
inline uint64_t add_bytes(std::span<const uint8_t> bytes, uint64_t sum = 0) {
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint64_t other = 0;
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t words = 0;
    std::memcpy(&words, at, sizeof(words));
    sum += words & 0xffffffff;
    other += words >> 32;
  }
  if (left >= 4) {
    uint32_t words = 0;
    std::memcpy(&words, at, sizeof(words));
    sum += words;
    at += 4;
    left -= 4;
  }
  if (left > 0) {  // Padded with zeros; words keep their places, as 4 is even.
    uint32_t words = 0;
    std::memcpy(&words, at, left);
    sum += words;
  }
  return sum + other;
}

constexpr uint16_t fold(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>((sum >> 16) + (sum & 0xffff));
}

// What stands in a header whose words, with the checksum as 0, sum up to `sum`.
constexpr uint16_t finish(uint64_t sum) {
  return static_cast<uint16_t>(~fold(sum));
}

// What edits of covered fields do to a checksum. Every field has an even offset and size, at most
// 16 bytes.
class ChecksumChange {
 public:
  // `before` is about to be overwritten with `after`.
  void replace(const uint8_t* before, const uint8_t* after, size_t size) {
    for (size_t i = 0; i < size; i += 2) {
      sum_ += static_cast<uint16_t>(~load_raw16(before + i));
      sum_ += load_raw16(after + i);
    }
  }

  // The checksum after the edits, of the one before.
  uint16_t applied(uint16_t checksum) const {
    return static_cast<uint16_t>(~fold(static_cast<uint16_t>(~checksum) + sum_));
  }
  // The same for a field that holds the bare sum of the pseudo header, which the sender's or the
  // receiver's offload completes.
  uint16_t applied_to_partial(uint16_t partial) const { return fold(partial + sum_); }

 private:
  uint64_t sum_ = 0;
};

}  // namespace shunt::l4
