// NetworkTable's construction and the mask.
#include "rules/network_table.h"

#include <algorithm>

namespace shunt::rules {

void NetworkTable::add(const Cidr& network, uint32_t value) {
  auto length = std::ranges::find(lengths_, network.prefix, &Length::prefix);
  if (length == lengths_.end()) {
    lengths_.push_back({network.prefix, {}});
    std::ranges::sort(lengths_, std::greater<>{}, &Length::prefix);
    length = std::ranges::find(lengths_, network.prefix, &Length::prefix);
  }
  length->values.emplace(masked(network.network, network.prefix), value);
}

IpAddress NetworkTable::masked(const IpAddress& address, uint8_t prefix) {
  IpAddress result;
  const size_t whole = prefix / 8;
  std::copy_n(address.bytes.begin(), whole, result.bytes.begin());
  if (const unsigned rest = prefix % 8; rest != 0) {
    result.bytes[whole] = static_cast<uint8_t>(address.bytes[whole] & (0xFFu << (8 - rest)));
  }
  return result;
}

}  // namespace shunt::rules
