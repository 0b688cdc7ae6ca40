// Replays a recorded sequence of connections and changes through a scheduler, as IPVS would have
// decided them: the kernel's connection life (active, inactive, expired) and persistence around a
// ServerSet. Pure: structs in, decisions out; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/address.h"
#include "core/instant.h"
#include "core/result.h"
#include "sched/server.h"

namespace shunt::sched {

struct TraceEvent {
  enum class Kind : uint8_t { kOpen, kClose, kAdd, kEdit, kRemove, kExpire };
  Kind kind = Kind::kExpire;
  uint64_t connection = 0;    // kOpen, kClose: unique among the opens.
  SocketAddress source;       // kOpen.
  SocketAddress destination;  // kOpen.
  bool reset = false;         // kClose: by RST, otherwise by FIN.
  ServerSpec server;          // kAdd: all of it; kEdit: all but the address; kRemove: the name.
};

// ipvsadm -p and -M: a client's (or its network's) later connections go where the first one went.
struct TracePersistence {
  Duration timeout = std::chrono::seconds(300);
  uint8_t prefix = 128;  // Of the client's network, in the 128-bit form.
};

struct Trace {
  std::string scheduler;
  std::vector<std::string> flags;
  std::optional<TracePersistence> persistence;
  std::vector<ServerSpec> servers;  // In the order in which they were added.
  std::vector<TraceEvent> events;
};

// What became of one event.
struct TraceDecision {
  enum class Kind : uint8_t { kNone, kRefused, kServer };
  Kind kind = Kind::kNone;  // kNone: the event asked for no decision.
  std::string server;       // kServer: its name.
  friend bool operator==(const TraceDecision&, const TraceDecision&) = default;
};

// A listed server after the last event.
struct TraceServer {
  std::string name;
  int32_t weight = 0;
  uint32_t active = 0;
  uint32_t inactive = 0;
  friend bool operator==(const TraceServer&, const TraceServer&) = default;
};

struct TraceResult {
  std::vector<TraceDecision> decisions;  // One per event.
  std::vector<TraceServer> servers;      // Sorted by name.
};

// The error names the event (counted from 0) that makes no sense, such as closing what was never
// opened. `seed` is for the random schedulers.
Result<TraceResult> replay(const Trace& trace, uint64_t seed = 1);

}  // namespace shunt::sched
