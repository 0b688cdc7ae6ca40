// What a pool's scheduler gets to see of a request. One function, so that `shunt explain` places a
// request as the proxy does. Pure: any thread.
#pragma once

#include "core/instant.h"
#include "proxy/snapshot.h"
#include "rules/locality_key.h"
#include "rules/request_view.h"
#include "sched/flow.h"

namespace shunt::proxy {

// The client's address and port, and the hash of the locality key where the scheduler looks at one.
// `request.destination` is looked at only for a key of that kind.
inline sched::Flow flow_of(const Pool& pool, const rules::RequestView& request, Instant now) {
  sched::Flow flow;
  flow.now = now;
  flow.source = request.source.folded();
  flow.source_port = request.source_port;
  if (!pool.key_needed) return flow;
  flow.destination = rules::locality_hash(pool.key, request);
  if (pool.key_is_source) return flow;
  // Schedulers that hash a client's address get the key in its place.
  flow.source = static_cast<uint32_t>(flow.destination ^ (flow.destination >> 32));
  flow.source_port = 0;
  return flow;
}

}  // namespace shunt::proxy
