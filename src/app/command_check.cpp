// `shunt check`: everything that can be known about a configuration without serving it, in one
// pass.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/review.h"
#include "app/server.h"

namespace shunt::app {
namespace {

std::string counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

// The line at the end, for people.
std::string summary(const CheckCommand& command, const Reviewed& reviewed) {
  const Prepared& prepared = reviewed.prepared;
  const Diagnostics& diagnostics = prepared.diagnostics;
  const size_t warnings = diagnostics.all().size() - diagnostics.error_count();
  if (!prepared.good()) {
    return fmt::format("{}: {}, {}{}\n", command.file, counted(diagnostics.error_count(), "error"),
                       counted(warnings, "warning"),
                       reviewed.complete ? "" : "; no [[test]] run, rules not compared");
  }
  std::string out = fmt::format("{} is fine: {}", command.file, describe(prepared.config()));
  if (reviewed.tests.passed > 0)
    out += fmt::format(", {} passed", counted(reviewed.tests.passed, "test"));
  if (warnings > 0) out += fmt::format(", {}", counted(warnings, "warning"));
  return out + "\n";
}

std::string to_json(const CheckCommand& command, const Reviewed& reviewed) {
  const Prepared& prepared = reviewed.prepared;
  const Diagnostics& diagnostics = prepared.diagnostics;
  nlohmann::ordered_json out;
  out["file"] = command.file;
  out["fine"] = prepared.good();
  out["errors"] = diagnostics.error_count();
  out["warnings"] = diagnostics.all().size() - diagnostics.error_count();
  out["complete"] = reviewed.complete;
  out["tests"] = {{"passed", reviewed.tests.passed}, {"failed", reviewed.tests.failed}};
  out["diagnostics"] = nlohmann::ordered_json::parse(diagnostics.to_json());
  return out.dump(2) + "\n";
}

}  // namespace

Outcome check(const CheckCommand& command) {
  const Reviewed reviewed =
      review_file(command.file, command.here ? RunsOn::kThisHost : RunsOn::kAnyHost);
  const Prepared& prepared = reviewed.prepared;
  Outcome outcome;
  if (!prepared.good()) outcome.code = code_of(reviewed);
  if (command.json) {
    outcome.out = to_json(command, reviewed);
    return outcome;
  }
  outcome.err = prepared.diagnostics.to_string();
  std::string& end = prepared.good() ? outcome.out : outcome.err;
  end += summary(command, reviewed);
  return outcome;
}

}  // namespace shunt::app
