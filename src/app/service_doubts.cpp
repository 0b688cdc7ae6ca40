// What is lacking. What the host's settings would do is in host_settings.cpp.
#include "app/service_doubts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/host_check.h"
#include "app/host_settings.h"

namespace shunt::app {
namespace {

using io::NetworkInterface;

class ServiceDoubts {
 public:
  ServiceDoubts(const HostFacts& host, Severity lacking, Diagnostics& diagnostics)
      : host_(host), lacking_(lacking), diagnostics_(diagnostics) {}

  void look_at(const config::Service& service) {
    const std::string who = fmt::format("service \"{}\"", service.name);
    if (const NetworkInterface* interface = host_.view.find(service.interface)) {
      look_at(*interface, who, service.interface_place);
    } else {
      lack_interface(service, who);
    }
    for (const config::VirtualAddress& address : service.addresses) look_at(address);
    for (const config::ServiceServer& server : service.servers)
      look_at(server, service, fmt::format("{}, server \"{}\"", who, server.name));
  }

  // True: there is what it takes to begin.
  bool look_at_capabilities(Place place) {
    constexpr std::string_view kWayOut =
        "start Shunt as root, or `setcap cap_net_raw,cap_net_admin+ep` on its binary";
    const auto may = [this](int capability) { return (host_.capabilities >> capability & 1) != 0; };
    const auto text = [](std::string_view capability, std::string_view what) {
      return fmt::format("layer 4 needs {}, which this process (user {}) does not have{}",
                         capability, ::geteuid(), what);
    };
    if (!may(CAP_NET_ADMIN))
      diagnostics_.warning(place,
                           text("CAP_NET_ADMIN",
                                ": large segments queue for no more than net.core.rmem_max, and "
                                "are lost beyond"),
                           std::string(kWayOut));
    if (may(CAP_NET_RAW)) return true;
    lack(place, text("CAP_NET_RAW", ""), std::string(kWayOut));
    return false;
  }

 private:
  void lack(Place place, std::string text, std::string way_out) {
    if (lacking_ == Severity::kError) {
      diagnostics_.error(place, std::move(text), std::move(way_out));
    } else {
      diagnostics_.warning(place, std::move(text), std::move(way_out));
    }
  }

  void lack_interface(const config::Service& service, const std::string& who) {
    std::vector<std::string_view> names;
    for (const NetworkInterface& one : host_.view.interfaces) names.push_back(one.name);
    const std::string near = did_you_mean(service.interface, names);
    lack(service.interface_place,
         fmt::format("{}: there is no interface \"{}\" on this host", who, service.interface),
         fmt::format("{}{}there are: {}", near, near.empty() ? "" : " ", fmt::join(names, ", ")));
  }

  // Each once: many services share one.
  void look_at(const NetworkInterface& interface, const std::string& who, Place place) {
    if (!seen_.insert(interface.index).second) return;
    if (!interface.ethernet)
      return lack(place, fmt::format("{}: interface {} is no Ethernet link", who, interface.name),
                  "layer 4 needs one: of a tunnel or PPP link, the Ethernet side");
    if (!interface.up)
      diagnostics_.warning(
          place,
          fmt::format("{}: interface {} is down, or has no carrier: nothing can be forwarded by it",
                      who, interface.name),
          fmt::format("ip link set {} up", interface.name));
  }

  void look_at(const config::VirtualAddress& address) {
    const auto claim =
        claim_of_host(address.ip, host_.view.interfaces, host_.local_route(address.ip));
    if (claim) lack(address.place, claim->text, claim->way_out);
  }

  void look_at(const config::ServiceServer& server, const config::Service& service,
               const std::string& who) {
    if (host_.view.has_address(server.ip)) return look_at_local(server, service, who);
    if (const NetworkInterface* way = host_.view.towards(server.ip))
      return look_at(*way, who, server.place);
    lack(server.place,
         fmt::format("{}: there is no route to {} on this host", who, server.ip.to_string()),
         fmt::format("ip {}route add {} via GATEWAY", server.ip.is_v4() ? "" : "-6 ",
                     server.ip.to_string()));
  }

  void look_at_local(const config::ServiceServer& server, const config::Service& service,
                     const std::string& who) {
    const bool keeps_port =
        server.port == 0 || std::ranges::all_of(service.addresses, [&](const auto& address) {
          return address.first == server.port && address.last == server.port;
        });
    if (keeps_port) return;
    lack(server.place,
         fmt::format("{}: {} is an address of this host itself, which gets packets with the port "
                     "that they came for",
                     who, server.ip.to_string()),
         fmt::format("leave \":{}\" off the server's address, and have it listen on the service's "
                     "port",
                     server.port));
  }

  const HostFacts& host_;
  const Severity lacking_;
  Diagnostics& diagnostics_;
  std::set<int> seen_;  // Interfaces.
};

// Settings go by the names that interfaces have themselves, and what is said too.
std::vector<config::Service> with_own_names(std::vector<config::Service> services,
                                            const HostFacts& host) {
  for (config::Service& service : services)
    if (const NetworkInterface* interface = host.find(service.interface))
      service.interface = interface->name;
  return services;
}

}  // namespace

bool doubt_services(const std::vector<config::Service>& services, const HostFacts& host,
                    Severity lacking, Diagnostics& diagnostics) {
  if (services.empty()) return true;
  const std::vector<config::Service> named = with_own_names(services, host);
  ServiceDoubts doubts(host, lacking, diagnostics);
  for (const config::Service& service : named) doubts.look_at(service);
  warn_of_settings(named, host, diagnostics);
  return doubts.look_at_capabilities(services.front().place);
}

}  // namespace shunt::app
