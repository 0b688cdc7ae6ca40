// Whether a forwarding thread that has looked at its rings waits for the next frame, or pauses
// first so that several gather, as cards moderate their interrupts. Waking up costs as much as
// forwarding some frames, for us and for whoever receives what we send. A pause pays when many
// small bursts follow each other closely; it must not slow down a few clients who each wait for an
// answer before they send more. So it is tried when the thread is busy with small bursts, kept
// while it gathers many more frames than came without, and otherwise tried again later and later.
// Pure; one thread's.
#pragma once

#include <cstdint>

#include "core/instant.h"

namespace shunt::app {

class Gathering {
 public:
  static constexpr uint32_t kLooks = 16;   // Judged together.
  static constexpr uint32_t kMany = 8;     // Frames a look; no need to gather more…
  static constexpr uint32_t kFewest = 6;   // …and what a pause has to bring.
  static constexpr int kBusyShare = 8;     // Looking takes more than this part of the time.
  static constexpr int kPauseInLooks = 5;  // A pause is so many times as long as a look takes,
  static constexpr Duration kShortest = std::chrono::microseconds(20);  // within these limits.
  static constexpr Duration kLongest = std::chrono::microseconds(200);
  static constexpr Duration kFirstRetry = std::chrono::milliseconds(1);
  static constexpr Duration kLastRetry = std::chrono::milliseconds(256);

  // After a look that began and ended then and found so many frames: how long to pause before the
  // next one. Zero: wait for a frame instead.
  Duration after(uint32_t frames, Instant began, Instant ended);

 private:
  void judge(Instant now);
  void judge_waiting(Duration elapsed, Instant now);
  void judge_pausing(Instant now);

  Duration pause_{};  // Zero: frames are waited for.
  // Of the looks since the last judgement.
  uint32_t looks_ = 0;
  uint32_t frames_ = 0;
  Duration looking_{};
  Instant since_{};

  uint32_t frames_waiting_ = 0;  // Of so many looks before pauses were tried.
  Duration retry_ = kFirstRetry;
  Instant not_before_{};
};

}  // namespace shunt::app
