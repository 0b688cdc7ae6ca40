// The interface of a scheduler: who gets the next connection. Owned by one ServerSet, called under
// its lock, so an implementation needs no synchronisation; it has no clock (Flow::now) and no I/O.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "sched/flow.h"
#include "sched/server.h"

namespace shunt::sched {

// The listed servers, newest first: the order in which IPVS walks its destinations, and the one
// that decides ties.
using ServerList = std::vector<Server*>;

// The flags of a service (ipvsadm -b), which only the hashing schedulers know.
struct SchedulerOptions {
  bool port = false;      // Hash the source port too.
  bool fallback = false;  // Look for another server when the hashed one takes no connections.
  uint64_t seed = 1;      // Of random choices and table salts.
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // The server for `flow`, or null when none may take it. Counts nothing; the caller does.
  virtual Server* schedule(const ServerList& servers, const Flow& flow) = 0;
  // A copy with the same state, for looking ahead.
  virtual std::unique_ptr<Scheduler> clone() const = 0;

  // The list after a change. `start` comes first and once: the list may already hold servers.
  virtual void start(const ServerList&) {}
  // A server is new at the front.
  virtual void added(const ServerList&) {}
  // The server that was at `index` is gone.
  virtual void removed(const ServerList&, size_t /*index*/) {}
  // Some server's weight or thresholds were set.
  virtual void edited(const ServerList&) {}

  // Whether the state still points to `server`, which then has to stay in memory after its removal.
  virtual bool refers_to(const Server&) const { return false; }
};

inline bool excluded(const Server& server, const Flow& flow) {
  return !flow.excluded.empty() &&
         std::ranges::find(flow.excluded, server.id) != flow.excluded.end();
}

// It has as many active connections as it takes at a time.
inline bool full(const Server& server) {
  return server.spec.capacity != 0 &&
         server.active.load(std::memory_order_relaxed) >= server.spec.capacity;
}

// Left out for a reason that IPVS does not know: what has passed its own tests is not sent there.
inline bool barred(const Server& server) {
  return full(server) || server.circuit.bars();
}

// Neither overloaded, nor quiesced, nor barred, nor excluded for this flow: what every scheduler
// asks of a new choice.
inline bool eligible(const Server& server, const Flow& flow) {
  return !server.overload && server.weight > 0 && !barred(server) && !excluded(server, flow);
}

}  // namespace shunt::sched
