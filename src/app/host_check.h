// Whether the host's own stack would take packets to a virtual address for its own. Any thread;
// reads interfaces and routes.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "core/result.h"
#include "io/host_claims.h"
#include "l4/network.h"

namespace shunt::app {

struct HostClaim {
  std::string text;
  std::string way_out;
};

// Why `address` is the host's, which answers whoever speaks to it; nothing: it is not. `route`:
// what io::find_local_route() says.
std::optional<HostClaim> claim_of_host(const IpAddress& address,
                                       std::span<const io::NetworkInterface> interfaces,
                                       const std::optional<io::LocalRoute>& route);

// The error: the first claim to any of the addresses.
Result<void> check_host(std::span<const l4::ServedAddress> addresses);

}  // namespace shunt::app
