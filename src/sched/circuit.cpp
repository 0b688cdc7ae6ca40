// The transitions of a circuit.
#include "sched/circuit.h"

#include <algorithm>

#include "core/assert.h"

namespace shunt::sched {

Duration Circuit::open(Instant now, Duration first, Duration longest) {
  if (state_ == State::kOpen) return Duration{0};
  // Who has served for as long as it was out begins anew.
  const bool served = state_ == State::kClosed && closed_at_ != kNever && now - closed_at_ >= last_;
  last_ = last_ == Duration{0} || served ? first : std::min(2 * last_, std::max(first, longest));
  state_ = State::kOpen;
  probing_ = false;
  until_ = now + last_;
  return last_;
}

bool Circuit::refresh(Instant now) {
  if (!bars() || now < until_) return false;
  state_ = State::kHalfOpen;
  probing_ = false;
  until_ = kNever;
  return true;
}

void Circuit::probe(Instant now) {
  SHUNT_ASSERT(state_ == State::kHalfOpen);
  probing_ = true;
  until_ = now + last_;
}

bool Circuit::close(Instant now) {
  if (state_ != State::kHalfOpen) return false;
  state_ = State::kClosed;
  probing_ = false;
  until_ = kNever;
  closed_at_ = now;
  return true;
}

}  // namespace shunt::sched
