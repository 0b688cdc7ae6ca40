// `shunt import`: reads what ipvsadm saved, writes a configuration. Main thread.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "app/commands.h"
#include "app/ipvsadm_save.h"

namespace shunt::app {
namespace {

// "-": standard input.
bool read_all(const std::string& file, std::string& text) {
  const std::string path = file == "-" ? "/dev/stdin" : file;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return false;
  text.assign(std::istreambuf_iterator<char>(stream), {});
  return !stream.bad();
}

}  // namespace

Outcome import(const ImportCommand& command) {
  std::string text;
  errno = 0;
  if (!read_all(command.file, text))
    return {.code = ExitCode::kWrongInput,
            .err = fmt::format("shunt: {}: {}\n", command.file,
                               errno != 0 ? std::strerror(errno) : "cannot be read")};
  const Imported imported = import_ipvsadm(text, command.interface);
  Outcome outcome{.out = imported.toml};
  for (const ImportProblem& problem : imported.problems)
    outcome.err += fmt::format("{}:{}: {}\n", command.file, problem.line, problem.text);
  outcome.err +=
      fmt::format("shunt: services: {}, servers: {}\n", imported.services, imported.servers);
  if (!imported.problems.empty() || imported.services == 0) outcome.code = ExitCode::kWrongInput;
  return outcome;
}

}  // namespace shunt::app
