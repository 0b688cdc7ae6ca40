// What one worker keeps of one pool: the requests that wait, and how many are in flight and tried
// again. Owned by the service, outlives generations of the configuration; used on the worker's
// thread only.
#pragma once

#include <memory>
#include <vector>

#include "core/latency_sketch.h"
#include "core/timer_wheel.h"
#include "io/io.h"
#include "proxy/pool_state.h"
#include "proxy/queue.h"
#include "sched/server_set.h"

namespace shunt::proxy {

// A request that waits for a server.
class QueuedRequest : public Waiter {
 public:
  // A server for it if one has room now, counted; else null.
  virtual sched::Server* find_server() = 0;
  // It has left the queue, with `server`…
  virtual void on_turn(sched::Server& server) = 0;
  // …or without: CoDel has shed it.
  virtual void on_shed(sched::Server& server) = 0;

 protected:
  ~QueuedRequest() = default;
};

class LocalPool {
 public:
  // `wakeup` rings for this worker; may be null when it is the only one.
  LocalPool(io::Io& io, std::shared_ptr<PoolState> state, Wakeup* wakeup);
  ~LocalPool();  // Requires that nobody waits.
  LocalPool(const LocalPool&) = delete;
  LocalPool& operator=(const LocalPool&) = delete;

  const PoolState& state() const { return *state_; }

  // --- Waiting ---

  // Somebody waits, here or elsewhere: who comes now stands behind.
  bool has_waiters() const { return state_->gate.waiting() > 0; }
  // False: as many as may wait do.
  bool enqueue(QueuedRequest& request, const config::Queue& limits);
  void dequeue(QueuedRequest& request);
  // A connection to a server has ended, or somebody has begun to wait: whoever is first in line
  // gets a server if there is one with room. Callbacks of requests that wait here, but never of one
  // inside another's.
  void pump();
  void on_server_freed() {
    if (has_waiters()) pump();
  }
  // The worker stops: nobody gets a server any more.
  void stop() { stopped_ = true; }

  // --- The retry budget ---

  void begin_request() { ++live_; }
  void end_request(bool was_retried);
  // Counts one more request as tried again, until its end, if the budget allows it.
  bool begin_retry(const config::RetryBudget& budget);
  // From the choice of a server to the first byte of its answer.
  LatencySketch& latency() { return latency_; }
  uint32_t live() const { return live_; }
  uint32_t retried() const { return retried_; }

 private:
  bool serve_first();
  void publish();
  void on_recheck();

  io::Io& io_;
  const std::shared_ptr<PoolState> state_;
  WaitGate::Seat seat_;
  WaitQueue queue_;
  config::Queue limits_;
  Timer recheck_;  // Armed while somebody waits.
  bool pumping_ = false;
  bool again_ = false;  // Asked for while pumping.
  bool stopped_ = false;
  LatencySketch latency_;
  uint32_t live_ = 0;
  uint32_t retried_ = 0;  // Of them.
};

// All of one worker.
class LocalPools {
 public:
  LocalPools(io::Io& io, Wakeup* wakeup) : io_(io), wakeup_(wakeup) {}

  LocalPool& of(const std::shared_ptr<PoolState>& state);
  template <class InUse>
  void keep(InUse in_use) {
    std::erase_if(pools_, [&in_use](const auto& pool) { return !in_use(*pool); });
  }
  // Somebody may have made room for whoever waits here.
  void on_wake();
  void stop();

 private:
  io::Io& io_;
  Wakeup* const wakeup_;
  std::vector<std::unique_ptr<LocalPool>> pools_;
};

}  // namespace shunt::proxy
