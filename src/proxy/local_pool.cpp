// Who waits is served in order over all workers: a worker that learns of a server with room rings
// for the worker of the first in line if that is another.
#include "proxy/local_pool.h"

#include <algorithm>

#include "core/assert.h"

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;

// Servers also get room without a request that ends (a reload, an ejection that is over), and a
// worker that was rung for may be busy: whoever waits looks again this often.
constexpr Duration kRecheck = 50ms;

}  // namespace

LocalPool::LocalPool(io::Io& io, std::shared_ptr<PoolState> state, Wakeup* wakeup)
    : io_(io), state_(std::move(state)) {
  seat_.wakeup = wakeup;
  bind<&LocalPool::on_recheck>(recheck_, *this);
  state_->gate.take(seat_);
}

LocalPool::~LocalPool() {
  SHUNT_ASSERT(queue_.empty());
  SHUNT_ASSERT(live_ == 0);
  if (recheck_.armed()) io_.cancel(recheck_);
  state_->gate.give_up(seat_);
}

bool LocalPool::enqueue(QueuedRequest& request, const config::Queue& limits) {
  limits_ = limits;  // Of the newest generation that somebody waits in.
  if (!state_->gate.enter(limits.size)) return false;
  request.since = io_.now();
  queue_.push(request);
  publish();
  if (!recheck_.armed()) io_.arm(recheck_, io_.now() + kRecheck);
  return true;
}

void LocalPool::dequeue(QueuedRequest& request) {
  queue_.remove(request);
  state_->gate.leave();
  publish();
}

void LocalPool::publish() {
  seat_.front.store(queue_.front(), std::memory_order_relaxed);
}

void LocalPool::pump() {
  if (pumping_) {
    again_ = true;
    return;
  }
  pumping_ = true;
  do {
    again_ = false;
    while (!stopped_ && !state_->gate.pass_on(seat_) && serve_first()) {
    }
  } while (again_);
  pumping_ = false;
}

// False if nobody here can be served now.
bool LocalPool::serve_first() {
  sched::Server* server = nullptr;
  Waiter* waiter = queue_.first_of([&server](Waiter& each) {
    server = static_cast<QueuedRequest&>(each).find_server();
    return server != nullptr;
  });
  if (waiter == nullptr) return false;
  auto& request = static_cast<QueuedRequest&>(*waiter);
  const bool shed = queue_.leave(request, io_.now(), limits_.target, limits_.interval);
  state_->gate.leave();
  publish();
  if (shed) {
    request.on_shed(*server);
  } else {
    request.on_turn(*server);
  }
  return true;
}

void LocalPool::on_recheck() {
  if (queue_.empty() || stopped_) return;
  io_.arm(recheck_, io_.now() + kRecheck);
  if (pumping_) return;
  pumping_ = true;
  while (serve_first()) {
  }
  pumping_ = false;
}

void LocalPool::end_request(bool was_retried) {
  SHUNT_ASSERT(live_ > 0);
  --live_;
  if (!was_retried) return;
  SHUNT_ASSERT(retried_ > 0);
  --retried_;
}

bool LocalPool::begin_retry(const config::RetryBudget& budget) {
  const auto share = static_cast<uint32_t>(budget.share * live_);
  if (retried_ >= std::max(budget.floor, share)) return false;
  ++retried_;
  return true;
}

LocalPool& LocalPools::of(const std::shared_ptr<PoolState>& state) {
  for (const auto& pool : pools_) {
    if (&pool->state() == state.get()) return *pool;
  }
  return *pools_.emplace_back(std::make_unique<LocalPool>(io_, state, wakeup_));
}

void LocalPools::on_wake() {
  for (const auto& pool : pools_) pool->on_server_freed();
}

void LocalPools::stop() {
  for (const auto& pool : pools_) pool->stop();
}

}  // namespace shunt::proxy
