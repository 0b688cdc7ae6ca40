// Numbers in network byte order at any alignment, and raw 16-bit words as checksums take them
// (RFC 1071 §2: the sum is the same in either order). Pure; any thread.
#pragma once

#include <cstdint>
#include <cstring>

namespace shunt::l4 {

inline uint16_t load_be16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

inline uint32_t load_be32(const uint8_t* at) {
  uint32_t raw = 0;
  std::memcpy(&raw, at, sizeof(raw));
  return __builtin_bswap32(raw);
}

inline void store_be16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

inline void store_be32(uint8_t* at, uint32_t value) {
  const uint32_t raw = __builtin_bswap32(value);
  std::memcpy(at, &raw, sizeof(raw));
}

inline uint16_t load_raw16(const uint8_t* at) {
  uint16_t raw = 0;
  std::memcpy(&raw, at, sizeof(raw));
  return raw;
}

inline void store_raw16(uint8_t* at, uint16_t raw) {
  std::memcpy(at, &raw, sizeof(raw));
}

}  // namespace shunt::l4
