// From networks (CIDR) to numbers: one hash probe per distinct prefix length, so that a look-up
// costs nothing per network. Built once, then immutable and safe for all threads.
#pragma once

#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "core/address.h"

namespace shunt::rules {

class NetworkTable {
 public:
  // Each network is added once.
  void add(const Cidr& network, uint32_t value);

  // Calls visit(value) for each network that contains `address`, the longest prefix first.
  template <class Visit>
  void find(const IpAddress& address, Visit visit) const {
    for (const Length& length : lengths_) {
      const auto found = length.values.find(masked(address, length.prefix));
      if (found != length.values.end()) visit(found->second);
    }
  }

 private:
  struct AddressHash {
    size_t operator()(const IpAddress& address) const {
      uint64_t words[2];
      std::memcpy(words, address.bytes.data(), sizeof words);
      // The multiplications carry the low (host) end of the address to the high bits, the shift
      // brings them down.
      const uint64_t mixed = (words[0] * 0x9E3779B97F4A7C15u) ^ (words[1] * 0xC2B2AE3D27D4EB4Fu);
      return static_cast<size_t>(mixed ^ (mixed >> 32));
    }
  };
  struct Length {
    uint8_t prefix;
    std::unordered_map<IpAddress, uint32_t, AddressHash> values;
  };

  static IpAddress masked(const IpAddress& address, uint8_t prefix);

  std::vector<Length> lengths_;  // Descending.
};

}  // namespace shunt::rules
