// What a scheduler may look at when it places one new connection (layer 4) or request (layer 7).
#pragma once

#include <cstdint>
#include <span>

#include "core/instant.h"

namespace shunt::sched {

struct Flow {
  // Layer 4: the folded client address (IpAddress::folded) and port. Layer 7: the same, unless the
  // pool's locality key is something else than the source; then the 32-bit hash of that key, and
  // port 0.
  uint32_t source = 0;
  uint16_t source_port = 0;
  // Layer 4: the folded destination address. Layer 7: the 64-bit hash of the locality key.
  uint64_t destination = 0;
  Instant now{};
  // Ids of servers that must not be chosen for this flow (they have just refused it); skipped as
  // overloaded ones are. Ids, since a server may be removed, and another take its place in memory,
  // while the flow goes on.
  std::span<const uint64_t> excluded{};
};

}  // namespace shunt::sched
