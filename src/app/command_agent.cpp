// `shunt agent`: what runs on a real server. Main thread, the only one.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "app/commands.h"
#include "app/decap_agent.h"
#include "app/privileges.h"
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

// Whom to become. Nothing: the same, as it is not root.
Result<std::optional<Identity>> identity_of(const AgentCommand& command) {
  if (command.user.empty() && ::geteuid() != 0) return std::nullopt;
  auto identity = look_up_user(command.user.empty() ? "nobody" : command.user, "--user");
  if (identity) return *identity;
  return fail(identity.error().text + "; `--user root` keeps root's rights");
}

}  // namespace

ExitCode run_agent(const AgentCommand& command) {
  const auto options = options_of(command);
  if (!options) {
    fmt::print(stderr, "shunt: {}\n", options.error().text);
    return ExitCode::kUsage;
  }
  const auto identity = identity_of(command);
  if (!identity) {
    fmt::print(stderr, "shunt: {}\n", identity.error().text);
    return ExitCode::kWrongInput;
  }
  Signals signals;
  const auto agent = DecapAgent::open(*options);
  if (!agent) {
    fmt::print(stderr, "shunt: {}\n", agent.error().text);
    return agent.error().sys == ENODEV ? ExitCode::kWrongInput : ExitCode::kMissingFeature;
  }
  // From here on there is nothing that needs a right.
  const auto dropped = *identity ? drop_privileges(**identity) : drop_capabilities();
  if (!dropped) {
    fmt::print(stderr, "shunt: {}\n", dropped.error().text);
    return ExitCode::kMissingFeature;
  }
  log::info("agent: ending tunnels on {} for {}, through {}", command.decap,
            fmt::join(command.addresses, ", "), command.tun);
  (*agent)->run(signals.fd());
  log::info("agent stopped: {}", (*agent)->totals().to_string());
  return ExitCode::kFine;
}

}  // namespace shunt::app
