// Requests that wait for a server with room. Each worker has a queue per pool, ordered by priority
// and then by arrival; a gate per pool, shared by all workers, bounds their number and tells whose
// first waiter comes before all others. What decides (WaitQueue, ControlledDelay) is pure: the time
// comes from the caller. Queues belong to their worker's thread, a gate to any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/config.h"
#include "core/instant.h"
#include "core/intrusive_list.h"

namespace shunt::proxy {

// One that waits. Embedded in its owner.
struct Waiter : ListNode<> {
  Instant since{};
  uint8_t priority = 0;  // 0 goes first; at most config::kPriorityMax.
  bool picky = false;    // Some servers are no use to it, so it may have to wait on when others go.
};

// Where a waiter stands among all: what is less comes first.
using WaitOrder = uint64_t;
inline constexpr WaitOrder kNobodyWaits = UINT64_MAX;
WaitOrder order_of(const Waiter& waiter);

// CoDel (RFC 8289) over the time that requests wait: when no wait was below the target for an
// interval, it sheds, at first one per interval and then ever faster (by the square root of their
// number), until one is. A short burst passes, a standing queue does not stay.
class ControlledDelay {
 public:
  // Whether a request that leaves the queue now, after `sojourn`, is to be given up. `last`: nobody
  // is behind it. Asked once for each that leaves.
  bool sheds(Duration sojourn, bool last, Instant now, Duration target, Duration interval);

 private:
  bool may_shed(Duration sojourn, bool last, Instant now, Duration target, Duration interval);
  static Instant next_after(Instant time, Duration interval, uint32_t count);

  bool above_ = false;     // Waits have been above the target since before…
  Instant above_until_{};  // …and are too long from here on.
  bool shedding_ = false;
  Instant next_{};           // The next is shed then.
  uint32_t count_ = 0;       // Shed since shedding began.
  uint32_t last_count_ = 0;  // The same at the end of the last time.
};

// The waiters of one worker for one pool. Owns none of them.
class WaitQueue {
 public:
  void push(Waiter& waiter);  // Behind those of its priority.
  void remove(Waiter& waiter);
  bool empty() const { return size_ == 0; }
  uint32_t size() const { return size_; }
  // kNobodyWaits if it is empty.
  WaitOrder front();

  // The first in order that `try_it(waiter)` accepts, or null. One that is not picky speaks for all
  // behind it: what it cannot have, they cannot either.
  template <class TryIt>
  Waiter* first_of(TryIt try_it) {
    for (auto& list : by_priority_) {
      for (ListNode<>* node = list.begin(); node != list.end(); node = node->next) {
        Waiter& waiter = *static_cast<Waiter*>(node);
        if (try_it(waiter)) return &waiter;
        if (!waiter.picky) return nullptr;
      }
    }
    return nullptr;
  }

  // Takes a waiter off; true if CoDel says that it is to be given up.
  bool leave(Waiter& waiter, Instant now, Duration target, Duration interval);

 private:
  std::array<IntrusiveList<Waiter>, config::kPriorityMax + 1> by_priority_;
  // One per priority: those behind may wait for ever without being too many.
  std::array<ControlledDelay, config::kPriorityMax + 1> delays_;
  uint32_t size_ = 0;
};

// Rings for another worker.
class Wakeup {
 public:
  virtual void wake() = 0;  // Any thread; does not wait.

 protected:
  ~Wakeup() = default;
};

// A pool's waiters of all workers together.
class WaitGate {
 public:
  // One worker's place at the gate.
  struct Seat {
    std::atomic<WaitOrder> front{kNobodyWaits};
    Wakeup* wakeup = nullptr;  // Null: nobody to ring for.
  };

  WaitGate() = default;
  WaitGate(const WaitGate&) = delete;
  WaitGate& operator=(const WaitGate&) = delete;

  void take(Seat& seat);
  void give_up(Seat& seat);  // No more rings for it when this returns.

  // Counts one more waiter, unless there are `most` already.
  bool enter(uint32_t most);
  void leave();
  uint32_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // Rings for the worker whose first waiter comes before all others and before own's. False: that
  // is own's, or nobody waits.
  bool pass_on(const Seat& own);

 private:
  std::atomic<uint32_t> waiting_{0};
  std::mutex mutex_;  // Taken only while somebody waits.
  std::vector<Seat*> seats_;
};

}  // namespace shunt::proxy
