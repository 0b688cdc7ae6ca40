// The order of waiting, and who is given up.
#include "proxy/queue.h"

#include <algorithm>
#include <cmath>

#include "core/assert.h"

namespace shunt::proxy {

WaitOrder order_of(const Waiter& waiter) {
  static_assert(config::kPriorityMax < 15);
  constexpr int kTimeBits = 60;  // Of nanoseconds: 36 years since the machine started.
  const auto since = static_cast<uint64_t>(waiter.since.time_since_epoch().count());
  return uint64_t{waiter.priority} << kTimeBits | (since & ((uint64_t{1} << kTimeBits) - 1));
}

// --- ControlledDelay: the names of RFC 8289 §5 are first_above_time (above_until_), drop_next
// (next_), count and lastcount. ---

bool ControlledDelay::may_shed(Duration sojourn, bool last, Instant now, Duration target,
                               Duration interval) {
  if (sojourn < target || last) {
    above_ = false;
    return false;
  }
  if (!above_) {
    above_ = true;
    above_until_ = now + interval;
    return false;
  }
  return now >= above_until_;
}

Instant ControlledDelay::next_after(Instant time, Duration interval, uint32_t count) {
  const double pause =
      static_cast<double>(interval.count()) / std::sqrt(static_cast<double>(count));
  return time + Duration(static_cast<int64_t>(pause));
}

bool ControlledDelay::sheds(Duration sojourn, bool last, Instant now, Duration target,
                            Duration interval) {
  const bool may = may_shed(sojourn, last, now, target, interval);
  if (!may) {
    shedding_ = false;
    return false;
  }
  if (shedding_) {
    if (now < next_) return false;
    ++count_;
    next_ = next_after(next_, interval, count_);
    return true;
  }
  // It goes on where it was if it has only just stopped.
  constexpr int kRecently = 16;
  shedding_ = true;
  const uint32_t before = count_ - last_count_;
  count_ = before > 1 && now - next_ < kRecently * interval ? before : 1;
  last_count_ = count_;
  next_ = next_after(now, interval, count_);
  return true;
}

// --- WaitQueue ---

void WaitQueue::push(Waiter& waiter) {
  SHUNT_ASSERT(waiter.priority <= config::kPriorityMax);
  by_priority_[waiter.priority].push_back(waiter);
  ++size_;
}

void WaitQueue::remove(Waiter& waiter) {
  SHUNT_ASSERT(size_ > 0);
  IntrusiveList<Waiter>::remove(waiter);
  --size_;
}

WaitOrder WaitQueue::front() {
  for (auto& list : by_priority_) {
    if (!list.empty()) return order_of(list.front());
  }
  return kNobodyWaits;
}

bool WaitQueue::leave(Waiter& waiter, Instant now, Duration target, Duration interval) {
  remove(waiter);
  if (target <= Duration{0}) return false;
  const bool last = by_priority_[waiter.priority].empty();
  return delays_[waiter.priority].sheds(now - waiter.since, last, now, target, interval);
}

// --- WaitGate ---

void WaitGate::take(Seat& seat) {
  const std::lock_guard guard(mutex_);
  seats_.push_back(&seat);
}

void WaitGate::give_up(Seat& seat) {
  const std::lock_guard guard(mutex_);
  std::erase(seats_, &seat);
}

// The counts of all workers order nothing by themselves: who waits looks for a server again
// afterwards, and who frees one looks here afterwards; the lock of the server set is between.
bool WaitGate::enter(uint32_t most) {
  if (waiting_.fetch_add(1, std::memory_order_relaxed) < most) return true;
  leave();
  return false;
}

void WaitGate::leave() {
  const uint32_t before = waiting_.fetch_sub(1, std::memory_order_relaxed);
  SHUNT_ASSERT(before > 0);
}

bool WaitGate::pass_on(const Seat& own) {
  const std::lock_guard guard(mutex_);
  const Seat* first = &own;
  for (const Seat* seat : seats_) {
    if (seat->front.load(std::memory_order_relaxed) < first->front.load(std::memory_order_relaxed))
      first = seat;
  }
  if (first == &own || first->wakeup == nullptr) return false;
  first->wakeup->wake();
  return true;
}

}  // namespace shunt::proxy
