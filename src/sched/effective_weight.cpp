// The steps of the slow start.
#include "sched/effective_weight.h"

#include <algorithm>

namespace shunt::sched {
namespace {

// How many of the steps the server has made; kSlowStartSteps: all.
int32_t steps_of(Server& server, Instant now) {
  if (server.slow_start == SlowStart::kBegins) {
    server.slow_start = SlowStart::kRuns;
    server.slow_start_at = now;
  }
  if (server.slow_start != SlowStart::kRuns) return kSlowStartSteps;
  const Duration elapsed = now - server.slow_start_at;
  if (elapsed >= server.spec.slow_start) {  // Also when a reload has shortened it.
    server.slow_start = SlowStart::kOver;
    return kSlowStartSteps;
  }
  const Duration step = std::max(server.spec.slow_start / kSlowStartSteps, Duration{1});
  return std::min(static_cast<int32_t>(elapsed / step) + 1, kSlowStartSteps);
}

}  // namespace

bool refresh_weights(const ServerList& servers, Instant now, Instant& next) {
  bool any_slow = false;
  for (Server* server : servers) {
    server->slow_start_steps = steps_of(*server, now);
    if (server->slow_start != SlowStart::kRuns) continue;
    any_slow = true;
    next = std::min(next, server->slow_start_at +
                              server->spec.slow_start / kSlowStartSteps * server->slow_start_steps);
  }
  bool changed = false;
  const int32_t scale = any_slow ? kSlowStartSteps : 1;
  for (Server* server : servers) {
    const int32_t weight = server->spec.weight * (any_slow ? server->slow_start_steps : 1);
    changed = changed || server->weight != weight || server->scale != scale;
    server->weight = weight;
    server->scale = scale;
  }
  return changed;
}

}  // namespace shunt::sched
