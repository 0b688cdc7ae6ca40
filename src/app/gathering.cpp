// Judged every kLooks looks, so that a single large or empty one decides nothing.
#include "app/gathering.h"

#include <algorithm>

namespace shunt::app {

Duration Gathering::after(uint32_t frames, Instant began, Instant ended) {
  if (looks_ == 0) since_ = began;
  ++looks_;
  frames_ += frames;
  looking_ += ended - began;
  if (looks_ == kLooks) judge(ended);
  return frames >= kMany ? Duration{} : pause_;
}

void Gathering::judge(Instant now) {
  if (pause_ == Duration{}) {
    judge_waiting(now - since_, now);
  } else {
    judge_pausing(now);
  }
  looks_ = 0;
  frames_ = 0;
  looking_ = Duration{};
}

void Gathering::judge_waiting(Duration elapsed, Instant now) {
  const bool small = frames_ < kLooks * kMany;
  const bool busy = looking_ * kBusyShare > elapsed;
  if (!small || !busy || now < not_before_) return;
  frames_waiting_ = frames_;
  pause_ = std::clamp(looking_ * kPauseInLooks / kLooks, kShortest, kLongest);
}

void Gathering::judge_pausing(Instant now) {
  if (frames_ >= kLooks * kFewest && frames_ >= 2 * frames_waiting_) {
    retry_ = kFirstRetry;
    return;
  }
  pause_ = Duration{};
  not_before_ = now + retry_;
  retry_ = std::min(retry_ * 2, kLastRetry);
}

}  // namespace shunt::app
