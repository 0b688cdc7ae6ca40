// How much work a server has, as the connection-counting schedulers weigh it. Pure; called under
// the set's lock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sched/scheduler.h"

namespace shunt::sched {

inline int64_t active_count(const Server& server) {
  return server.active.load(std::memory_order_relaxed);
}

inline int64_t connection_count(const Server& server) {
  return active_count(server) + server.inactive.load(std::memory_order_relaxed);
}

// An active connection costs as much as 257 inactive ones: 256 for being active, and one for being
// there.
inline int64_t overhead(const Server& server) {
  return 256 * active_count(server) + connection_count(server);
}

// The delay a further connection would see: the work with it already counted in.
inline int64_t expected_delay(const Server& server) {
  return active_count(server) + 1;
}

// The eligible server with the least load per weight; the first in the list among equals. Ratios
// are compared crosswise in integers: load(a)/weight(a) > load(b)/weight(b) without the rounding of
// a division.
template <class Load>
Server* least_loaded(const ServerList& servers, const Flow& flow, Load load) {
  Server* least = nullptr;
  int64_t least_load = 0;
  for (Server* server : servers) {
    if (!eligible(*server, flow)) continue;
    const int64_t server_load = load(*server);
    if (least == nullptr || least_load * server->weight > server_load * least->weight) {
      least = server;
      least_load = server_load;
    }
  }
  return least;
}

// More active connections than its weight says.
inline bool over_weight(const Server& server) {
  return active_count(server) * server.scale > server.weight;
}

// Of lblc and lblcr: more active connections than weight, while another server has less than half
// its weight.
inline bool should_spread(const Server& server, const ServerList& servers) {
  if (!over_weight(server)) return false;
  return std::ranges::any_of(servers, [](const Server* other) {
    return 2 * active_count(*other) * other->scale < other->weight;
  });
}

}  // namespace shunt::sched
