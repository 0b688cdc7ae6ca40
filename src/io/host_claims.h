// What the host's own network stack takes for its own, beyond the addresses of its interfaces. Read
// from the kernel (rtnetlink); any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/result.h"

namespace shunt::io {

// A route that delivers packets to the host itself.
struct LocalRoute {
  Cidr destination;
  std::string interface;
  uint32_t table = 0;
  bool of_address = false;  // The kernel's, for an address of an interface; otherwise somebody's.
};

// The one by which packets to `address` would be the host's; nothing: they would not. The error:
// what the kernel said.
Result<std::optional<LocalRoute>> find_local_route(const IpAddress& address);

// An address for which the host answers ARP or ND in the place of another (`ip neigh add proxy`).
struct ProxyNeighbour {
  IpAddress address;
  int interface = 0;  // Index; 0: on all.
};

Result<std::vector<ProxyNeighbour>> read_proxy_neighbours();

}  // namespace shunt::io
