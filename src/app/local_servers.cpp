// Which servers are local is a matter of the host's addresses alone, as for the kernel.
#include "app/local_servers.h"

#include <fmt/format.h>

#include <algorithm>

namespace shunt::app {
namespace {

bool is_local(const l4::RealServerSpec& server) {
  return server.method == l4::Method::kLocal;
}

// The packets go into the stack as they came, for the virtual address and its port.
bool keeps_port(const l4::ServiceSpec& service, const l4::RealServerSpec& server) {
  return server.port == 0 || std::ranges::all_of(service.ranges, [&](const auto& range) {
           return range.first == server.port && range.last == server.port;
         });
}

}  // namespace

Result<void> mark_local_servers(Layer4Plan& plan, const l4::HostView& view) {
  for (ServicePlan& service : plan.services) {
    for (l4::RealServerSpec& server : service.real) {
      if (!view.has_address(server.address)) continue;
      if (!keeps_port(service.spec, server))
        return fail(fmt::format(
            "service \"{}\", server \"{}\": {} is an address of this host itself, which gets "
            "packets with the port that they came for: leave \":{}\" off the server's address, and "
            "have it listen on the service's port",
            service.spec.name, server.name, server.address.to_string(), server.port));
      server.method = l4::Method::kLocal;
    }
  }
  return {};
}

bool same_locality(const Layer4Plan& a, const Layer4Plan& b) {
  return std::ranges::equal(a.services, b.services, [](const auto& one, const auto& other) {
    return std::ranges::equal(one.real, other.real, {}, is_local, is_local);
  });
}

std::vector<IpAddress> local_addresses(const Layer4Plan& plan) {
  std::vector<IpAddress> addresses;
  for (const ServicePlan& service : plan.services) {
    if (std::ranges::none_of(service.real, is_local)) continue;
    for (const l4::VirtualRange& range : service.spec.ranges) {
      const IpAddress& address = range.addresses.network;
      if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
    }
  }
  return addresses;
}

}  // namespace shunt::app
