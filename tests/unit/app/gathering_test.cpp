// When a forwarding thread lets frames gather: with looks at rings that are acted out on a clock.
#include "app/gathering.h"

#include <boost/test/unit_test.hpp>
#include <chrono>

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

// A thread that looks, waits or pauses, and looks again.
class Thread {
 public:
  // So many looks; each takes `look` and finds `waiting` frames after `apart` of waiting, or
  // `gathered` after a pause.
  void look(int looks, uint32_t waiting, uint32_t gathered, Duration look, Duration apart) {
    for (int i = 0; i < looks; ++i) {
      const bool paused = pause_ > Duration{};
      now_ += paused ? pause_ : apart;
      const Instant began = now_;
      now_ += look;
      pause_ = gathering_.after(paused ? gathered : waiting, began, now_);
      pauses_ += pause_ > Duration{};
    }
  }
  Duration pause() const { return pause_; }
  int pauses() const { return pauses_; }

 private:
  Gathering gathering_;
  Instant now_{1h};
  Duration pause_{};
  int pauses_ = 0;
};

constexpr int kLooks = Gathering::kLooks;

BOOST_AUTO_TEST_SUITE(gathering)

BOOST_AUTO_TEST_CASE(many_small_bursts_gather) {
  Thread thread;
  thread.look(kLooks - 1, 2, 0, 10us, 10us);
  BOOST_TEST((thread.pause() == Duration{}));
  thread.look(1, 2, 0, 10us, 10us);
  BOOST_TEST((thread.pause() == 10us * Gathering::kPauseInLooks));
  thread.look(100 * kLooks - 1, 2, 7, 10us, 10us);
  BOOST_TEST((thread.pause() > Duration{}));
  BOOST_TEST(thread.pauses() == 100 * kLooks);
}

BOOST_AUTO_TEST_CASE(pauses_have_limits) {
  Thread quick;
  quick.look(kLooks, 1, 0, 1us, 1us);
  BOOST_TEST((quick.pause() == Gathering::kShortest));
  Thread slow;
  slow.look(kLooks, 1, 0, 1ms, 1ms);
  BOOST_TEST((slow.pause() == Gathering::kLongest));
}

BOOST_AUTO_TEST_CASE(an_idle_thread_waits) {
  Thread thread;
  thread.look(100 * kLooks, 1, 0, 10us, 100us);
  BOOST_TEST(thread.pauses() == 0);
}

BOOST_AUTO_TEST_CASE(large_bursts_need_no_pause) {
  Thread thread;
  thread.look(100 * kLooks, Gathering::kMany, 0, 10us, 10us);
  BOOST_TEST(thread.pauses() == 0);
}

// Whoever has found many looks again at once: there may be more.
BOOST_AUTO_TEST_CASE(after_a_large_burst_there_is_no_pause) {
  Thread thread;
  thread.look(kLooks, 2, 0, 10us, 10us);
  thread.look(1, 0, Gathering::kMany, 10us, 10us);
  BOOST_TEST((thread.pause() == Duration{}));
}

// One client that asks, is answered and asks again: a pause only makes it wait.
BOOST_AUTO_TEST_CASE(clients_that_wait_for_us_are_not_slowed_down) {
  for (const uint32_t frames : {1u, 4u, 5u}) {
    Thread thread;
    thread.look(10'000, 1, frames, 10us, 10us);
    BOOST_TEST(thread.pauses() < 250);
    const int before = thread.pauses();
    thread.look(10'000, 1, frames, 10us, 10us);  // 200 ms: one more try at most.
    BOOST_TEST(thread.pauses() - before <= kLooks);
  }
}

// Gathered are not many more than came anyway.
BOOST_AUTO_TEST_CASE(what_does_not_gather_is_not_waited_for) {
  Thread thread;
  thread.look(20'000, 7, 7, 10us, 10us);
  BOOST_TEST(thread.pauses() < 250);
}

BOOST_AUTO_TEST_CASE(it_is_tried_again_soon_when_it_has_paid) {
  Thread thread;
  thread.look(10'000, 1, 1, 10us, 10us);   // Now it is tried every 256 ms.
  thread.look(100'000, 1, 7, 10us, 10us);  // More clients: found within that time.
  BOOST_TEST((thread.pause() > Duration{}));
  thread.look(kLooks, 1, 0, 10us, 10us);  // They are gone…
  BOOST_TEST((thread.pause() == Duration{}));
  thread.look(8 * kLooks, 1, 7, 10us, 10us);  // …and back.
  BOOST_TEST((thread.pause() > Duration{}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
