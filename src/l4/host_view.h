// The host's interfaces and routes at one moment, as the packet path goes by them: read in one
// piece, then the same for all threads, and replaced as a whole when something changes.
#pragma once

#include <string_view>
#include <vector>

#include "core/address.h"
#include "core/result.h"
#include "io/network_interface.h"
#include "io/route_table.h"

namespace shunt::l4 {

struct HostView {
  std::vector<io::NetworkInterface> interfaces;
  io::RouteTable routes;

  // The error: what the kernel would not say.
  static Result<HostView> read();

  // Null: there is none.
  const io::NetworkInterface* find(std::string_view name) const;
  // Whether this is an address of the host itself: not one that Shunt has only lent it
  // (LocalStack).
  bool has_address(const IpAddress& address) const;
  // By which an address is reached; null: by none.
  const io::NetworkInterface* towards(const IpAddress& address) const;
  const io::NetworkInterface* at(int index) const;  // Null: there is none.
  // The host's address to speak as to `destination`, which goes by `route`: the route's own, one of
  // the next hop's network, any of the interface, any of the host. All zero: it has none.
  IpAddress source_for(const io::Route& route, const IpAddress& destination) const;
};

}  // namespace shunt::l4
