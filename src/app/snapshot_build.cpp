// Builds snapshots and edits the server sets that they share. See the header for the two phases.
#include "app/snapshot_build.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "core/assert.h"
#include "core/wall_clock.h"
#include "io/tls_hash.h"
#include "sched/registry.h"

namespace shunt::app {
namespace {

sched::ServerSpec spec_of(const config::Server& server) {
  return {.name = server.name,
          .address = server.address,
          .weight = server.weight,
          .upper = server.upper,
          .lower = server.lower,
          .capacity = server.max_connections,
          .slow_start = server.slow_start,
          .breaker = {.requests = server.breaker.requests,
                      .pending = server.breaker.pending,
                      .retries = server.breaker.retries,
                      .open = server.breaker.time}};
}

// sh and mh place a client, dh, lblc and lblcr what it asks for.
bool hashes_source(std::string_view scheduler) {
  return scheduler == "sh" || scheduler == "mh";
}

bool hashes_destination(std::string_view scheduler) {
  return scheduler == "dh" || scheduler == "lblc" || scheduler == "lblcr";
}

// An empty set under the pool's scheduler; whether it may list the pool's servers is found out
// without listing them, because a server that joins a set gets an id, and ids are for good. What is
// refused becomes an error of the configuration.
std::unique_ptr<sched::ServerSet> try_pool(const config::Pool& pool, Diagnostics& diagnostics) {
  for (const config::Server& server : pool.servers) {
    const auto fine = sched::check(spec_of(server));
    if (fine) continue;
    diagnostics.error(server.place,
                      fmt::format("server \"{}\": {}", server.name, fine.error().text));
  }
  auto set = sched::ServerSet::create(pool.scheduler, pool.scheduler_flags);
  if (set) return std::move(*set);
  diagnostics.error(pool.place, fmt::format("pool \"{}\": {}", pool.name, set.error().text));
  return nullptr;
}

const io::TlsClientFiles* find_tls(const proxy::Snapshot& snapshot,
                                   const config::ServerTls& settings) {
  for (const auto& files : snapshot.server_tls) {
    if (files->settings == settings) return files.get();
  }
  return nullptr;
}

// Reads certificates, keys and authorities. Servers with the same settings share what is read.
void load_all_tls(proxy::Snapshot& snapshot, Diagnostics& diagnostics) {
  const int64_t now = wall_clock_ms() / 1000;
  for (const config::Listener& listener : snapshot.config.listeners) {
    auto& files = snapshot.listener_tls.emplace_back();
    if (!listener.tls) continue;
    files = io::load_tls(listener.tls, now, diagnostics);
    std::string header = listener.tls.client_header;
    std::ranges::transform(header, header.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!header.empty() &&
        std::ranges::find(snapshot.client_headers, header) == snapshot.client_headers.end())
      snapshot.client_headers.push_back(header);
  }
  for (const config::Pool& pool : snapshot.config.pools) {
    for (const config::Server& server : pool.servers) {
      if (!server.tls || find_tls(snapshot, server.tls) != nullptr) continue;
      auto files = io::load_tls(server.tls, now, diagnostics);
      if (files != nullptr) snapshot.server_tls.push_back(std::move(files));
    }
  }
}

std::vector<const io::TlsClientFiles*> tls_of_servers(const proxy::Snapshot& snapshot,
                                                      const config::Pool& pool) {
  if (std::ranges::none_of(pool.servers, [](const config::Server& one) { return !!one.tls; }))
    return {};
  std::vector<const io::TlsClientFiles*> out;
  for (const config::Server& server : pool.servers)
    out.push_back(server.tls ? find_tls(snapshot, server.tls) : nullptr);
  return out;
}

proxy::Pool snapshot_pool(const config::Pool& pool, std::shared_ptr<sched::ServerSet> servers,
                          std::shared_ptr<proxy::PoolState> state) {
  const config::LocalityKey key = effective_key(pool);
  const bool by_source = hashes_source(pool.scheduler);
  const bool key_is_source = by_source && key.kind == config::LocalityKey::Kind::kSource;
  return {.config = &pool,
          .servers = std::move(servers),
          .key = key,
          .key_needed = hashes_destination(pool.scheduler) || (by_source && !key_is_source),
          .key_is_source = key_is_source,
          .state = std::move(state),
          .has_names = pool.has_names()};
}

// A server by name becomes one per address, with its weight, limits and all.
void add_members(const config::Server& server, std::span<const Member> members,
                 std::vector<sched::ServerSpec>& specs) {
  const std::vector<int32_t> weights = weights_of(server.weight, members);
  for (size_t i = 0; i < members.size(); ++i) {
    sched::ServerSpec& spec = specs.emplace_back(spec_of(server));
    spec.name = config::member_name(server.name, members[i].address);
    spec.address = members[i].address;
    spec.weight = weights[i];
  }
}

void reconcile(sched::ServerSet& set, const config::Pool& pool, const MemberSource* names,
               Changes& changes) {
  std::vector<sched::ServerSpec> specs;
  for (const config::Server& server : pool.servers) {
    if (server.dns && names != nullptr) {
      add_members(server, names->members(*server.dns), specs);
    } else {
      specs.push_back(spec_of(server));
    }
  }
  const auto done = set.reconcile(specs, pool.scheduler, pool.scheduler_flags);
  SHUNT_ASSERT(done.has_value());  // prepare() has looked at all that could be refused.
  set.set_circuit_rules({.failures = pool.ejection.failures,
                         .open_first = pool.ejection.time,
                         .open_longest = pool.ejection.time_max,
                         .share_max = pool.ejection.max_share});
  changes.servers_added += done->added;
  changes.servers_removed += done->removed;
  changes.servers_edited += done->edited;
  if (done->scheduler_changed) ++changes.schedulers_changed;
}

}  // namespace

config::LocalityKey effective_key(const config::Pool& pool) {
  using Kind = config::LocalityKey::Kind;
  if (pool.key) return *pool.key;
  return {.kind = hashes_source(pool.scheduler) ? Kind::kSource : Kind::kPath, .name = {}};
}

Prepared prepare(config::Loaded loaded) {
  Prepared prepared;
  prepared.diagnostics = std::move(loaded.diagnostics);
  prepared.snapshot = std::make_unique<proxy::Snapshot>();
  proxy::Snapshot& snapshot = *prepared.snapshot;
  snapshot.config = std::move(loaded.config);
  if (!prepared.good()) {
    // Names may be unresolved, so there is nothing to compile yet but the patterns in the rules.
    rules::check_patterns(snapshot.config.rules, prepared.diagnostics);
    return prepared;
  }
  snapshot.rules = rules::RuleSet::compile(snapshot.config.rules, snapshot.config.listeners,
                                           prepared.diagnostics);
  snapshot.actions =
      rules::compile_actions(snapshot.config.rules, snapshot.config.pools, prepared.diagnostics);
  for (const config::Pool& pool : snapshot.config.pools)
    prepared.empty_sets.push_back(try_pool(pool, prepared.diagnostics));
  load_all_tls(snapshot, prepared.diagnostics);
  return prepared;
}

Prepared prepare_file(const std::filesystem::path& path) {
  return prepare(config::load_file(path, {.schedulers = sched::known_schedulers()}));
}

// Tokens go by the servers' names: a server keeps its clients when its address changes.
void ServerSets::make_sticky(proxy::Pool& pool) {
  using Mode = config::Sticky::Mode;
  const config::Sticky& sticky = pool.config->sticky;
  if (sticky.mode == Mode::kLearn || sticky.mode == Mode::kKey)
    pool.state->sticky.resize(sticky.entries);
  if (sticky.mode != Mode::kInsert && sticky.mode != Mode::kPrefix) return;
  if (sticky.secret.empty() && sticky_key_.empty()) sticky_key_ = io::random_key();
  pool.tokens = std::make_unique<proxy::StickyTokens>();
  make_tokens(pool);
}

void ServerSets::make_tokens(const proxy::Pool& pool) {
  if (pool.tokens == nullptr) return;
  const std::string& secret = pool.config->sticky.secret;
  const std::string& key = secret.empty() ? sticky_key_ : secret;
  std::vector<proxy::StickyTokens::Entry> tokens;
  for (const sched::Server* server : pool.servers->servers())
    tokens.push_back({proxy::make_token(key, pool.config->name, server->spec.name), server->id});
  pool.tokens->replace(std::move(tokens));
}

std::shared_ptr<const proxy::Snapshot> ServerSets::apply(Prepared prepared, Changes& changes,
                                                         const MemberSource* names) {
  SHUNT_ASSERT(prepared.good());
  SHUNT_ASSERT(prepared.empty_sets.size() == prepared.config().pools.size());
  std::shared_ptr<proxy::Snapshot> snapshot = std::move(prepared.snapshot);
  snapshot->generation = ++generation_;
  rate_limiters_.apply(*snapshot);

  const bool has_tls =
      !snapshot->server_tls.empty() ||
      std::ranges::any_of(snapshot->listener_tls, [](const auto& one) { return one != nullptr; });
  if (has_tls) {
    if (tickets_ == nullptr) tickets_ = std::make_unique<io::TlsTicketKeys>(wall_clock_ms() / 1000);
    snapshot->tickets = tickets_.get();
  }

  std::set<std::string_view> wanted;
  for (size_t i = 0; i < snapshot->config.pools.size(); ++i) {
    const config::Pool& pool = snapshot->config.pools[i];
    wanted.insert(pool.name);
    const auto [place, is_new] = pools_.try_emplace(pool.name);
    if (is_new) {
      place->second = {std::move(prepared.empty_sets[i]), std::make_shared<proxy::PoolState>()};
      ++changes.pools_added;
    }
    const PoolParts& parts = place->second;
    reconcile(*parts.servers, pool, names, changes);
    snapshot->pools.push_back(snapshot_pool(pool, parts.servers, parts.state));
    snapshot->pools.back().tls = tls_of_servers(*snapshot, pool);
    make_sticky(snapshot->pools.back());
  }
  // Requests in flight hold the removed pools' sets by their own snapshot.
  changes.pools_removed +=
      std::erase_if(pools_, [&wanted](const auto& entry) { return !wanted.contains(entry.first); });
  return snapshot;
}

void ServerSets::refresh(const proxy::Snapshot& snapshot,
                         std::span<const config::DnsAddress> changed, const MemberSource& names) {
  Changes changes;
  for (const proxy::Pool& pool : snapshot.pools) {
    const bool concerned =
        std::ranges::any_of(pool.config->servers, [&changed](const config::Server& server) {
          return server.dns && std::ranges::find(changed, *server.dns) != changed.end();
        });
    if (!concerned) continue;
    reconcile(*pool.servers, *pool.config, &names, changes);
    make_tokens(pool);
  }
}

}  // namespace shunt::app
