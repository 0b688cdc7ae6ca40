// Which setting of the kernel decides what: for IPv4 `forwarding` of the interface by which a
// packet comes; for IPv6 that of all, or the interface's force_forwarding. Proxies answer only
// where the host forwards: ARP for what it would forward by another interface (proxy_arp) or by the
// same (proxy_arp_pvlan), ND only for addresses on a list. rp_filter is of no matter: packet
// sockets see what it would drop.
#include "app/host_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace shunt::app {
namespace {

using io::NetworkInterface;

std::string stop(const std::filesystem::path& setting) {
  return fmt::format("echo 0 > {}", setting.string());
}

class SettingsDoubts {
 public:
  SettingsDoubts(const HostFacts& host, Diagnostics& diagnostics)
      : host_(host), diagnostics_(diagnostics) {}

  void look_at(const config::Service& service) {
    if (service.addresses.empty()) return;
    warn_of_forwarded_packets(service);
    for (const config::VirtualAddress& address : service.addresses) {
      if (!said_for_.emplace(service.interface, address.ip).second) continue;
      address.ip.is_v4() ? warn_of_proxy_arp(service, address) : warn_of_proxy_nd(service, address);
    }
    for (const config::ServiceServer& server : service.servers) {
      if (server.forward.value_or(service.forward) == config::Forward::kNat)
        warn_of_forwarded_answers(service, server);
    }
  }

 private:
  bool is_on(const std::filesystem::path& setting) const {
    std::ifstream stream(setting);
    int value = 0;
    return stream >> value && value != 0;
  }

  std::filesystem::path of(bool v4, std::string_view interface, std::string_view name) const {
    return host_.settings / (v4 ? "ipv4" : "ipv6") / "conf" / interface / name;
  }

  // The setting that is on for all interfaces or for this one; nothing: neither is.
  std::optional<std::filesystem::path> on_for(bool v4, std::string_view interface,
                                              std::string_view name) const {
    for (const std::string_view where : {std::string_view("all"), interface})
      if (auto setting = of(v4, where, name); is_on(setting)) return setting;
    return {};
  }

  // The setting by which the host forwards what comes in there; nothing: it does not.
  std::optional<std::filesystem::path> forwarding(bool v4, std::string_view interface) const {
    for (auto setting : {v4 ? of(v4, interface, "forwarding") : of(v4, "all", "forwarding"),
                         of(v4, interface, v4 ? "forwarding" : "force_forwarding")})
      if (is_on(setting)) return setting;
    return {};
  }

  // The firewall sees what packet sockets have seen before.
  void warn_of_forwarding(Place place, std::string text, const std::filesystem::path& setting) {
    diagnostics_.warning(
        place, std::move(text),
        stop(setting) + ", or drop them in the forward chain of the host's firewall");
  }

  void warn_of_forwarded_packets(const config::Service& service) {
    const bool v4 = service.addresses.front().ip.is_v4();
    const auto setting = forwarding(v4, service.interface);
    if (!setting || !forwarded_.emplace(v4, service.interface).second) return;
    warn_of_forwarding(
        service.interface_place,
        fmt::format("this host forwards what comes in by {} itself, packets for {} too: they leave "
                    "a second time, or clients are told that it is unreachable",
                    service.interface, service.addresses.front().ip.to_string()),
        *setting);
  }

  void warn_of_forwarded_answers(const config::Service& service,
                                 const config::ServiceServer& server) {
    if (host_.view.has_address(server.ip)) return;  // Its answers come in by no interface.
    const NetworkInterface* way = host_.view.towards(server.ip);
    if (way == nullptr) return;
    const bool v4 = server.ip.is_v4();
    const auto setting = forwarding(v4, way->name);
    if (!setting || !answered_.emplace(v4, way->name).second) return;
    warn_of_forwarding(
        server.place,
        fmt::format("this host forwards what comes in by {} itself, the answers of server \"{}\" "
                    "too: they reach clients from {} instead of {}, who reset the connection",
                    way->name, server.name, server.ip.to_string(),
                    service.addresses.front().ip.to_string()),
        *setting);
  }

  bool is_listed(const config::Service& service, const IpAddress& address) const {
    const NetworkInterface* interface = host_.view.find(service.interface);
    return std::ranges::any_of(host_.proxies, [&](const io::ProxyNeighbour& proxy) {
      const bool here =
          proxy.interface == 0 || (interface != nullptr && proxy.interface == interface->index);
      return here && proxy.address == address;
    });
  }

  void warn_of_proxy(const config::Service& service, const config::VirtualAddress& address,
                     std::string_view protocol, std::string way_out) {
    diagnostics_.warning(
        address.place,
        fmt::format("this host answers {} for {} on {} itself, even when Shunt does not run or "
                    "another director has the address",
                    protocol, address.ip.to_string(), service.interface),
        std::move(way_out));
  }

  void warn_of_proxy_arp(const config::Service& service, const config::VirtualAddress& address) {
    constexpr bool kV4 = true;
    const NetworkInterface* way = host_.view.towards(address.ip);
    if (way == nullptr || !forwarding(kV4, service.interface)) return;
    const bool elsewhere = way->name != service.interface;
    const auto setting = elsewhere ? on_for(kV4, service.interface, "proxy_arp") : std::nullopt;
    const auto same = elsewhere ? std::nullopt : on_for(kV4, service.interface, "proxy_arp_pvlan");
    if (setting) {
      warn_of_proxy(service, address, "ARP", stop(*setting));
    } else if (same) {
      warn_of_proxy(service, address, "ARP", stop(*same));
    } else if (elsewhere && is_listed(service, address.ip)) {
      warn_of_proxy(
          service, address, "ARP",
          fmt::format("ip neigh del proxy {} dev {}", address.ip.to_string(), service.interface));
    }
  }

  void warn_of_proxy_nd(const config::Service& service, const config::VirtualAddress& address) {
    constexpr bool kV4 = false;
    if (!is_on(of(kV4, service.interface, "forwarding"))) return;
    if (!on_for(kV4, service.interface, "proxy_ndp") || !is_listed(service, address.ip)) return;
    warn_of_proxy(
        service, address, "neighbour discovery",
        fmt::format("ip -6 neigh del proxy {} dev {}", address.ip.to_string(), service.interface));
  }

  const HostFacts& host_;
  Diagnostics& diagnostics_;
  // What has been said, by family and interface: many services share them.
  std::set<std::pair<bool, std::string>> forwarded_;
  std::set<std::pair<bool, std::string>> answered_;
  std::set<std::pair<std::string, IpAddress>> said_for_;
};

}  // namespace

void warn_of_settings(const std::vector<config::Service>& services, const HostFacts& host,
                      Diagnostics& diagnostics) {
  SettingsDoubts doubts(host, diagnostics);
  for (const config::Service& service : services) doubts.look_at(service);
}

}  // namespace shunt::app
