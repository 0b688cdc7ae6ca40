// What counts as one source: an IPv4 address, or the network that an IPv6 address is in, since a
// client has a whole one of these. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "core/address.h"
#include "core/hash.h"

namespace shunt::proxy {

// A hash of `address`, of which IPv6 counts the first `ipv6_prefix` bits only (1..128). Tables that
// clients could aim at mix a secret in.
inline uint64_t source_key(IpAddress address, uint32_t ipv6_prefix) {
  if (!address.is_v4()) {
    for (uint32_t i = 0; i < address.bytes.size(); ++i) {
      const uint32_t kept = std::min(ipv6_prefix - std::min(ipv6_prefix, i * 8), 8u);
      address.bytes[i] &= static_cast<uint8_t>(0xFF00u >> kept);
    }
  }
  constexpr uint64_t kKey0 = 0x736f757263652d30;
  constexpr uint64_t kKey1 = 0x736f757263652d31;
  return siphash_1_3({reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()},
                     kKey0, kKey1);
}

}  // namespace shunt::proxy
