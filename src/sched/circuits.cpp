// When circuits open and close.
#include "sched/circuits.h"

#include <algorithm>
#include <utility>

#include "sched/effective_weight.h"
#include "sched/load.h"

namespace shunt::sched {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// The level that the server has reached; null: none.
const char* exceeded(const Server& server) {
  const Breaker& breaker = server.spec.breaker;
  const auto reached = [](int64_t count, uint32_t limit) { return limit != 0 && count >= limit; };
  if (reached(active_count(server), breaker.requests)) return "requests";
  if (reached(server.pending.load(kRelaxed), breaker.pending)) return "pending";
  if (reached(server.retries.load(kRelaxed), breaker.retries)) return "retries";
  return nullptr;
}

}  // namespace

// Those that are out already count, half-open ones too: nobody knows yet whether they are back.
bool Circuits::may_open(const ServerList& servers) const {
  const auto out = std::ranges::count_if(servers, [](const Server* server) {
    return server->circuit.state() != Circuit::State::kClosed;
  });
  return static_cast<double>(out + 1) <= rules_.share_max * static_cast<double>(servers.size());
}

Judged Circuits::judge(const ServerList& servers, Server& server, Verdict verdict, Instant now,
                       Instant& next) {
  Judged judged;
  Circuit& circuit = server.circuit;
  const bool probed = circuit.state() == Circuit::State::kHalfOpen;
  switch (verdict) {
    case Verdict::kNone:
      circuit.forget_probe();
      break;
    case Verdict::kSuccess:
      server.failures = 0;
      judged.closed = circuit.close(now);
      if (judged.closed) {
        start_slowly(server);
        next = now;
      }
      break;
    case Verdict::kFailure:
      if (circuit.state() == Circuit::State::kOpen) break;  // Of a request from before.
      ++server.failures;
      judged.failures = server.failures;
      const bool too_many = rules_.failures != 0 && server.failures >= rules_.failures;
      if (probed || (too_many && may_open(servers))) {
        judged.out = circuit.open(now, rules_.open_first, rules_.open_longest);
        judged.opened = true;
        next = std::min(next, circuit.next());
      }
      break;
  }
  judged.tripped = std::exchange(server.tripped, nullptr);
  server.suspect.store(server.failures > 0 || circuit.state() != Circuit::State::kClosed, kRelaxed);
  return judged;
}

bool Circuits::admit(Server& server, Instant now, Instant& next) {
  if (server.circuit.state() == Circuit::State::kHalfOpen) {
    server.circuit.probe(now);
  } else if (const char* level = exceeded(server)) {
    server.tripped = level;
    server.circuit.open(now, server.spec.breaker.open, server.spec.breaker.open);
    server.suspect.store(true, kRelaxed);
  }
  next = std::min(next, server.circuit.next());
  return server.circuit.state() != Circuit::State::kOpen;
}

void Circuits::refresh(const ServerList& servers, Instant now, Instant& next) {
  for (Server* server : servers) {
    server->circuit.refresh(now);
    next = std::min(next, server->circuit.next());
  }
}

}  // namespace shunt::sched
