// The parts of `shunt explain` that a plain request has none of: a path that could be read in
// another way, and the server that a client belongs to. What they say comes from the functions that
// decide for live traffic. Pure; main thread.
#pragma once

#include <optional>
#include <string>

#include "app/sample_request.h"
#include "proxy/snapshot.h"
#include "rules/rule_set.h"

namespace shunt::app {

// Why the request is answered 400 although rule `matched` takes it, with the reading that makes the
// difference; nothing if it is not.
std::optional<std::string> explain_objection(const config::Config& config,
                                             const rules::RuleSet& rules,
                                             const SampleRequest& request, uint32_t matched);

// For a pool with stickiness: what makes the client belong to a server, and to which.
struct Affinity {
  std::string text;
  const sched::Server* server = nullptr;  // Null: the scheduler chooses, or only a running Shunt
                                          // could say.
};
Affinity explain_affinity(const proxy::Pool& pool, const SampleRequest& request);

}  // namespace shunt::app
