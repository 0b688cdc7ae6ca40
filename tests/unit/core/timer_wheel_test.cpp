// The timer wheel against a model that keeps deadlines in a map: never early, at most a tick late,
// once per arming.
#include "core/timer_wheel.h"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <random>
#include <vector>

namespace shunt {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant(Duration(123'456'789));

struct Probe {
  Timer timer;
  int fired = 0;
  Probe() { bind<&Probe::on_timer>(timer, *this); }
  void on_timer() { ++fired; }
};

BOOST_AUTO_TEST_SUITE(timer_wheel)

BOOST_AUTO_TEST_CASE(fires_once_and_within_a_tick_at_any_distance) {
  const Duration distances[] = {0ms,    1us,     1ms,     2ms, 255ms, 256ms,       257ms,
                                1500us, 65535ms, 65536ms, 70s, 5h,    17h + 123ms, 24h * 60};
  for (const Duration distance : distances) {
    BOOST_TEST_CONTEXT(distance.count() << " ns") {
      TimerWheel wheel(kStart);
      Probe probe;
      const Instant deadline = kStart + 77ms + distance;
      wheel.advance(kStart + 77ms);
      wheel.arm(probe.timer, deadline);
      BOOST_TEST(probe.timer.armed());
      BOOST_TEST((wheel.next() <= deadline + 1ms));
      if (distance > 1us) {
        wheel.advance(deadline - 1us);
        BOOST_TEST(probe.fired == 0);
      }
      wheel.advance(deadline + 1ms);
      BOOST_TEST(probe.fired == 1);
      BOOST_TEST(!probe.timer.armed());
      wheel.advance(deadline + 24h * 100);
      BOOST_TEST(probe.fired == 1);
      BOOST_TEST((wheel.next() == kNever));
    }
  }
}

BOOST_AUTO_TEST_CASE(next_leads_to_the_deadline_in_few_steps) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.arm(probe.timer, kStart + 30s);
  int steps = 0;
  while (probe.fired == 0 && steps < 10) {
    const Instant next = wheel.next();
    BOOST_REQUIRE((next != kNever));
    wheel.advance(next);
    ++steps;
  }
  BOOST_TEST(probe.fired == 1);
  BOOST_TEST(steps <= 4);
}

BOOST_AUTO_TEST_CASE(a_deadline_moves_both_ways) {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.arm(probe.timer, kStart + 100ms);
  wheel.arm(probe.timer, kStart + 300ms);
  wheel.advance(kStart + 299ms);
  BOOST_TEST(probe.fired == 0);
  wheel.advance(kStart + 300ms);
  BOOST_TEST(probe.fired == 1);
  wheel.arm(probe.timer, kStart + 10s);
  wheel.arm(probe.timer, kStart + 20s);
  wheel.arm(probe.timer, kStart + 400ms);
  wheel.advance(kStart + 400ms);
  BOOST_TEST(probe.fired == 2);
  wheel.arm(probe.timer, kNever);
  wheel.advance(kStart + 24h * 365);
  BOOST_TEST(probe.fired == 2);
  BOOST_TEST(probe.timer.armed());
  wheel.cancel(probe.timer);
  wheel.cancel(probe.timer);
  BOOST_TEST((wheel.next() == kNever));
}

// A timer that arms itself for a time that has passed must not keep advance() busy.
struct Repeater {
  TimerWheel& wheel;
  Timer timer;
  int fired = 0;
  explicit Repeater(TimerWheel& owner) : wheel(owner) { bind<&Repeater::on_timer>(timer, *this); }
  void on_timer() {
    ++fired;
    wheel.arm(timer, kStart);
  }
};

BOOST_AUTO_TEST_CASE(a_timer_armed_for_the_past_while_firing_waits_for_the_next_advance) {
  TimerWheel wheel(kStart);
  Repeater repeater(wheel);
  wheel.arm(repeater.timer, kStart + 1ms);
  wheel.advance(kStart + 10s);
  BOOST_TEST(repeater.fired == 1);
  wheel.advance(kStart + 10s + 1ms);
  BOOST_TEST(repeater.fired == 2);
  wheel.cancel(repeater.timer);
}

struct Canceller {
  TimerWheel& wheel;
  Timer& victim;
  Timer timer;
  Canceller(TimerWheel& owner, Timer& other) : wheel(owner), victim(other) {
    bind<&Canceller::on_timer>(timer, *this);
  }
  void on_timer() { wheel.cancel(victim); }
};

