// One generation of the configuration as the data path uses it: immutable, shared by all workers;
// app builds it. A request finishes on the generation it began with. The server sets outlive
// generations: a reload edits them in place.
#pragma once

#include <memory>
#include <vector>

#include "core/config.h"
#include "core/rate_limiter.h"
#include "io/tls_files.h"
#include "io/tls_tickets.h"
#include "proxy/pool_state.h"
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
  // Parallel to config->servers, null for plain ones; empty if all are. Into Snapshot::server_tls.
  std::vector<const io::TlsClientFiles*> tls = {};
  std::shared_ptr<PoolState> state = {};      // Never null; shared as the servers are.
  std::unique_ptr<StickyTokens> tokens = {};  // With cookies that name servers; else null.
  bool has_names = false;  // Servers by name, as whose members others come and go.

  // False: the server came with a later reload, and only that says how to speak to it.
  bool knows(const sched::Server& server) const;
  // Of one of the pool's servers; null: plain.
  const io::TlsClientFiles* tls_of(const sched::Server& server) const;
  // What a request names it by in Host.
  std::string host_of(const sched::ServerSpec& server) const;
};

struct Snapshot {
  uint64_t generation = 0;  // Counts up with each reload, from 1.
  config::Config config;
  std::unique_ptr<const rules::RuleSet> rules;  // Over config.rules.
  // Parallel to config.rules; null for those that pass messages on as they are.
  std::vector<std::unique_ptr<const rules::Actions>> actions;
  std::vector<Pool> pools;  // Parallel to config.pools.
  // Parallel to config.listeners; null: plain.
  std::vector<std::unique_ptr<const io::TlsServerFiles>> listener_tls;
  std::vector<std::unique_ptr<const io::TlsClientFiles>> server_tls;
  io::TlsTicketKeys* tickets = nullptr;  // Of the process, which they outlive; set with any TLS.
  // The fields in which listeners tell servers who their clients are: lower case, none twice. What
  // clients send under these names reaches no server, whichever listener they came to.
  std::vector<std::string> client_headers;

  bool has_tls() const { return tickets != nullptr; }
  // Parallel to config.rules and config.listeners, null where there is no limit. They outlive
  // generations, as server sets do.
  std::vector<std::shared_ptr<RateLimiter>> rule_limiters;
  std::vector<std::shared_ptr<RateLimiter>> listener_limiters;
};

// Where it says how to speak to `server`: in the request's own pool, or in the newest generation's
// of that name. Null: the server may want TLS, and this worker has not been told yet.
const Pool* pool_that_knows(const sched::Server& server, const Pool& own, const Snapshot& newest);

}  // namespace shunt::proxy
