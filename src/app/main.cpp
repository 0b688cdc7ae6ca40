// Runs the command that the command line asks for, and turns what it says into output and an exit
// code.
#include <fmt/format.h>

#include <cstdio>
#include <span>
#include <sstream>

#include "app/cli.h"
#include "app/command_schedule.h"
#include "app/commands.h"

namespace {

using shunt::app::ExitCode;
using shunt::app::Outcome;

int finish(const Outcome& outcome) {
  std::fwrite(outcome.out.data(), 1, outcome.out.size(), stdout);
  std::fflush(stdout);
  std::fwrite(outcome.err.data(), 1, outcome.err.size(), stderr);
  return to_int(outcome.code);
}

struct Run {
  int operator()(const shunt::app::RunCommand& command) const {
    return to_int(run_server(command));
  }
  int operator()(const shunt::app::CheckCommand& command) const { return finish(check(command)); }
  int operator()(const shunt::app::ExplainCommand& command) const {
    return finish(explain(command));
  }
  int operator()(const shunt::app::DemoCommand& command) const { return to_int(run_demo(command)); }
  int operator()(const shunt::app::AgentCommand& command) const {
    return to_int(run_agent(command));
  }
  int operator()(const shunt::app::CtlCommand& command) const { return to_int(run_ctl(command)); }
  int operator()(const shunt::app::ImportCommand& command) const { return finish(import(command)); }
  int operator()(const shunt::app::ScheduleCommand& command) const {
    std::ostringstream out;
    std::ostringstream err;
    const int code = shunt::app::run_schedule(command.files, command.verify, out, err);
    return finish({.code = static_cast<ExitCode>(code), .out = out.str(), .err = err.str()});
  }
};

}  // namespace

int main(int argument_count, char** arguments) {
  const std::span<char*> words(arguments, static_cast<size_t>(argument_count));
  const auto command = shunt::app::parse_command_line(
      std::span<const char* const>(words.data() + 1, words.size() - 1));
  if (!command) return finish(command.error());
  return std::visit(Run(), *command);
}
