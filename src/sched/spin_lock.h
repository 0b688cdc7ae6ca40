// A lock for critical sections of some tens of nanoseconds: spins, then yields its time slice, so
// that a holder that was preempted gets to run. One per ServerSet; any thread.
#pragma once

#include <sched.h>

#include <atomic>

namespace shunt::sched {

class SpinLock {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) wait();
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  static constexpr int kSpins = 128;  // About a microsecond, longer than a decision takes.

  // Reads only: a waiter that wrote would take the cache line from the holder.
  void wait() const {
    for (int spin = 0; held_.load(std::memory_order_relaxed); ++spin) {
      if (spin < kSpins) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      } else {
        sched_yield();
      }
    }
  }

  std::atomic<bool> held_{false};
};

}  // namespace shunt::sched
