// Four wheels of 256 slots. A timer is put on the finest wheel that reaches its tick; when a slot
// of a coarser wheel comes up, its timers move to finer ones. Level 0 slots hold one tick each, so
// what comes up there is due, unless its deadline was moved later meanwhile: then it is placed
// again. A bit in occupied_ may outlive the last timer of its slot (cancel does not search);
// running the slot clears it.
#include "core/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "core/assert.h"

namespace shunt {
namespace {

constexpr int64_t kTickNs = 1'000'000;

// The distance 1..256 from `slot` to the next set bit of the ring after it (`slot` itself last), or
// 0 if none is set.
uint64_t distance_to_next(const std::array<uint64_t, 4>& bits, uint64_t slot) {
  const uint64_t first = (slot + 1) % 256;
  for (uint64_t step = 0; step <= bits.size(); ++step) {
    uint64_t word = bits[(first / 64 + step) % bits.size()];
    if (step == 0) word &= ~uint64_t{0} << (first % 64);
    if (step == bits.size()) word &= ~(~uint64_t{0} << (first % 64));
    if (word == 0) continue;
    const uint64_t found =
        (first / 64 + step) % bits.size() * 64 + static_cast<uint64_t>(std::countr_zero(word));
    return (found + 256 - first) % 256 + 1;
  }
  return 0;
}

}  // namespace

TimerWheel::TimerWheel(Instant start) : start_(start) {}

uint64_t TimerWheel::tick_of(Instant deadline) const {
  const int64_t ns = (deadline - start_).count();
  return ns <= 0 ? 0 : static_cast<uint64_t>((ns - 1) / kTickNs + 1);
}

Instant TimerWheel::instant_of(uint64_t tick) const {
  return start_ + Duration(static_cast<int64_t>(tick) * kTickNs);
}

void TimerWheel::arm(Timer& timer, Instant deadline) {
  SHUNT_ASSERT(timer.on_fire != nullptr);
  // What has passed is due in the next tick, and written down so: a coarser wheel places by the
  // deadline again.
  if (tick_of(deadline) <= horizon_) deadline = instant_of(horizon_ + 1);
  const bool later = deadline >= timer.deadline;
  timer.deadline = deadline;
  if (timer.armed()) {
    if (later) return;  // Its old slot comes up first and places it anew.
    IntrusiveList<Timer>::remove(timer);
  } else {
    ++armed_;
  }
  place(timer, tick_of(deadline));
}

void TimerWheel::cancel(Timer& timer) {
  if (!timer.armed()) return;
  SHUNT_ASSERT(armed_ > 0);
  IntrusiveList<Timer>::remove(timer);
  --armed_;
}

bool TimerWheel::advance(Instant now, size_t most) {
  const int64_t ns = (now - start_).count();
  horizon_ = std::max(horizon_, ns <= 0 ? 0 : static_cast<uint64_t>(ns / kTickNs));
  while (tick_ < horizon_) {
    const uint64_t next = next_tick();
    if (next > horizon_) {
      tick_ = horizon_;
      return false;
    }
    tick_ = next;
    // Coarse first: what comes down may be due in this very tick.
    for (int level = kLevels - 1; level >= 0; --level) {
      const uint64_t span_mask = (uint64_t{1} << (level * kSlotBits)) - 1;
      if ((tick_ & span_mask) != 0 || run_slot(level, most)) continue;
      --tick_;  // It has not passed: the rest of the slot, and finer ones, come up again.
      return true;
    }
  }
  return false;
}

Instant TimerWheel::next() const {
  const uint64_t tick = armed_ == 0 ? kNoTick : next_tick();
  return tick == kNoTick ? kNever : instant_of(tick);
}

void TimerWheel::place(Timer& timer, uint64_t tick) {
  SHUNT_ASSERT(tick >= tick_);
  constexpr uint64_t kReach = (uint64_t{1} << (kLevels * kSlotBits)) - 1;
  tick = std::min(tick, tick_ + kReach);  // Farther ones are looked at again when that comes up.
  const uint64_t delta = tick - tick_;
  const int level = delta == 0 ? 0 : (static_cast<int>(std::bit_width(delta)) - 1) / kSlotBits;
  const uint64_t slot = tick >> (level * kSlotBits) & (kSlots - 1);
  const auto wheel = static_cast<size_t>(level);
  slots_[wheel][slot].push_back(timer);
  occupied_[wheel][slot / 64] |= uint64_t{1} << (slot % 64);
}

// The first tick after tick_ in which an occupied slot comes up.
uint64_t TimerWheel::next_tick() const {
  uint64_t soonest = kNoTick;
  for (int level = 0; level < kLevels; ++level) {
    const uint64_t current = tick_ >> (level * kSlotBits);
    const uint64_t distance =
        distance_to_next(occupied_[static_cast<size_t>(level)], current & (kSlots - 1));
    if (distance > 0) soonest = std::min(soonest, (current + distance) << (level * kSlotBits));
  }
  return soonest;
}

// False if `most` did not suffice; what is left stays in the slot.
bool TimerWheel::run_slot(int level, size_t& most) {
  const auto wheel = static_cast<size_t>(level);
  const uint64_t slot = tick_ >> (level * kSlotBits) & (kSlots - 1);
  IntrusiveList<Timer>& timers = slots_[wheel][slot];
  occupied_[wheel][slot / 64] &= ~(uint64_t{1} << (slot % 64));
  // Nothing placed from here lands in this slot again: it is at least one slot ahead, and less than
  // a turn.
  while (!timers.empty()) {
    if (most-- == 0) {
      most = 0;
      occupied_[wheel][slot / 64] |= uint64_t{1} << (slot % 64);
      return false;
    }
    Timer& timer = timers.pop_front();
    const uint64_t due = tick_of(timer.deadline);
    if (due > tick_ || level > 0) {
      place(timer, due);
      continue;
    }
    --armed_;
    timer.on_fire(timer);
  }
  return true;
}

}  // namespace shunt
