// `shunt agent`: what runs on a real server. Main thread, the only one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>

#include "app/commands.h"
#include "app/decap_agent.h"
#include "app/signals.h"
#include "core/log.h"

namespace shunt::app {
namespace {

Result<DecapOptions> options_of(const AgentCommand& command) {
  DecapOptions options{
      .interface = command.decap, .tun = command.tun, .gue_port = command.gue_port};
  for (const std::string& text : command.addresses) {
    const auto address = IpAddress::parse(text);
    if (!address) return fail(fmt::format("--address {}: {}", text, address.error().text));
    options.addresses.push_back(*address);
  }
  for (const std::string& text : command.from) {
    const auto network = Cidr::parse(text);
    if (!network) return fail(fmt::format("--from {}: {}", text, network.error().text));
    options.from.push_back(*network);
  }
  return options;
}

}  // namespace

ExitCode run_agent(const AgentCommand& command) {
  const auto options = options_of(command);
  if (!options) {
    fmt::print(stderr, "shunt: {}\n", options.error().text);
    return ExitCode::kUsage;
  }
  Signals signals;
  const auto agent = DecapAgent::open(*options);
  if (!agent) {
    fmt::print(stderr, "shunt: {}\n", agent.error().text);
    return agent.error().sys == ENODEV ? ExitCode::kWrongInput : ExitCode::kMissingFeature;
  }
  log::info("agent: ending tunnels on {} for {}, through {}", command.decap,
            fmt::join(command.addresses, ", "), command.tun);
  (*agent)->run(signals.fd());
  log::info("agent stopped: {}", (*agent)->totals().to_string());
  return ExitCode::kFine;
}

}  // namespace shunt::app
