// The schedule command: reads trace files, replays their cases, and prints or compares what the
// schedulers decided.
#include "app/command_schedule.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <ostream>

#include "app/trace_file.h"
#include "sched/distribution.h"

namespace shunt::app {
namespace {

using sched::TraceDecision;
using sched::TraceResult;
using sched::TraceServer;

constexpr size_t kReplaysPerRun =
    50;  // Of a random scheduler: enough to know its distribution well.

std::string_view to_text(const TraceDecision& decision) {
  switch (decision.kind) {
    case TraceDecision::Kind::kNone:
      return "no decision";
    case TraceDecision::Kind::kRefused:
      return "none";
    case TraceDecision::Kind::kServer:
      return decision.server;
  }
  return "";
}

std::string to_text(const TraceServer& server) {
  return fmt::format("{}={}/{}/{}", server.name, server.weight, server.active, server.inactive);
}

std::string to_text(const std::vector<TraceServer>& servers) {
  std::string line;
  for (const TraceServer& server : servers) line += fmt::format(" {}", to_text(server));
  return line.empty() ? " no servers" : line;
}

std::string describe(const sched::TraceEvent& event) {
  using Kind = sched::TraceEvent::Kind;
  switch (event.kind) {
    case Kind::kOpen:
      return fmt::format("open {} from {} to {}", event.connection, event.source.to_string(),
                         event.destination.to_string());
    case Kind::kClose:
      return fmt::format("close {} by {}", event.connection, event.reset ? "rst" : "fin");
    case Kind::kAdd:
      return fmt::format("add {}", event.server.name);
    case Kind::kEdit:
      return fmt::format("edit {}", event.server.name);
    case Kind::kRemove:
      return fmt::format("del {}", event.server.name);
    case Kind::kExpire:
      return "expire";
  }
  return "";
}

// The picks of one replay as a recorded run has them: the digit a server's name ends in, or '-'.
std::string picks_of(const TraceResult& result) {
  std::string picks;
  for (const TraceDecision& decision : result.decisions) {
    if (decision.kind == TraceDecision::Kind::kRefused) picks += '-';
    if (decision.kind == TraceDecision::Kind::kServer) picks += decision.server.back();
  }
  return picks;
}

// What differs from the recording, or nothing.
using Difference = std::optional<std::string>;

Result<Difference> compare_runs(const TraceCase& recorded) {
  std::vector<std::string> replayed;
  for (uint64_t seed = 1; seed <= kReplaysPerRun * recorded.runs.size(); ++seed) {
    const auto result = sched::replay(recorded.trace, seed);
    if (!result) return std::unexpected(result.error());
    replayed.push_back(picks_of(*result));
  }
  for (const std::string& run : recorded.runs) {
    if (run.size() == replayed.front().size()) continue;
    return fmt::format("a run of {} picks was recorded, but the events make {}", run.size(),
                       replayed.front().size());
  }
  const sched::Comparison comparison = sched::compare_runs(recorded.runs, replayed);
  if (comparison.alike) return std::nullopt;
  return comparison.reason;
}

Result<Difference> compare_decisions(const TraceCase& recorded) {
  if (recorded.decisions.empty() && !recorded.trace.events.empty()) {
    return fail("there are no \"decisions\" to compare with");
  }
  const auto result = sched::replay(recorded.trace);
  if (!result) return std::unexpected(result.error());
  for (size_t index = 0; index < recorded.decisions.size(); ++index) {
    const TraceDecision& expected = recorded.decisions[index];
    const TraceDecision& got = result->decisions[index];
    if (got == expected) continue;
    return fmt::format("event {}, {}: expected {}, got {}", index,
                       describe(recorded.trace.events[index]), to_text(expected), to_text(got));
  }
  if (recorded.final.empty() || recorded.final == result->servers) return std::nullopt;
  return fmt::format("in the end: expected{}, got{}", to_text(recorded.final),
                     to_text(result->servers));
}

Result<std::string> print_line(const TraceCase& of) {
  const auto result = sched::replay(of.trace);
  if (!result) return std::unexpected(result.error());
  std::string line = of.name + ":";
  for (const TraceDecision& decision : result->decisions) {
    if (decision.kind != TraceDecision::Kind::kNone) line += fmt::format(" {}", to_text(decision));
  }
  return line + "; final" + to_text(result->servers);
}

Result<std::vector<TraceCase>> read_cases(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(fmt::format("cannot open: {}", std::strerror(errno)), errno);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return fail("cannot read");
  return parse_trace_file(text);
}

}  // namespace

int run_schedule(std::span<const std::string> files, bool verify, std::ostream& out,
                 std::ostream& err) {
  size_t passed = 0;
  size_t failed = 0;
  bool broken = false;
  const auto complain = [&](const std::string& path, const std::string& what) {
    fmt::print(err, "{}: error: {}\n", path, what);
    broken = true;
  };
  for (const std::string& path : files) {
    const auto cases = read_cases(path);
    if (!cases) {
      complain(path, cases.error().text);
      continue;
    }
    for (const TraceCase& each : *cases) {
      if (!verify) {
        const auto line = print_line(each);
        if (line) fmt::print(out, "{}\n", *line);
        if (!line) complain(path, fmt::format("case {}: {}", each.name, line.error().text));
        continue;
      }
      const auto difference = each.runs.empty() ? compare_decisions(each) : compare_runs(each);
      if (!difference) {
        complain(path, fmt::format("case {}: {}", each.name, difference.error().text));
        ++failed;
      } else if (*difference) {
        fmt::print(out, "{}: {}\n", each.name, **difference);
        ++failed;
      } else {
        ++passed;
      }
    }
  }
  if (verify) fmt::print(out, "{} passed, {} failed\n", passed, failed);
  return broken || failed > 0 ? 1 : 0;
}

}  // namespace shunt::app
