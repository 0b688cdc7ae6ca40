// The host's side of layer 4. Its stack sees every packet that Shunt forwards; it must have nothing
// to do with them.
#include "app/host_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/log.h"
#include "io/network_interface.h"

namespace shunt::app {
namespace {

namespace fs = std::filesystem;

bool is_on(const fs::path& setting) {
  std::ifstream stream(setting);
  int value = 0;
  return stream >> value && value != 0;
}

// Per interface for IPv4; for IPv6 it is one for all.
fs::path forwarding_of(const l4::ServedAddress& served) {
  const fs::path root("/proc/sys/net");
  if (served.address.is_v4()) return root / "ipv4/conf" / served.interface / "forwarding";
  return root / "ipv6/conf/all/forwarding";
}

}  // namespace

Result<void> check_host(std::span<const l4::ServedAddress> addresses) {
  const auto interfaces = io::list_interfaces();
  if (!interfaces) return std::unexpected(interfaces.error());
  for (const l4::ServedAddress& served : addresses) {
    for (const io::NetworkInterface& interface : *interfaces) {
      if (std::ranges::find(interface.addresses, served.address) == interface.addresses.end())
        continue;
      return fail(fmt::format(
          "{0} is an address of this host, whose own stack would answer; a virtual address is on "
          "no interface: `ip address del {0}/{2} dev {1}`",
          served.address.to_string(), interface.name, served.address.is_v4() ? 32 : 128));
    }
    const fs::path forwarding = forwarding_of(served);
    if (is_on(forwarding))
      log::warning(
          "layer 4: this host forwards packets itself, those for {} too, and resets what Shunt has "
          "begun: `echo 0 > {}`, or drop them in a firewall's forward chain",
          served.address.to_string(), forwarding.string());
  }
  return {};
}

}  // namespace shunt::app
