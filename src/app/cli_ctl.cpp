// Declares the options and checks how they go together.
#include "app/cli_ctl.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace shunt::app {
namespace {

constexpr const char* kFooter =
    R"(Short options go together as in ipvsadm: `shunt ctl -Ln`, `-Lnc`. Where Shunt is asked: --admin, or what
--config has as [global] admin, or 127.0.0.1:9090. Examples:
  shunt ctl -Ln --rate                       what passes through each service and server per second
  shunt ctl -Lnc                             the connections, their states and when they expire
  shunt ctl drops                            what was dropped, and why
  shunt ctl trace --client 192.0.2.7         where its packets go, and why

docs/ctl.md explains the tables, and the HTTP behind them.)";

constexpr const char* kTraceFooter =
    R"(Example:
  shunt ctl trace --service web --client 192.0.2.7 --seconds 10)";

constexpr const char* kPcapFooter =
    R"(Each packet is there twice: as it came, and as it left. Examples:
  shunt ctl pcap --service web --seconds 10 -w web.pcap
  shunt ctl pcap --client 192.0.2.7 -w - | tcpdump -n -r -)";

// "10.0.0.1:80", "[::1]:80", or without a port for one that takes all.
std::expected<CtlService, std::string> parse_service(std::string_view protocol,
                                                     const std::string& text) {
  CtlService service{.protocol = std::string(protocol)};
  if (const auto address = SocketAddress::parse(text); address && address->is_ip()) {
    service.address = address->ip();
    service.port = address->port();
    return service;
  }
  const auto address = IpAddress::parse(text);
  if (!address)
    return std::unexpected(fmt::format("\"{}\" is not \"ADDRESS:PORT\" of a service", text));
  service.address = *address;
  return service;
}

void declare_watch(CLI::App& command, CtlWatch& watch) {
  constexpr uint32_t kSecondsMost = 86'400;
  command.add_option("--service", watch.service, "A service by its name (default: all)")
      ->type_name("NAME");
  command.add_option("--client", watch.client, "A client, or one flow of it (default: all)")
      ->type_name("ADDRESS[:PORT]");
  command.add_option("--seconds", watch.seconds, "How long (default: until Ctrl-C)")
      ->check(CLI::Range(1u, kSecondsMost))
      ->type_name("N");
  command.add_option("--packets", watch.packets, "How many packets from clients and servers")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
}

void declare_trace(CLI::App& ctl, CtlOptions& options) {
  CLI::App* command =
      ctl.add_subcommand("trace", "Follow packets: what came, what was decided and why, what left");
  declare_watch(*command, options.trace);
  command->add_flag("--json", options.command.json, "A line of JSON for each packet");
  command->footer(kTraceFooter);
  command->fallthrough();
}

void declare_pcap(CLI::App& ctl, CtlOptions& options) {
  constexpr uint32_t kSnapMost = 65'549;
  CLI::App* command =
      ctl.add_subcommand("pcap", "Capture packets as they came and as they left, for tcpdump");
  declare_watch(*command, options.pcap);
  command->add_option("-w,--write", options.pcap.file, "File; -: standard output")
      ->required()
      ->type_name("FILE");
  command->add_option("--snaplen", options.pcap.snaplen, "Bytes of each frame (default: all)")
      ->check(CLI::Range(1u, kSnapMost))
      ->type_name("N");
  command->footer(kPcapFooter);
  command->fallthrough();
}

void declare_drops(CLI::App& ctl, CtlOptions& options) {
  CLI::App* command =
      ctl.add_subcommand("drops", "Count the packets that layer 4 dropped, by reason");
  command->add_flag("--exact", options.command.exact, "Large numbers in full");
  command->add_flag("--json", options.command.json, "JSON, as Shunt sends it, with all reasons");
  command->fallthrough();
}

}  // namespace

