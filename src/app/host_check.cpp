// The host's side of layer 4. Its stack sees every packet that Shunt forwards; none may be its own.
#include "app/host_check.h"

#include <fmt/format.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "io/local_stack.h"
#include "io/network_interface.h"

namespace shunt::app {

std::optional<HostClaim> claim_of_host(const IpAddress& address,
                                       std::span<const io::NetworkInterface> interfaces,
                                       const std::optional<io::LocalRoute>& route) {
  for (const io::NetworkInterface& interface : interfaces) {
    const auto found = std::ranges::find(interface.addresses, address);
    // Of the device of Shunt's own they are not, as its routes are hidden.
    if (found == interface.addresses.end() || interface.name == io::LocalStack::kDevice) continue;
    const auto prefix = interface.prefixes.begin() + (found - interface.addresses.begin());
    return HostClaim{
        fmt::format("{} is an address of this host, whose own stack would answer; a virtual "
                    "address is on no interface: choose another, or, if nothing else needs it here",
                    address.to_string()),
        fmt::format("ip address del {}/{} dev {}", address.to_string(), *prefix, interface.name)};
  }
  // Those of addresses are gone with the address.
  if (!route || route->of_address) return {};
  const std::string name =
      fmt::format("local {} dev {}", route->destination.to_string(), route->interface);
  // Without routing rules the kernel keeps the tables local and main as one, and calls it main.
  const bool usual = route->table == RT_TABLE_LOCAL || route->table == RT_TABLE_MAIN;
  const std::string table = usual ? "" : fmt::format(" table {}", route->table);
  return HostClaim{
      fmt::format("the route \"{}\" makes {} this host's own, whose stack would answer", name,
                  address.to_string()),
      fmt::format("ip {}route del {}{}", address.is_v4() ? "" : "-6 ", name, table)};
}

Result<void> check_host(std::span<const l4::ServedAddress> addresses) {
  const auto interfaces = io::list_interfaces();
  if (!interfaces) return std::unexpected(interfaces.error());
  for (const l4::ServedAddress& served : addresses) {
    const auto route = io::find_local_route(served.address);
    if (!route) return std::unexpected(route.error());
    if (const auto claim = claim_of_host(served.address, *interfaces, *route))
      return fail(fmt::format("{}: `{}`", claim->text, claim->way_out));
  }
  return {};
}

}  // namespace shunt::app
