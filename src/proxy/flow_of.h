// What a pool's scheduler gets to see of a request. One function, so that `shunt explain` places a
// request as the proxy does. Pure: any thread.
#pragma once

#include "core/config_protocol.h"
#include "core/instant.h"
#include "proxy/snapshot.h"
#include "rules/locality_key.h"
#include "rules/request_view.h"
#include "sched/flow.h"

namespace shunt::proxy {

// Schedulers that hash a client's address get the key in its place.
inline void hash_key(sched::Flow& flow, const Pool& pool, const config::LocalityKey& key,
                     const rules::RequestView& request) {
  flow.destination = rules::locality_hash(key, request);
  if (pool.key_is_source) return;
  flow.source = static_cast<uint32_t>(flow.destination ^ (flow.destination >> 32));
  flow.source_port = 0;
}

// The client's address and port, and the hash of the locality key where the scheduler looks at one.
// `request.destination` is looked at only for a key of that kind.
inline sched::Flow flow_of(const Pool& pool, const rules::RequestView& request, Instant now) {
  sched::Flow flow;
  flow.now = now;
  flow.source = request.source.folded();
  flow.source_port = request.source_port;
  if (pool.key_needed) hash_key(flow, pool, pool.key, request);
  return flow;
}

// By what a pool places connections without requests: they have addresses, and a name (of TLS) as
// their host.
inline config::LocalityKey key_of_connection(const Pool& pool) {
  if (config::of_connection(pool.key.kind)) return pool.key;
  return {.kind = config::LocalityKey::Kind::kSource, .name = {}};
}

// The same for such a connection.
inline sched::Flow flow_of_connection(const Pool& pool, const rules::RequestView& connection,
                                      Instant now) {
  sched::Flow flow;
  flow.now = now;
  flow.source = connection.source.folded();
  flow.source_port = connection.source_port;
  if (pool.key_needed) hash_key(flow, pool, key_of_connection(pool), connection);
  return flow;
}

}  // namespace shunt::proxy
