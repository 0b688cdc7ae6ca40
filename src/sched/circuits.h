// The circuits of a set's servers under its rules: which verdicts open and close them, and how many
// may be out at a time. Pure: the time comes from the caller; guarded by the lock of the set.
#pragma once

#include "sched/scheduler.h"

namespace shunt::sched {

// What the end of a request says about its server.
enum class Verdict : uint8_t {
  kNone,     // Nothing: the client went away, or the answer is the client's fault.
  kSuccess,  // It answers.
  kFailure,  // No connection, no answer, or none that is its own.
};

// What a verdict has led to; for the log.
struct Judged {
  bool opened = false;  // The server gets no requests for `out`.
  bool closed = false;  // The server is back.
  Duration out{};
  uint32_t failures = 0;  // Consecutive.
  // The server gets no requests for its Breaker::open: it has reached this level of load, a
  // constant text. Told once, at the end of one of the requests that it has.
  const char* tripped = nullptr;
};

class Circuits {
 public:
  void set_rules(const CircuitRules& rules) { rules_ = rules; }
  const CircuitRules& rules() const { return rules_; }

  // `next`: lowered to when refresh() has something to do.
  Judged judge(const ServerList& servers, Server& server, Verdict verdict, Instant now,
               Instant& next);
  // A request is to be placed on `server`. False: that would be more than its breaker allows; its
  // circuit has opened instead.
  bool admit(Server& server, Instant now, Instant& next);
  // Lets time pass.
  void refresh(const ServerList& servers, Instant now, Instant& next);

 private:
  bool may_open(const ServerList& servers) const;

  CircuitRules rules_;
};

}  // namespace shunt::sched
