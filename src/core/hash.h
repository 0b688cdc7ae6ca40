// The hashes of the schedulers and tables: IPVS's hash_32, and SipHash-1-3 for keys that a client
// chooses.
#pragma once

#include <cstdint>
#include <string_view>

namespace shunt {

// include/linux/hash.h: multiplication by the golden ratio, the top `bits` bits (1..32).
constexpr uint32_t hash_32(uint32_t value, unsigned bits) {
  return (value * 0x61C88647u) >> (32 - bits);
}

// SipHash-1-3 of `data` under the key (k0, k1). Keyed, so that clients cannot aim at one bucket.
uint64_t siphash_1_3(std::string_view data, uint64_t k0, uint64_t k1);

}  // namespace shunt
