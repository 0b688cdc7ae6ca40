// `shunt ctl`: asks a running Shunt, and prints what it says in ipvsadm's tables. Main thread, the
// only one.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "app/admin_client.h"
#include "app/admin_json.h"
#include "app/commands.h"
#include "app/ctl_address.h"
#include "app/ctl_watch.h"
#include "app/ipvsadm_tables.h"
#include "app/system_names.h"

namespace shunt::app {
namespace {

std::unique_ptr<Names> names_for(const CtlCommand& command) {
  if (command.numeric) return std::make_unique<NumericNames>();
  return std::make_unique<SystemNames>();
}

// Scripts that read ipvsadm take a server's line for one of the service above it, so pools are
// there when asked for only.
Result<void> list(const CtlCommand& command, const SocketAddress& address) {
  const auto text = ask_admin(address, "/v1/services");
  if (!text) return std::unexpected(text.error());
  auto answer = services_from_json(*text);
  if (!answer) return std::unexpected(answer.error());
  std::vector<PoolSample> pools;
  if (command.pools) {
    const auto of_pools = ask_admin(address, "/v1/pools");
    if (!of_pools) return std::unexpected(of_pools.error());
    auto found = pools_from_json(*of_pools);
    if (!found) return std::unexpected(found.error());
    pools = std::move(*found);
  }
  const auto names = names_for(command);
  const TableOptions options{
      .kind = command.table, .exact = command.exact, .sorted = command.sorted};
  if (!command.service) {
    fmt::print("{}{}{}", version_line(*answer), format_services(answer->services, options, *names),
               format_pools(pools));
    if (answer->services.empty() && !command.pools)
      fmt::print(stderr, "shunt: no [[service]] is running; --pools lists the pools of layer 7\n");
    return {};
  }
  const CtlService& wanted = *command.service;
  const ServiceSample* found =
      find_service(answer->services, wanted.protocol, wanted.address, wanted.port);
  if (found == nullptr)
    return fail(fmt::format("No such service: {} {}", wanted.protocol,
                            SocketAddress(wanted.address, wanted.port).to_string()));
  fmt::print("{}", format_services({*found}, options, *names));
  return {};
}

// Each as it comes: there may be a million.
Result<void> list_connections(const CtlCommand& command, const SocketAddress& address) {
  const auto names = names_for(command);
  Result<void> outcome;
  fmt::print("{}", connection_heading());
  Lines lines([&](std::string_view line) {
    const auto connection = connection_from_json(line);
    if (!connection) {
      outcome = std::unexpected(connection.error());
      return false;
    }
    fmt::print("{}", format_connection(*connection, *names));
    return true;
  });
  SHUNT_TRY(ask_admin(address, "/v1/connections",
                      [&](std::string_view bytes) { return lines.add(bytes); }));
  return outcome;
}

Result<void> list_drops(const CtlCommand& command, const SocketAddress& address) {
  const auto text = ask_admin(address, "/v1/drops");
  if (!text) return std::unexpected(text.error());
  const auto losses = losses_from_json(*text);
  if (!losses) return std::unexpected(losses.error());
  if (losses->drops.empty()) return fail("layer 4 does not run: there is no [[service]]");
  fmt::print("{}", format_losses(*losses, command.exact));
  return {};
}

Result<void> print_json(const CtlCommand& command, const SocketAddress& address) {
  const char* const target = command.drops         ? "/v1/drops"
                             : command.connections ? "/v1/connections"
                             : command.pools       ? "/v1/pools"
                                                   : "/v1/services";
  return ask_admin(address, target, [](std::string_view bytes) {
    return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size();
  });
}

}  // namespace

ExitCode run_ctl(const CtlCommand& command) {
  const auto address = admin_address(command.admin, command.config);
  if (!address) {
    fmt::print(stderr, "shunt: {}\n", address.error().text);
    return ExitCode::kWrongInput;
  }
  const Result<void> done = command.watch         ? watch_packets(command, *address)
                            : command.json        ? print_json(command, *address)
                            : command.drops       ? list_drops(command, *address)
                            : command.connections ? list_connections(command, *address)
                                                  : list(command, *address);
  if (done) return ExitCode::kFine;
  std::fflush(stdout);
  fmt::print(stderr, "shunt: {}\n", done.error().text);
  return done.error().sys == EACCES ? ExitCode::kMissingFeature : ExitCode::kWrongInput;
}

}  // namespace shunt::app
