// What a scheduler may look at when it places one new connection (layer 4) or request (layer 7).
#pragma once

#include <cstdint>
#include <span>

#include "core/instant.h"

namespace shunt::sched {

struct Server;

struct Flow {
  // Layer 4: the folded client address (IpAddress::folded) and port. Layer 7: the same, unless the
  // pool's locality key is something else than the source; then the 32-bit hash of that key, and
  // port 0.
  uint32_t source = 0;
  uint16_t source_port = 0;
  // Layer 4: the folded destination address. Layer 7: the 64-bit hash of the locality key.
  uint64_t destination = 0;
  Instant now{};
  // Servers that must not be chosen for this flow (they have just refused it); skipped as
  // overloaded ones are.
  std::span<const Server* const> excluded{};
};

}  // namespace shunt::sched
