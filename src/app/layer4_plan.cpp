// One configuration table to one plan, field by field.
#include "app/layer4_plan.h"

#include <fmt/format.h>

#include "core/assert.h"
#include "l4/packet.h"

namespace shunt::app {
namespace {

constexpr uint8_t kPrefixMax = 128;
constexpr uint8_t kV4Prefix = 96;

l4::Method method_of(config::Forward forward) {
  switch (forward) {
    case config::Forward::kNat:
      return l4::Method::kNat;
    case config::Forward::kTunnel:
      return l4::Method::kTunnel;
    case config::Forward::kDirect:
      return l4::Method::kDirect;
  }
  SHUNT_ASSERT(false);
}

l4::ServiceSpec service_spec(const config::Service& service) {
  l4::ServiceSpec spec;
  spec.name = service.name;
  const uint8_t protocol = service.tcp && service.udp ? 0 : service.tcp ? l4::kTcp : l4::kUdp;
  for (const config::VirtualAddress& address : service.addresses)
    spec.ranges.push_back({.addresses = {address.ip, kPrefixMax},
                           .first = address.first,
                           .last = address.last,
                           .protocol = protocol});
  spec.group = service.addresses.size() > 1;
  spec.method = method_of(service.forward);
  spec.persistence = service.persistence;
  const bool v4 = service.addresses.front().ip.is_v4();
  if (service.netmask != 0)
    spec.persistence_prefix = static_cast<uint8_t>(service.netmask + (v4 ? kV4Prefix : 0));
  spec.one_packet = service.one_packet;
  const auto set = [&](l4::TcpState state, Duration timeout) {
    spec.timeouts.tcp[static_cast<size_t>(state)] = timeout;
  };
  set(l4::TcpState::kEstablished, service.timeout_tcp);
  set(l4::TcpState::kFinWait, service.timeout_fin);
  spec.timeouts.udp = service.timeout_udp;
  spec.connection_reuse = service.connection_reuse;
  spec.expire_no_destination = service.expire_no_destination;
  spec.expire_quiescent_template = service.expire_quiescent_template;
  spec.sloppy_tcp = service.sloppy_tcp;
  spec.path_mtu_discovery = service.path_mtu_discovery;
  spec.scheduler = service.scheduler;
  spec.scheduler_flags = service.scheduler_flags;
  return spec;
}

l4::RealServerSpec real_spec(const config::ServiceServer& server) {
  l4::RealServerSpec spec{.name = server.name, .address = server.ip, .port = server.port};
  if (server.forward) spec.method = method_of(*server.forward);
  spec.tunnel =
      server.tunnel == config::TunnelKind::kGue ? l4::TunnelKind::kGue : l4::TunnelKind::kIpIp;
  spec.tunnel_port = server.tunnel_port;
  spec.tunnel_checksum = server.tunnel_checksum;
  spec.weight = server.weight;
  return spec;
}

std::string_view name_of_protocol(uint8_t protocol) {
  return protocol == l4::kTcp ? "tcp" : protocol == l4::kUdp ? "udp" : "tcp+udp";
}

}  // namespace

std::string_view name_of(l4::Method method) {
  switch (method) {
    case l4::Method::kNat:
      return "nat";
    case l4::Method::kTunnel:
      return "tun";
    case l4::Method::kDirect:
      return "dr";
    case l4::Method::kLocal:
      return "local";
  }
  SHUNT_ASSERT(false);
}

std::string ServicePlan::to_string() const {
  std::string text = fmt::format("service {}:", spec.name);
  for (const l4::VirtualRange& range : spec.ranges) {
    text += fmt::format(" {} {}", name_of_protocol(range.protocol),
                        SocketAddress(range.addresses.network, range.first).to_string());
    if (range.first != range.last) text += fmt::format("-{}", range.last);
  }
  text += fmt::format(" on {}, {}, {}, {} server{}", interface, name_of(spec.method),
                      spec.scheduler, servers.size(), servers.size() == 1 ? "" : "s");
  const auto drained = std::ranges::count(real, 0, &l4::RealServerSpec::weight);
  if (drained > 0) text += fmt::format(", {} with weight 0", drained);
  for (const l4::RealServerSpec& server : real)
    if (server.method == l4::Method::kLocal)
      text += fmt::format("; \"{}\" is this host itself", server.name);
  return text;
}

Layer4Plan plan_layer4(const config::Config& config) {
  Layer4Plan plan;
  for (const config::Service& service : config.services) {
    ServicePlan& one = plan.services.emplace_back();
    one.spec = service_spec(service);
    one.interface = service.interface;
    for (const config::ServiceServer& server : service.servers) {
      one.real.push_back(real_spec(server));
      one.servers.push_back({.name = server.name,
                             .address = SocketAddress(server.ip, server.port),
                             .weight = server.weight,
                             .upper = server.upper,
                             .lower = server.lower});
    }
  }
  return plan;
}

}  // namespace shunt::app
