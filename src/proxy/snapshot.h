// One generation of the configuration as the data path uses it: immutable, shared by all workers;
// app builds it. A request finishes on the generation it began with. The server sets outlive
// generations: a reload edits them in place.
#pragma once

#include <memory>
#include <vector>

#include "core/config.h"
#include "rules/actions.h"
#include "rules/rule_set.h"
#include "sched/server_set.h"

namespace shunt::proxy {

// A pool: its configuration in this generation, and the server set that it shares with the other
// generations.
struct Pool {
  const config::Pool* config = nullptr;  // Into Snapshot::config.
  std::shared_ptr<sched::ServerSet> servers;
  config::LocalityKey key;     // With the scheduler's default filled in.
  bool key_needed = false;     // The scheduler looks at the key (dh, lblc, lblcr, sh, mh by key).
  bool key_is_source = false;  // sh and mh hash the client's address and port, as the kernel does.
};

struct Snapshot {
  uint64_t generation = 0;  // Counts up with each reload, from 1.
  config::Config config;
  std::unique_ptr<const rules::RuleSet> rules;  // Over config.rules.
  // Parallel to config.rules; null for those that pass messages on as they are.
  std::vector<std::unique_ptr<const rules::Actions>> actions;
  std::vector<Pool> pools;  // Parallel to config.pools.
};

}  // namespace shunt::proxy
