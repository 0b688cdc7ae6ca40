// Rows and columns. Widths and units are those that tests/data/ipvsadm has on record.
#include "app/ipvsadm_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

namespace shunt::app {
namespace {

constexpr uint16_t kLastPort = 65535;
constexpr uint32_t kV4Bits = 32;

// One address, one protocol, and one port or all of them.
bool has_row_of_its_own(const ServiceSample& service) {
  if (service.addresses.size() != 1) return false;
  const RangeSample& range = service.addresses.front();
  return range.protocol != "any" &&
         (range.first == range.last || (range.first == 0 && range.last == kLastPort));
}

bool is_v6(const ServiceSample& service) {
  return !service.addresses.empty() && !service.addresses.front().address.is_v4();
}

std::string_view protocol_of(const ServiceSample& service) {
  return has_row_of_its_own(service) ? std::string_view(service.addresses.front().protocol) : "ip";
}

// 0: all ports.
uint16_t port_of(const ServiceSample& service) {
  if (!has_row_of_its_own(service)) return 0;
  const RangeSample& range = service.addresses.front();
  return range.first == range.last ? range.first : uint16_t{0};
}

std::string place(const IpAddress& address, uint16_t port, std::string_view protocol,
                  Names& names) {
  const std::string host = names.host(address);
  return fmt::format("{}:{}", address.is_v4() ? host : fmt::format("[{}]", host),
                     names.port(port, protocol));
}

std::string title(const ServiceSample& service, Names& names) {
  if (!has_row_of_its_own(service))
    return fmt::format("FWM  {}{}", service.name, is_v6(service) ? " IPv6" : "");
  return fmt::format(
      "{}  {}", protocol_of(service) == "tcp" ? "TCP" : "UDP",
      place(service.addresses.front().address, port_of(service), protocol_of(service), names));
}

// Only NAT translates ports; elsewhere the server is spoken to at the service's.
uint16_t port_there(const RealServerSample& server, const ServiceSample& service) {
  return server.forward == "nat" && server.port != 0 ? server.port : port_of(service);
}

// " persistent 300 mask 255.255.255.0 ops (mh-port)"
std::string flags(const ServiceSample& service) {
  std::string text;
  if (service.persistence > 0) text += fmt::format(" persistent {}", service.persistence);
  if (service.persistence > 0 && service.netmask != 0) {
    const uint32_t host_bits = kV4Bits - std::min(service.netmask, kV4Bits);
    text += is_v6(service)
                ? fmt::format(" mask {}", service.netmask)
                : fmt::format(
                      " mask {}",
                      IpAddress::from_v4(static_cast<uint32_t>(~((uint64_t{1} << host_bits) - 1)))
                          .to_string());
  }
  if (service.one_packet) text += " ops";
  if (!service.scheduler_flags.empty())
    text += fmt::format(" ({})", fmt::join(service.scheduler_flags, ","));
  return text;
}

std::string_view forward_name(std::string_view forward) {
  if (forward == "nat") return "Masq";
  if (forward == "tun") return "Tunnel";
  if (forward == "dr") return "Route";
  return "Local";
}

// At least nine wide. Thousands and more are cut off where eight digits are not enough.
std::string large_number(uint64_t number, bool exact) {
  constexpr struct {
    uint64_t below;
    uint64_t unit;
    char letter;
  } kUnits[] = {{1'000'000'000, 1'000, 'K'},
                {100'000'000'000, 1'000'000, 'M'},
                {100'000'000'000'000, 1'000'000'000, 'G'},
                {UINT64_MAX, 1'000'000'000'000, 'T'}};
  constexpr uint64_t kPlain = 100'000'000;
  if (exact) return fmt::format(" {:>8}", number);
  if (number < kPlain) return fmt::format("{:>9}", number);
  for (const auto& [below, unit, letter] : kUnits)
    if (number < below) return fmt::format("{:>8}{}", number / unit, letter);
  return fmt::format("{:>8}T", number / kUnits[3].unit);
}

std::string traffic(const TrafficSample& sample, bool exact) {
  return large_number(sample.connections, exact) + large_number(sample.packets_in, exact) +
         large_number(sample.packets_out, exact) + large_number(sample.bytes_in, exact) +
         large_number(sample.bytes_out, exact);
}

// Of connections and packets a second ipvsadm always prints all digits.
std::string rates(const TrafficSample& sample, bool exact) {
  return fmt::format(" {:>8} {:>8} {:>8}", sample.connections, sample.packets_in,
                     sample.packets_out) +
         large_number(sample.bytes_in, exact) + large_number(sample.bytes_out, exact);
}

std::string heading(TableKind kind) {
  constexpr std::string_view kFirst = "Prot LocalAddress:Port";
  constexpr std::string_view kSecond = "  -> RemoteAddress:Port";
  switch (kind) {
    case TableKind::kList:
      break;
    case TableKind::kStats:
      return fmt::format("{:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{}\n", kFirst, "Conns", "InPkts",
                         "OutPkts", "InBytes", "OutBytes", kSecond);
    case TableKind::kRate:
      return fmt::format("{:<33} {:>8} {:>8} {:>8} {:>8} {:>8}\n{}\n", kFirst, "CPS", "InPPS",
                         "OutPPS", "InBPS", "OutBPS", kSecond);
    case TableKind::kThresholds:
      return fmt::format("{:<33} {:<10} {:<10} {:<10} {:<10}\n{}\n", kFirst, "Uthreshold",
                         "Lthreshold", "ActiveConn", "InActConn", kSecond);
    case TableKind::kPersistent:
      return fmt::format("{:<33} {:<9} {:<11} {:<10} {:<10}\n{}\n", kFirst, "Weight", "PersistConn",
                         "ActiveConn", "InActConn", kSecond);
  }
  return fmt::format("{} Scheduler Flags\n{:<33} Forward Weight ActiveConn InActConn\n", kFirst,
                     kSecond);
}

std::string service_row(const ServiceSample& service, const TableOptions& options, Names& names) {
  const std::string name = title(service, names);
  switch (options.kind) {
    case TableKind::kStats:
      return fmt::format("{:<33}{}\n", name, traffic(service.stats, options.exact));
    case TableKind::kRate:
      return fmt::format("{:<33}{}\n", name, rates(service.rate, options.exact));
    default:
      return fmt::format("{} {}{}\n", name, service.scheduler, flags(service));
  }
}

std::string server_row(const RealServerSample& server, const ServiceSample& service,
                       const TableOptions& options, Names& names) {
  const std::string name =
      fmt::format("  -> {:<28}",
                  place(server.address, port_there(server, service), protocol_of(service), names));
  switch (options.kind) {
    case TableKind::kList:
      break;
    case TableKind::kStats:
      return fmt::format("{}{}\n", name, traffic(server.stats, options.exact));
    case TableKind::kRate:
      return fmt::format("{}{}\n", name, rates(server.rate, options.exact));
    case TableKind::kThresholds:
      return fmt::format("{} {:<10} {:<10} {:<10} {:<10}\n", name, server.upper, server.lower,
                         server.active, server.inactive);
    case TableKind::kPersistent:
      return fmt::format("{} {:<9} {:<11} {:<10} {:<10}\n", name, server.weight, server.persistent,
                         server.active, server.inactive);
  }
  return fmt::format("{} {:<7} {:<6} {:<10} {:<10}\n", name, forward_name(server.forward),
                     server.weight, server.active, server.inactive);
}

// As ipvsadm sorts: marks last, IPv4 first.
auto order_of(const ServiceSample& service) {
  const bool own = has_row_of_its_own(service);
  return std::tuple(!own, is_v6(service), own && protocol_of(service) == "udp",
                    own ? service.addresses.front().address : IpAddress{}, port_of(service),
                    service.name);
}

}  // namespace

std::string NumericNames::port(uint16_t port, std::string_view) {
  return fmt::to_string(port);
}

std::string version_line(const ServiceList& list) {
  return fmt::format("IP Virtual Server version Shunt-{} (size={})\n", list.version,
                     list.table_size);
}

std::string format_services(std::vector<ServiceSample> services, const TableOptions& options,
                            Names& names) {
  if (options.sorted) {
    std::ranges::sort(services, {}, order_of);
    for (ServiceSample& service : services)
      std::ranges::sort(service.servers, {}, [](const RealServerSample& server) {
        return std::tuple(server.address, server.port);
      });
  }
  std::string text = heading(options.kind);
  for (const ServiceSample& service : services) {
    text += service_row(service, options, names);
    for (const RealServerSample& server : service.servers)
      text += server_row(server, service, options, names);
  }
  return text;
}

std::string format_pools(const std::vector<PoolSample>& pools) {
  std::string text;
  for (const PoolSample& pool : pools) {
    text += fmt::format("POOL {} {}\n", pool.name, pool.scheduler);
    for (const PoolServerSample& server : pool.servers)
      text += fmt::format("  -> {:<28} {:<7} {:<6} {:<10} {:<10}\n", server.address, "Proxy",
                          server.weight, server.active, server.inactive);
  }
  return text;
}

std::string format_losses(const LossSample& losses, bool exact) {
  std::vector<DropSample> rows = losses.drops;
  rows.push_back({"(lost)", "No room in the rings: packets come faster than they are forwarded.",
                  losses.lost});
  rows.push_back({"(hashed)",
                  "Not dropped: placed by hash and not remembered, as the table was full or too "
                  "many connections were new.",
                  losses.hashed});
  rows.push_back({"(evicted)", "Connections given up to make room for others.", losses.evicted});
  rows.push_back(
      {"(conflicts)", "Times that another host spoke for a virtual address.", losses.conflicts});
  std::erase_if(rows, [](const DropSample& row) { return row.packets == 0; });
  if (rows.empty()) return "Nothing has been dropped.\n";
  // Of equal ones the order of the table of reasons, which is that of the path.
  std::vector<size_t> order(rows.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return std::tuple(rows[b].packets, a) < std::tuple(rows[a].packets, b);
  });
  std::string text = fmt::format(" {:>8} {:<19} {}\n", "Packets", "Reason", "Meaning");
  for (const size_t i : order)
    text += fmt::format("{} {:<19} {}\n", large_number(rows[i].packets, exact), rows[i].reason,
                        rows[i].text);
  return text;
}

std::string connection_heading() {
  return fmt::format("IPVS connection entries\n{:<3} {:<6} {:<11} {:<18} {:<18} {}\n", "pro",
                     "expire", "state", "source", "virtual", "destination");
}

std::string format_connection(const ConnectionSample& connection, Names& names) {
  constexpr uint32_t kSeconds = 60;
  const std::string_view protocol = connection.protocol;
  const std::string expires =
      fmt::format("{:02}:{:02}", connection.expires / kSeconds, connection.expires % kSeconds);
  return fmt::format("{:<3} {:<6} {:<11} {:<18} {:<18} {}\n",
                     protocol == "tcp"   ? "TCP"
                     : protocol == "udp" ? "UDP"
                                         : "IP",
                     expires, connection.state,
                     place(connection.client, connection.client_port, protocol, names),
                     place(connection.address, connection.port, protocol, names),
                     place(connection.server, connection.server_port, protocol, names));
}

const ServiceSample* find_service(const std::vector<ServiceSample>& services,
                                  std::string_view protocol, const IpAddress& address,
                                  uint16_t port) {
  const auto found = std::ranges::find_if(services, [&](const ServiceSample& service) {
    return has_row_of_its_own(service) && protocol_of(service) == protocol &&
           service.addresses.front().address == address && port_of(service) == port;
  });
  return found == services.end() ? nullptr : &*found;
}

}  // namespace shunt::app
