// From a configuration to a snapshot that serves, in two phases, so that a reload is all or
// nothing: prepare() finds every problem and changes nothing; ServerSets::apply() changes what is
// shared with the running generation and cannot fail. Main thread; a finished snapshot is immutable
// and goes to the workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/rate_limiters.h"
#include "app/server_names.h"
#include "core/config_load.h"
#include "core/diagnostics.h"
#include "proxy/snapshot.h"

namespace shunt::app {

// A configuration with its rules compiled and each pool's scheduler tried out.
struct Prepared {
  std::unique_ptr<proxy::Snapshot> snapshot;  // Its pools have no servers yet. Never null.
  // Parallel to config.pools: under its scheduler, with no servers yet; used if the pool is new.
  std::vector<std::unique_ptr<sched::ServerSet>> empty_sets;
  Diagnostics diagnostics;

  bool good() const { return !diagnostics.has_errors(); }
  const config::Config& config() const { return snapshot->config; }
};

Prepared prepare(config::Loaded loaded);
Prepared prepare_file(const std::filesystem::path& path);

// The locality key in force: the pool's own, or the scheduler's default.
config::LocalityKey effective_key(const config::Pool& pool);

// What apply() changed; for the log.
struct Changes {
  size_t pools_added = 0;
  size_t pools_removed = 0;
  size_t servers_added = 0;
  size_t servers_removed = 0;
  size_t servers_edited = 0;
  size_t schedulers_changed = 0;
};

// The server sets in use, by the pool's name, and the rate limiters: what survives a reload.
class ServerSets {
 public:
  // Brings the sets in line with a good() configuration and completes its snapshot. Servers are
  // matched by name: the same address keeps its counts and gets the new weight and limits, another
  // address is another server. `names`: who knows what servers by name lead to; null: nobody, and
  // each of them is listed as it is, without an address (to explain, not to serve).
  std::shared_ptr<const proxy::Snapshot> apply(Prepared prepared, Changes& changes,
                                               const MemberSource* names = nullptr);
  // Brings the sets of the snapshot in use in line with names that lead to other servers now.
  void refresh(const proxy::Snapshot& snapshot, std::span<const config::DnsAddress> changed,
               const MemberSource& names);

 private:
  void make_sticky(proxy::Pool& pool);
  void make_tokens(const proxy::Pool& pool);

  struct PoolParts {
    std::shared_ptr<sched::ServerSet> servers;
    std::shared_ptr<proxy::PoolState> state;
  };
  std::map<std::string, PoolParts> pools_;
  // From the first configuration with TLS on: tickets outlive reloads.
  std::unique_ptr<io::TlsTicketKeys> tickets_;
  std::string sticky_key_;  // Of pools without a secret; from the first of them on.
  RateLimiters rate_limiters_;
  uint64_t generation_ = 0;
};

}  // namespace shunt::app
