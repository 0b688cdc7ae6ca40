// How many connections the descriptors of this process are good for. Main thread, at start-up.
#pragma once

#include <cstdint>

namespace shunt::app {

// Raises the soft RLIMIT_NOFILE to the hard one; returns the limit in force.
uint64_t raise_descriptor_limit();

struct ConnectionBudget {
  uint32_t per_worker = 0;    // Client connections.
  bool beyond_limit = false;  // The configuration asks for more than the descriptors are good for.
};

// `configured`: global.max_connections of the process, 0: as many as the descriptors are good for.
// A request in flight needs two, the client's and the server's; pipes for splice come on top. Pure.
ConnectionBudget connection_budget(uint32_t configured, uint64_t descriptors, uint32_t workers,
                                   uint32_t listening_addresses);

}  // namespace shunt::app