void declare_ctl(CLI::App& app, CtlOptions& options) {
  CtlCommand& ctl = options.command;
  CLI::App* command = app.add_subcommand("ctl", "Ask a running Shunt; tables as ipvsadm has them");
  command->add_option("--admin", ctl.admin, "Where Shunt's admin endpoint is")
      ->type_name("ADDRESS");
  command->add_option("--config", ctl.config, "Configuration file that says where")
      ->type_name("FILE");
  command->add_flag("-L,-l,--list", options.list, "List layer 4's services and servers");
  command->add_flag("-c,--connection", ctl.connections, "With -L: the connections");
  command->add_flag("-n,--numeric", ctl.numeric, "Addresses and ports as numbers");
  command->add_flag("--stats", options.stats, "With -L: counts of connections, packets and bytes");
  command->add_flag("--rate", options.rate, "With -L: the same per second");
  command->add_flag("--thresholds", options.thresholds, "With -L: upper and lower thresholds");
  command->add_flag("--persistent-conn", options.persistent, "With -L: persistent clients");
  command->add_flag("--exact", ctl.exact, "With --stats or --rate: large numbers in full");
  command->add_option("-t,--tcp-service", options.tcp_service, "With -L: this TCP service alone")
      ->type_name("ADDRESS:PORT");
  command->add_option("-u,--udp-service", options.udp_service, "With -L: this UDP service alone")
      ->type_name("ADDRESS:PORT");
  command->add_flag("--sort", options.sort, "With -L: by address and port, as without it");
  command->add_flag("--nosort", options.no_sort, "With -L: in the order of the configuration");
  command->add_flag("--pools", ctl.pools, "With -L: layer 7's pools and servers too");
  command->add_flag("--json", ctl.json, "JSON, as Shunt sends it");
  declare_drops(*command, options);
  declare_trace(*command, options);
  declare_pcap(*command, options);
  command->footer(kFooter);
}

std::expected<CtlCommand, std::string> ctl_command(const CLI::App& app, const CtlOptions& options) {
  const CLI::App& given = *app.get_subcommand("ctl");
  CtlCommand command = options.command;
  const bool trace = given.got_subcommand("trace");
  const bool pcap = given.got_subcommand("pcap");
  command.drops = given.got_subcommand("drops");
  if (trace || pcap || command.drops) {
    const int verbs =
        static_cast<int>(trace) + static_cast<int>(pcap) + static_cast<int>(command.drops);
    if (options.list || verbs > 1)
      return std::unexpected("-L, drops, trace or pcap: one at a time");
    if (command.drops) return command;
    command.watch = trace ? options.trace : options.pcap;
    command.watch->pcap = pcap;
    return command;
  }
  if (!options.list)
    return std::unexpected("`shunt ctl` needs to know what: -L, drops, trace or pcap (and --help)");
  const int tables = static_cast<int>(options.stats) + static_cast<int>(options.rate) +
                     static_cast<int>(options.thresholds) + static_cast<int>(options.persistent);
  if (tables > 1)
    return std::unexpected("--stats, --rate, --thresholds and --persistent-conn are one each");
  const bool one = given.count("-t") + given.count("-u") > 0;
  if (command.connections && (tables > 0 || one || command.pools))
    return std::unexpected("-c lists connections: without -t, -u, --pools or another table");
  if (given.count("-t") + given.count("-u") > 1)
    return std::unexpected("-t or -u, and once: one service, or all without them");
  if (command.pools && (tables > 0 || one)) return std::unexpected("--pools is for the plain -L");
  if (options.sort && options.no_sort) return std::unexpected("--sort or --nosort");
  command.sorted = !options.no_sort;
  command.table = options.stats        ? TableKind::kStats
                  : options.rate       ? TableKind::kRate
                  : options.thresholds ? TableKind::kThresholds
                  : options.persistent ? TableKind::kPersistent
                                       : TableKind::kList;
  if (one) {
    const bool tcp = given.count("-t") > 0;
    auto service =
        parse_service(tcp ? "tcp" : "udp", tcp ? options.tcp_service : options.udp_service);
    if (!service) return std::unexpected(service.error());
    command.service = *service;
  }
  return command;
}

}  // namespace shunt::app
