// The files that `shunt schedule` reads: JSON with recorded traces and what was decided, as
// tests/data/golden/README.md describes them. Parsing only; pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "sched/trace.h"

namespace shunt::app {

struct TraceCase {
  std::string name;
  sched::Trace trace;
  std::vector<sched::TraceDecision> decisions;  // Recorded, one per event; empty if not.
  std::vector<sched::TraceServer> final;        // Recorded, sorted by name; empty if not.
  // Recorded of a random scheduler, instead of decisions: a digit per pick ('2' is the server rs2),
  // '-' for none.
  std::vector<std::string> runs;
};

// All cases of a file. The error names the case and, where it is in one, the event (counted from
// 0).
Result<std::vector<TraceCase>> parse_trace_file(std::string_view text);

}  // namespace shunt::app
