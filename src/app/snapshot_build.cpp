// Builds snapshots and edits the server sets that they share. See the header for the two phases.
#include "app/snapshot_build.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/assert.h"
#include "sched/registry.h"

namespace shunt::app {
namespace {

sched::ServerSpec spec_of(const config::Server& server) {
  return {.name = server.name,
          .address = server.address,
          .weight = server.weight,
          .upper = server.upper,
          .lower = server.lower};
}

// sh and mh place a client, dh, lblc and lblcr what it asks for.
bool hashes_source(std::string_view scheduler) {
  return scheduler == "sh" || scheduler == "mh";
}

bool hashes_destination(std::string_view scheduler) {
  return scheduler == "dh" || scheduler == "lblc" || scheduler == "lblcr";
}

// A set as the pool describes it. What the schedulers refuse becomes an error of the configuration.
std::unique_ptr<sched::ServerSet> try_pool(const config::Pool& pool, Diagnostics& diagnostics) {
  auto set = sched::ServerSet::create(pool.scheduler, pool.scheduler_flags);
  if (!set) {
    diagnostics.error(pool.place, fmt::format("pool \"{}\": {}", pool.name, set.error().text));
    return nullptr;
  }
  for (const config::Server& server : pool.servers) {
    const auto added = (*set)->add(spec_of(server));
    if (added) continue;
    diagnostics.error(server.place,
                      fmt::format("server \"{}\": {}", server.name, added.error().text));
  }
  return std::move(*set);
}

proxy::Pool snapshot_pool(const config::Pool& pool, std::shared_ptr<sched::ServerSet> servers) {
  const config::LocalityKey key = effective_key(pool);
  const bool by_source = hashes_source(pool.scheduler);
  const bool key_is_source = by_source && key.kind == config::LocalityKey::Kind::kSource;
  return {.config = &pool,
          .servers = std::move(servers),
          .key = key,
          .key_needed = hashes_destination(pool.scheduler) || (by_source && !key_is_source),
          .key_is_source = key_is_source};
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
  // Names of a configuration with errors may be unresolved, so there is nothing to compile yet.
  if (!prepared.good()) return prepared;
  snapshot.rules = rules::RuleSet::compile(snapshot.config.rules, snapshot.config.listeners,
                                           prepared.diagnostics);
  for (const config::Pool& pool : snapshot.config.pools)
    prepared.trial_sets.push_back(try_pool(pool, prepared.diagnostics));
  return prepared;
}

Prepared prepare_file(const std::filesystem::path& path) {
  return prepare(config::load_file(path, {.schedulers = sched::known_schedulers()}));
}

std::shared_ptr<const proxy::Snapshot> ServerSets::apply(Prepared prepared, Changes& changes) {
  SHUNT_ASSERT(prepared.good());
  SHUNT_ASSERT(prepared.trial_sets.size() == prepared.config().pools.size());
  std::shared_ptr<proxy::Snapshot> snapshot = std::move(prepared.snapshot);
  snapshot->generation = ++generation_;

  std::set<std::string_view> wanted;
  for (size_t i = 0; i < snapshot->config.pools.size(); ++i) {
    const config::Pool& pool = snapshot->config.pools[i];
    wanted.insert(pool.name);
    const auto [place, is_new] = entries_.try_emplace(pool.name);
    Entry& entry = place->second;
    if (is_new) {
      entry = {.servers = std::move(prepared.trial_sets[i]), .flags = pool.scheduler_flags};
      ++changes.pools_added;
      changes.servers_added += pool.servers.size();
    } else {
      edit(entry, pool, changes);
    }
    snapshot->pools.push_back(snapshot_pool(pool, entry.servers));
  }
  // Requests in flight hold the removed pools' sets by their own snapshot.
  changes.pools_removed += std::erase_if(
      entries_, [&wanted](const auto& entry) { return !wanted.contains(entry.first); });
  return snapshot;
}

void ServerSets::edit(Entry& entry, const config::Pool& pool, Changes& changes) {
  sched::ServerSet& set = *entry.servers;
  std::map<std::string_view, const config::Server*> wanted;
  for (const config::Server& server : pool.servers) wanted.emplace(server.name, &server);

  // prepare() has had a set of its own take the same servers and scheduler, so nothing here can be
  // refused.
  std::set<std::string_view> kept;
  for (sched::Server* server : set.servers()) {
    const auto found = wanted.find(server->spec.name);
    if (found == wanted.end() || found->second->address != server->spec.address) {
      set.remove(*server);
      ++changes.servers_removed;
      continue;
    }
    const config::Server& now = *found->second;
    kept.insert(now.name);
    const sched::ServerSpec& spec = server->spec;
    if (spec.weight == now.weight && spec.upper == now.upper && spec.lower == now.lower) continue;
    SHUNT_ASSERT(set.edit(*server, now.weight, now.upper, now.lower).has_value());
    ++changes.servers_edited;
  }
  for (const config::Server& server : pool.servers) {
    if (kept.contains(server.name)) continue;
    SHUNT_ASSERT(set.add(spec_of(server)).has_value());
    ++changes.servers_added;
  }
  if (set.scheduler_name() == pool.scheduler && entry.flags == pool.scheduler_flags) return;
  SHUNT_ASSERT(set.change_scheduler(pool.scheduler, pool.scheduler_flags).has_value());
  entry.flags = pool.scheduler_flags;
  ++changes.schedulers_changed;
}

}  // namespace shunt::app
