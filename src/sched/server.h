// One real server as the schedulers see it: IPVS's destination (struct ip_vs_dest).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/address.h"
#include "core/instant.h"
#include "sched/circuit.h"

namespace shunt::sched {

// Levels of load at which a server's circuit opens; 0: never.
struct Breaker {
  uint32_t requests = 0;  // Active connections.
  uint32_t pending = 0;   // Connections being established.
  uint32_t retries = 0;   // Active connections that other servers have failed.
  Duration open = std::chrono::seconds(5);

  friend bool operator==(const Breaker&, const Breaker&) = default;
};

// What a ServerSet is told about a server.
struct ServerSpec {
  std::string name;       // Unique in its set.
  SocketAddress address;  // Hashed by maglev; a unix address hashes as its path.
  int32_t weight = 1;     // >= 0; 0: no new connections.
  uint32_t upper = 0;     // Overloaded from so many connections (active and inactive) on; 0: never.
  uint32_t lower = 0;     // No longer overloaded below so many; 0: upper less a quarter. <= upper.
  // What IPVS does not have.
  uint32_t capacity = 0;  // Active connections at a time; a server with as many gets none; 0: any.
  Duration slow_start{};  // How long its weight grows to the full one when it comes (back); 0: not.
  Breaker breaker;

  friend bool operator==(const ServerSpec&, const ServerSpec&) = default;
};

enum class SlowStart : uint8_t { kOver, kBegins, kRuns };

// Owned by its ServerSet, which keeps it alive while it is listed or has connections. Fields are
// guarded by the set's lock; the counts may be read at any time.
struct Server {
  ServerSpec spec;
  uint64_t id = 0;            // Never used twice in a process.
  uint32_t hash_address = 0;  // IpAddress::folded, or a hash of the unix path.
  uint16_t hash_port = 0;
  int32_t last_weight = 0;  // The last weight that was not 0; only maglev looks at it.
  int32_t weight = 1;       // What is weighed: spec.weight, scaled while slow starts last.
  int32_t scale = 1;        // Of all weights of the set.
  bool available = true;    // False once removed from the list.
  bool overload = false;    // Set and cleared by the thresholds.
  SlowStart slow_start = SlowStart::kOver;
  int32_t slow_start_steps = 0;
  Instant slow_start_at{};
  Circuit circuit;
  uint32_t failures = 0;  // Consecutive.
  // Its breaker has opened at this level, and nobody has been told yet.
  const char* tripped = nullptr;
  // Failures have been counted or the circuit is not closed: read before the lock is taken.
  std::atomic<bool> suspect{false};
  std::atomic<uint32_t> pending{0};
  std::atomic<uint32_t> retries{0};
  std::atomic<uint32_t> active{0};
  std::atomic<uint32_t> inactive{0};
};

}  // namespace shunt::sched