BOOST_AUTO_TEST_CASE(a_firing_timer_may_cancel_another_one_that_is_due) {
  TimerWheel wheel(kStart);
  Probe probe;
  Canceller canceller(wheel, probe.timer);
  wheel.arm(canceller.timer, kStart + 5ms);
  wheel.arm(probe.timer, kStart + 5ms);
  wheel.advance(kStart + 50ms);
  BOOST_TEST(probe.fired == 0);
  BOOST_TEST(!canceller.timer.armed());
}

// However little is done at a time, everything fires once and not too early; what is armed between
// two calls too.
BOOST_AUTO_TEST_CASE(advances_bit_by_bit) {
  for (const size_t most : {1, 3, 100}) {
    TimerWheel wheel(kStart);
    std::vector<Probe> probes(2000);
    std::mt19937 random(7);
    const Duration distances[] = {256ms, 300ms, 65536ms, 66s, 5h};
    const Duration steps[] = {255ms, 1ms, 50ms, 65300ms, 400ms, 24h, 24h};
    for (size_t i = 0; i < 1000; ++i)
      wheel.arm(probes[i].timer, kStart + distances[random() % std::size(distances)]);
    size_t armed = 1000;
    Instant now = kStart;
    for (const Duration step : steps) {
      now += step;
      size_t calls = 0;
      for (bool more = true; more; ++calls) {
        int before = 0;
        for (const Probe& probe : probes) before += probe.fired;
        more = wheel.advance(now, most);
        int after = 0;
        for (const Probe& probe : probes) after += probe.fired;
        BOOST_REQUIRE(static_cast<size_t>(after - before) <= most);
        if (armed < probes.size()) wheel.arm(probes[armed].timer, now + 255ms + calls % 2 * 1ms);
        if (armed < probes.size()) ++armed;
      }
      for (const Probe& probe : probes) {
        BOOST_REQUIRE(probe.fired <= 1);
        if (probe.timer.armed()) BOOST_REQUIRE((probe.timer.deadline > now));
      }
    }
    while (wheel.advance(now + 24h, most)) {
    }
    for (size_t i = 0; i < armed; ++i) BOOST_TEST(probes[i].fired == 1);
    BOOST_TEST((wheel.next() == kNever));
  }
}

// Some thousand random operations; every timer must fire in the first advance at or behind its
// deadline's tick.
struct Model {
  struct Entry {
    Timer timer;
    Model* model = nullptr;
    bool armed = false;
    void on_timer();
  };
  TimerWheel wheel{kStart};
  Instant now = kStart;
  std::vector<Entry> entries = std::vector<Entry>(50);
  size_t early = 0;
  size_t unexpected = 0;
  size_t fired = 0;
};

void Model::Entry::on_timer() {
  if (timer.deadline > model->now) ++model->early;
  if (!armed) ++model->unexpected;
  armed = false;
  ++model->fired;
}

BOOST_AUTO_TEST_CASE(agrees_with_a_simple_model) {
  Model model;
  for (Model::Entry& entry : model.entries) {
    entry.model = &model;
    bind<&Model::Entry::on_timer>(entry.timer, entry);
  }
  std::mt19937_64 random(7);
  const auto up_to = [&random](int64_t ns) {
    return Duration(static_cast<int64_t>(random() % static_cast<uint64_t>(ns)));
  };
  for (int i = 0; i < 200'000; ++i) {
    Model::Entry& entry = model.entries[random() % model.entries.size()];
    const uint64_t action = random() % 10;
    if (action < 5) {
      const Duration reach = action < 3 ? Duration(300ms) : action == 3 ? Duration(90s) : 20h;
      model.wheel.arm(entry.timer, model.now + up_to(reach.count()));
      entry.armed = true;
    } else if (action == 5) {
      model.wheel.cancel(entry.timer);
      entry.armed = false;
    } else {
      const Duration reach = i % 500 == 0 ? Duration(3h) : i % 50 == 0 ? Duration(2s) : 5ms;
      model.now += up_to(reach.count());
      model.wheel.advance(model.now);
      for (const Model::Entry& one : model.entries) {
        BOOST_REQUIRE(one.armed == one.timer.armed());
        if (one.armed) BOOST_REQUIRE((one.timer.deadline + 2ms > model.now));
      }
    }
  }
  BOOST_TEST(model.early == 0u);
  BOOST_TEST(model.unexpected == 0u);
  BOOST_TEST(model.fired > 10'000u);
  for (Model::Entry& entry : model.entries) model.wheel.cancel(entry.timer);
  BOOST_TEST((model.wheel.next() == kNever));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
