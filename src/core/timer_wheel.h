// A hierarchical timer wheel with millisecond ticks: O(1) to arm, move and cancel, no allocation.
// Moving a deadline later, as each request does, is one store: the timer is looked at again when
// its old slot comes up. Single-threaded; owned by the event loop.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/instant.h"
#include "core/intrusive_list.h"

namespace shunt {

// Embedded in its owner. on_fire is called once per arming, from TimerWheel::advance.
struct Timer : ListNode<> {
  using OnFire = void (*)(Timer& timer);
  OnFire on_fire = nullptr;
  void* owner = nullptr;
  Instant deadline = kNever;

  bool armed() const { return linked(); }
};

// Routes a timer to a member function.
template <auto Method, class T>
void bind(Timer& timer, T& owner) {
  timer.owner = &owner;
  timer.on_fire = [](Timer& fired) { (static_cast<T*>(fired.owner)->*Method)(); };
}

class TimerWheel {
 public:
  explicit TimerWheel(Instant start);

  // Arms or moves `timer`. Fires at the first advance() to `deadline` or later, up to one tick (1
  // ms) late; a deadline that has passed becomes the next tick.
  void arm(Timer& timer, Instant deadline);
  void cancel(Timer& timer);

  // Fires everything due, in order of slots; a fired timer may arm or cancel any timer. At most
  // `most` (> 0) timers are looked at: true if that was not enough, and the next call goes on.
  bool advance(Instant now, size_t most = SIZE_MAX);

  // A lower bound of when advance() has something to do; kNever if no timer is armed.
  Instant next() const;

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 8;  // 256 slots a level: 256 ms, 65 s, 4.6 h, 49 days.
  static constexpr uint64_t kSlots = 1 << kSlotBits;

  static constexpr uint64_t kNoTick = UINT64_MAX;

  Instant instant_of(uint64_t tick) const;
  uint64_t tick_of(Instant deadline) const;  // Rounded up: a timer never fires early.
  void place(Timer& timer, uint64_t tick);
  uint64_t next_tick() const;
  bool run_slot(int level, size_t& most);

  Instant start_;
  // Everything up to and including this tick has fired…
  uint64_t tick_ = 0;
  // …and this is where a running advance() ends: what it arms fires after that.
  uint64_t horizon_ = 0;
  size_t armed_ = 0;
  std::array<std::array<IntrusiveList<Timer>, kSlots>, kLevels> slots_;
  std::array<std::array<uint64_t, kSlots / 64>, kLevels> occupied_{};
};

}  // namespace shunt
