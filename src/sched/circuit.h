// Whether one server is trusted with requests: closed (it is), open (left out for a time that grows
// with each failure to come back), half-open (one request at a time tries it out). Pure: the time
// comes from the caller. Part of a Server, guarded by the lock of its set.
//
//   kClosed ──open()──→ kOpen ──time is up──→ kHalfOpen ──close()──→ kClosed
//                         ↑────────open()────────┘
#pragma once

#include <cstdint>

#include "core/instant.h"

namespace shunt::sched {

// Of a whole set.
struct CircuitRules {
  uint32_t failures = 0;  // Consecutive ones that open a server's circuit; 0: none do.
  Duration open_first = std::chrono::seconds(10);   // How long the first time…
  Duration open_longest = std::chrono::minutes(5);  // …and at most; it doubles each time.
  double share_max = 0.5;  // Of the listed servers may be out after failures, rounded down.

  friend bool operator==(const CircuitRules&, const CircuitRules&) = default;
};

class Circuit {
 public:
  enum class State : uint8_t { kClosed, kOpen, kHalfOpen };

  State state() const { return state_; }
  // No further request may go to the server now.
  bool bars() const { return state_ == State::kOpen || probing_; }
  // When refresh() may have something to do next.
  Instant next() const { return bars() ? until_ : kNever; }

  // Leaves the server out from `now` on; returns for how long. An open circuit stays as it is.
  Duration open(Instant now, Duration first, Duration longest);
  // The time is up: half-open. A probe that nobody has told the outcome of makes room for another.
  // True if bars() has changed.
  bool refresh(Instant now);
  // A request has been placed on the half-open server.
  void probe(Instant now);
  // The probe has ended without a verdict on the server.
  void forget_probe() { probing_ = false; }
  // The server has answered. True if it was half-open.
  bool close(Instant now);

 private:
  State state_ = State::kClosed;
  bool probing_ = false;
  Instant until_ = kNever;      // Open: to here. Probing: the probe counts as lost from here on.
  Instant closed_at_ = kNever;  // Last; kNever if it was never open.
  Duration last_{};             // How long it was open the last time; 0: never.
};

}  // namespace shunt::sched
