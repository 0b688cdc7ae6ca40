// The servers of one pool or service with the scheduler over them: the one place where scheduling
// state lives, shared by all workers (so that rr over two workers stays one rr) behind a lock that
// is held for one decision.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "sched/circuits.h"
#include "sched/flow.h"
#include "sched/server.h"

namespace shunt::sched {

// How a connection counts while it is bound to a server (IPVS: activeconns, inactconns). A request
// in flight is active.
enum class Counted : uint8_t { kActive, kInactive };

// Whether a server may be listed: the error names what is out of range.
Result<void> check(const ServerSpec& spec);

// What ServerSet::reconcile changed.
struct Reconciled {
  size_t added = 0;
  size_t removed = 0;
  size_t edited = 0;
  bool scheduler_changed = false;
};

// A listed server as an onlooker sees it.
struct ServerSample {
  ServerSpec spec;
  uint32_t active = 0;
  uint32_t inactive = 0;
  bool overload = false;
};

// What became of a connection that wants one server.
struct Claimed {
  Server* server = nullptr;  // Counted, as by schedule().
  bool busy = false;         // Null because it is full now: it is still the right one.
};

class ServerSet {
 public:
  // `scheduler`: a name of registry.h ("wlc"); `flags`: "sh-port", "sh-fallback", "mh-port",
  // "mh-fallback". The error names the known ones. `seed` makes random choices repeatable; unset:
  // the system's randomness.
  static Result<std::unique_ptr<ServerSet>> create(std::string_view scheduler,
                                                   const std::vector<std::string>& flags,
                                                   std::optional<uint64_t> seed = {});
  virtual ~ServerSet() = default;

  // Lists a server at the front, as the kernel does. A removed server with the same name and
  // address that still has connections comes back with its counts. The pointer is good until the
  // server is removed and its last connection unbound.
  virtual Result<Server*> add(const ServerSpec& spec) = 0;
  // In place: the position in the list and the connections stay. Changed thresholds decide anew
  // about the overload.
  virtual Result<void> edit(Server& server, int32_t weight, uint32_t upper, uint32_t lower) = 0;
  // Takes a listed server off the list. Its connections go on counting until they are unbound.
  virtual void remove(Server& server) = 0;
  // ipvsadm -E: replaces the scheduler; counts stay, scheduler state starts anew.
  virtual Result<void> change_scheduler(std::string_view scheduler,
                                        const std::vector<std::string>& flags) = 0;
  // Lists exactly `specs` (in the order of their add()s) under this scheduler, in one step: no
  // decision sees half of it. Servers are matched by name: one with the same address stays where it
  // is, with its counts, and is edited; one with another address is another server. The scheduler's
  // state stays if its name and flags do. On an error (as in check() and create(), or a name given
  // twice) nothing has changed.
  virtual Result<Reconciled> reconcile(std::span<const ServerSpec> specs,
                                       std::string_view scheduler,
                                       const std::vector<std::string>& flags) = 0;
  virtual std::string_view scheduler_name() const = 0;

  // Decides, and counts the new connection on the chosen server. Null: no server (none eligible).
  virtual Server* schedule(const Flow& flow, Counted as) = 0;
  // The listed server with this id for a connection that belongs to it, as IPVS has it for a
  // persistence template: its weight (with `quiesced`, even 0) and its thresholds are not asked.
  // It must not be excluded, nor its circuit open.
  virtual Claimed claim(uint64_t id, const Flow& flow, Counted as, bool quiesced) = 0;
  // Counts a connection that something else than the scheduler has placed (persistence).
  virtual void bind(Server& server, Counted as) = 0;
  // The same connection changes how it counts.
  virtual void move(Server& server, Counted from, Counted to) = 0;
  // The connection is gone. May free a removed server.
  virtual void unbind(Server& server, Counted as) = 0;

  // After schedule() has found none: whether a server would take `flow` if it had fewer
  // connections, so that waiting may help.
  virtual bool saturated(const Flow& flow) const = 0;

  // When servers are left out for their failures; none are until this is called.
  virtual void set_circuit_rules(const CircuitRules& rules) = 0;
  // How a connection that was bound to `server` has ended, before its unbind(). Takes the lock only
  // on failures and for servers that had some.
  Judged judge(Server& server, Verdict verdict, Instant now) {
    if (verdict != Verdict::kFailure && !server.suspect.load(std::memory_order_relaxed)) return {};
    return judge_slow(server, verdict, now);
  }

  // The order in which `flow` would try the servers if each refused; changes no state. For explain.
  virtual std::vector<const Server*> preview(const Flow& flow) const = 0;
  // The listed servers, front (newest) first. A copy; for reload, explain and statistics.
  virtual std::vector<Server*> servers() const = 0;
  // The same as values, for threads that must not hold on to a server.
  virtual std::vector<ServerSample> samples() const = 0;

 private:
  virtual Judged judge_slow(Server& server, Verdict verdict, Instant now) = 0;
};

}  // namespace shunt::sched
