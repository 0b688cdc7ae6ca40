// `shunt run`: loads the configuration, starts the server, and serves until a signal says
// otherwise.
#include <fmt/format.h>

#include <cstdio>

#include "app/commands.h"
#include "app/review.h"
#include "app/serve.h"
#include "app/server.h"
#include "app/signals.h"

namespace shunt::app {
namespace {

ExitCode check_only(const RunCommand& command) {
  const Outcome outcome = check({.file = command.config, .json = false, .here = true});
  fmt::print(stderr, "{}", outcome.err);
  if (outcome.code == ExitCode::kFine) fmt::print("configuration {} is fine\n", command.config);
  return outcome.code;
}

}  // namespace

ExitCode run_server(const RunCommand& command) {
  if (command.check_only) return check_only(command);
  log::set_level(command.log_level);
  Signals signals;
  Reviewed reviewed = review_file(command.config, RunsOn::kThisHost);
  Prepared& prepared = reviewed.prepared;
  fmt::print(stderr, "{}", prepared.diagnostics.to_string());
  if (!prepared.good()) return code_of(reviewed);
  auto server = Server::start(std::move(prepared));
  if (!server) {
    for (const std::string& text : server.error().texts) fmt::print(stderr, "shunt: {}\n", text);
    return server.error().code;
  }
  serve(**server, signals, command.config);
  return ExitCode::kFine;
}

}  // namespace shunt::app
