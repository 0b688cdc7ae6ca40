// One real server as the schedulers see it: IPVS's destination (struct ip_vs_dest).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/address.h"

namespace shunt::sched {

// What a ServerSet is told about a server.
struct ServerSpec {
  std::string name;       // Unique in its set.
  SocketAddress address;  // Hashed by maglev; a unix address hashes as its path.
  int32_t weight = 1;     // >= 0; 0: no new connections.
  uint32_t upper = 0;     // Overloaded from so many connections (active and inactive) on; 0: never.
  uint32_t lower = 0;     // No longer overloaded below so many; 0: upper less a quarter. <= upper.
};

// Owned by its ServerSet, which keeps it alive while it is listed or has connections. Fields are
// guarded by the set's lock; the counts may be read at any time.
struct Server {
  ServerSpec spec;
  uint64_t id = 0;            // Never used twice in a process.
  uint32_t hash_address = 0;  // IpAddress::folded, or a hash of the unix path.
  uint16_t hash_port = 0;
  int32_t last_weight = 0;  // The last weight that was not 0; only maglev looks at it.
  bool available = true;    // False once removed from the list.
  bool overload = false;    // Set and cleared by the thresholds.
  std::atomic<uint32_t> active{0};
  std::atomic<uint32_t> inactive{0};
};

}  // namespace shunt::sched
