// From the configured weights of a set to those that its scheduler weighs: a server that has come,
// or come back, starts with a tenth of its weight and gains another with each tenth of its
// slow-start time. Weights are integers, so while one server starts slowly all weights of the set
// are ten times what they were: what counts is their ratio. Pure; guarded by the set's lock.
#pragma once

#include "sched/scheduler.h"

namespace shunt::sched {

inline constexpr int32_t kSlowStartSteps = 10;

// A server that starts slowly from its next refresh_weights() on; does nothing without slow_start.
inline void start_slowly(Server& server) {
  if (server.spec.slow_start > Duration{0}) server.slow_start = SlowStart::kBegins;
}

// Sets Server::weight and ::scale of all. True if any has changed. `next`: lowered to when there
// will be something to do again.
bool refresh_weights(const ServerList& servers, Instant now, Instant& next);

}  // namespace shunt::sched
