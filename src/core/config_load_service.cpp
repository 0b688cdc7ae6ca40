// Reads [[service]] and its servers.
// Owned by one load, on the thread that loads.
#include <algorithm>
#include <charconv>
#include <utility>

#include "core/config_load_parts.h"

namespace shunt::config {
namespace {

constexpr int64_t kWeightMax = 65535;
constexpr int64_t kNetmaskMax = 128;
constexpr int64_t kNetmaskMaxV4 = 32;
constexpr int64_t kReuseMax = 3;
constexpr size_t kInterfaceNameMax = 15;
constexpr Duration kTimeoutMin = 1s;
constexpr Duration kTimeoutMax = 31 * 24h;

constexpr Choice<Forward> kForwards[] = {
    {"nat", Forward::kNat}, {"tun", Forward::kTunnel}, {"dr", Forward::kDirect}};
constexpr Choice<TunnelKind> kTunnels[] = {{"ipip", TunnelKind::kIpIp}, {"gue", TunnelKind::kGue}};

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return port;
}

// "192.0.2.53:53", "192.0.2.53:8000-8100", "[2001:db8::53]:0".
// Not "this network", loopback, groups or broadcast.
bool is_asked_by_clients(const IpAddress& ip) {
  if (!ip.is_v4())
    return ip != IpAddress{} && ip != *IpAddress::parse("::1") && ip.bytes[0] != 0xff;
  constexpr size_t kFirst = 12;
  constexpr uint8_t kLoopback = 127;
  constexpr uint8_t kGroups = 224;
  return ip.bytes[kFirst] != 0 && ip.bytes[kFirst] != kLoopback && ip.bytes[kFirst] < kGroups;
}

Result<VirtualAddress> parse_virtual(const Text& text) {
  const size_t colon = text.value.rfind(':');
  const auto malformed = [&] {
    return fail(fmt::format("\"{}\" is not \"IP:PORT\" or \"IP:FIRST-LAST\" (port 0: all ports)",
                            text.value));
  };
  if (colon == std::string::npos) return malformed();
  const auto socket = SocketAddress::parse(text.value.substr(0, colon) + ":0");
  if (!socket || !socket->is_ip()) return malformed();
  if (!is_asked_by_clients(socket->ip()))
    return fail(
        fmt::format("{} is no address that clients can come for; give the service one of "
                    "its network",
                    socket->ip().to_string()));
  const std::string_view ports = std::string_view(text.value).substr(colon + 1);
  const size_t dash = ports.find('-');
  const auto first = parse_port(ports.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(ports.substr(dash + 1));
  if (!first || !last || *first > *last) return malformed();
  VirtualAddress address{.ip = socket->ip(), .first = *first, .last = *last, .place = text.place};
  if (*last == 0) address.last = UINT16_MAX;
  return address;
}

void read_protocol(Loading& loading, TableReader& reader, Service& service) {
  const std::vector<Text> names = reader.strings("protocol");
  if (!reader.has("protocol"))
    loading.missing(reader.place(), "a service needs \"protocol\"",
                    R"("tcp", "udp" or ["tcp", "udp"])");
  for (const Text& name : names) {
    if (name.value == "tcp") {
      service.tcp = true;
    } else if (name.value == "udp") {
      service.udp = true;
    } else {
      loading.diagnostics.error(
          name.place,
          fmt::format("\"protocol\" must be \"tcp\" or \"udp\", not \"{}\"", name.value));
    }
  }
}

void read_addresses(Loading& loading, TableReader& reader, Service& service) {
  const std::vector<Text> texts = reader.strings("address");
  if (!reader.has("address"))
    loading.missing(reader.place(), "a service needs \"address\": the virtual one",
                    "add address = \"192.0.2.53:53\"");
  for (const Text& text : texts) {
    const auto address = parse_virtual(text);
    if (address) {
      service.addresses.push_back(*address);
    } else {
      loading.diagnostics.error(text.place, address.error().text);
    }
  }
  if (service.addresses.empty()) return;
  const bool v4 = service.addresses.front().ip.is_v4();
  for (const VirtualAddress& address : service.addresses) {
    if (address.ip.is_v4() != v4)
      loading.diagnostics.error(address.place,
                                "a service is IPv4 or IPv6; add another one for the other");
  }
}

void read_interface(Loading& loading, TableReader& reader, Service& service) {
  const auto name = reader.text("interface");
  if (!name) {
    if (!reader.has("interface"))
      loading.missing(reader.place(), "a service needs \"interface\": where its clients come in",
                      "add interface = \"eth0\"; `ip link` lists them");
    return;
  }
  if (name->value.size() > kInterfaceNameMax)
    loading.diagnostics.error(name->place,
                              fmt::format("\"{}\" is too long for an interface", name->value));
  service.interface = name->value;
  service.interface_place = name->place;
}

void read_persistence(Loading& loading, TableReader& reader, Service& service) {
  reader.duration("persistence", service.persistence, 0s, kTimeoutMax);
  reader.integer("netmask", service.netmask, 0, kNetmaskMax);
  const bool v4 = !service.addresses.empty() && service.addresses.front().ip.is_v4();
  if (v4 && service.netmask > kNetmaskMaxV4)
    loading.diagnostics.error(reader.place_of("netmask"),
                              "\"netmask\" of an IPv4 service is at most 32");
  if (service.netmask != 0 && service.persistence == Duration{})
    loading.diagnostics.error(reader.place_of("netmask"), "\"netmask\" is for \"persistence\"");
}

// The address with or without a port.
void read_server_address(Loading& loading, TableReader& reader, ServiceServer& server) {
  const auto text = reader.text("address");
  if (!text) {
    if (!reader.has("address"))
      loading.missing(reader.place(), "a server needs \"address\"",
                      "add address = \"10.0.0.21:53\"; without a port it is the packet's own");
    return;
  }
  server.name = text->value;
  if (is_dns_address(text->value))
    return loading.diagnostics.error(text->place,
                                     "a server of layer 4 is given by its address, not by name",
                                     "names are for the servers of pools");
  if (const auto ip = IpAddress::parse(text->value)) {
    server.ip = *ip;
    return;
  }
  const auto address = SocketAddress::parse(text->value);
  if (!address || !address->is_ip()) {
    loading.diagnostics.error(text->place,
                              fmt::format("\"{}\" is not \"IP:PORT\" or \"IP\"", text->value));
    return;
  }
  server.ip = address->ip();
  server.port = address->port();
}

// What the method cannot do.
void check_method(Loading& loading, const TableReader& reader, const Service& service,
                  const ServiceServer& server) {
  const Forward forward = server.forward.value_or(service.forward);
  if (service.addresses.empty() || server.ip == IpAddress{}) return;
  const VirtualAddress& address = service.addresses.front();
  if (forward != Forward::kTunnel && address.ip.is_v4() != server.ip.is_v4())
    loading.diagnostics.error(reader.place_of("address"),
                              "an IPv4 service has IPv4 servers, and an IPv6 service IPv6 ones, "
                              "unless they are reached by forward = \"tun\"");
  const bool same = address.first == address.last && address.first == server.port;
  if (forward != Forward::kNat && server.port != 0 && !same)
    loading.diagnostics.error(
        reader.place_of("address"),
        "only forward = \"nat\" translates ports: the server gets the service's own");
}

void load_service_server(Loading& loading, const toml::table& table, Service& service) {
  TableReader reader(loading, table, kServiceServerKeys,
                     fmt::format("a server of service \"{}\"", service.name));
  ServiceServer server;
  server.place = reader.place();
  read_server_address(loading, reader, server);
  if (const auto name = reader.text("name")) server.name = name->value;
  reader.integer("weight", server.weight, 0, kWeightMax);
  reader.integer("upper", server.upper, 0, INT32_MAX);
  reader.integer("lower", server.lower, 0, INT32_MAX);
  if (server.lower > server.upper)
    loading.diagnostics.error(reader.place_of("lower"),
                              "\"lower\" must not be larger than \"upper\"");
  Forward forward{};
  if (reader.choice("forward", forward, kForwards)) server.forward = forward;
  reader.choice("tunnel", server.tunnel, kTunnels);
  reader.integer("tunnel_port", server.tunnel_port, 1, UINT16_MAX);
  reader.boolean("tunnel_checksum", server.tunnel_checksum);
  if (server.tunnel_checksum && server.tunnel != TunnelKind::kGue)
    loading.diagnostics.error(reader.place_of("tunnel_checksum"),
                              "\"tunnel_checksum\" is for tunnel = \"gue\"");
  check_method(loading, reader, service, server);
  service.servers.push_back(std::move(server));
}

}  // namespace

void load_service(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kServiceKeys, "a service");
  Service service;
  ServicePlaces places;
  service.place = reader.place();
  read_protocol(loading, reader, service);
  read_addresses(loading, reader, service);
  read_interface(loading, reader, service);
  if (const auto name = reader.text("name")) {
    service.name = name->value;
  } else if (!service.addresses.empty()) {
    const VirtualAddress& first = service.addresses.front();
    service.name = fmt::format("{}-{}", service.tcp ? "tcp" : "udp",
                               SocketAddress(first.ip, first.first).to_string());
  }
  if (!reader.choice("forward", service.forward, kForwards) && !reader.has("forward"))
    loading.missing(reader.place(), "a service needs \"forward\"",
                    R"("nat", "tun" or "dr"; docs/layer4-servers.md says what each needs)");
  places.scheduler_known = read_scheduler(loading, reader, service.scheduler);
  places.scheduler_flags = reader.strings("scheduler_flags");
  for (const Text& flag : places.scheduler_flags) service.scheduler_flags.push_back(flag.value);
  read_persistence(loading, reader, service);
  reader.boolean("one_packet", service.one_packet);
  if (service.one_packet && service.tcp)
    loading.diagnostics.error(reader.place_of("one_packet"),
                              "\"one_packet\" is for protocol = \"udp\"");
  reader.integer("connection_reuse", service.connection_reuse, 0, kReuseMax);
  reader.boolean("expire_no_destination", service.expire_no_destination);
  reader.boolean("expire_quiescent_template", service.expire_quiescent_template);
  reader.boolean("sloppy_tcp", service.sloppy_tcp);
  reader.boolean("path_mtu_discovery", service.path_mtu_discovery);
  reader.duration("timeout_tcp", service.timeout_tcp, kTimeoutMin, kTimeoutMax);
  reader.duration("timeout_fin", service.timeout_fin, kTimeoutMin, kTimeoutMax);
  reader.duration("timeout_udp", service.timeout_udp, kTimeoutMin, kTimeoutMax);

  const size_t errors = loading.diagnostics.error_count();
  reader.tables("server",
                [&](const toml::table& one) { load_service_server(loading, one, service); });
  if (service.servers.empty() && errors == loading.diagnostics.error_count())
    loading.missing(service.place, fmt::format("service \"{}\" has no server", service.name),
                    "add [[service.server]] with an address");
  loading.draft.config.services.push_back(std::move(service));
  loading.draft.service_places.push_back(std::move(places));
}

}  // namespace shunt::config
