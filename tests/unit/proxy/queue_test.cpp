// The order of waiting, CoDel over a virtual clock, and the gate between workers.
#include "proxy/queue.h"

#include <boost/test/unit_test.hpp>
#include <deque>
#include <string>
#include <thread>

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;

struct Named : Waiter {
  Named(char letter, uint8_t waiter_priority, Duration since_ = {}, bool is_picky = false)
      : name(letter) {
    priority = waiter_priority;
    since = Instant(since_);
    picky = is_picky;
  }
  char name;
};

// Serves all, in order.
std::string drain(WaitQueue& queue) {
  std::string names;
  while (Waiter* waiter = queue.first_of([](Waiter&) { return true; })) {
    names += static_cast<Named*>(waiter)->name;
    queue.remove(*waiter);
  }
  return names;
}

BOOST_AUTO_TEST_SUITE(queue)

BOOST_AUTO_TEST_CASE(priority_first_then_arrival) {
  WaitQueue queue;
  std::deque<Named> all;
  for (const auto& [name, priority] : {std::pair{'a', 3}, {'b', 0}, {'c', 3}, {'d', 7}, {'e', 0}})
    queue.push(all.emplace_back(name, static_cast<uint8_t>(priority)));
  BOOST_TEST(queue.size() == 5u);
  BOOST_TEST(drain(queue) == "beacd");
  BOOST_TEST(queue.empty());
}

BOOST_AUTO_TEST_CASE(the_order_is_the_same_between_queues) {
  const Named early('a', 1, 5s), late('b', 1, 6s), urgent('c', 0, 7s);
  BOOST_TEST(order_of(urgent) < order_of(early));
  BOOST_TEST(order_of(early) < order_of(late));
  BOOST_TEST(order_of(Named('d', 7, 24h * 365 * 30)) < kNobodyWaits);
  WaitQueue queue;
  BOOST_TEST(queue.front() == kNobodyWaits);
  Named waiter('a', 1, 5s);
  queue.push(waiter);
  BOOST_TEST(queue.front() == order_of(early));
  queue.remove(waiter);
}

BOOST_AUTO_TEST_CASE(the_picky_do_not_stand_in_the_way) {
  WaitQueue queue;
  Named a('a', 0, 0s, true), b('b', 0), c('c', 1);
  for (Named* waiter : {&a, &b, &c}) queue.push(*waiter);
  std::string asked;
  const auto refuse = [&asked](Waiter& waiter) {
    asked += static_cast<Named&>(waiter).name;
    return false;
  };
  BOOST_TEST((queue.first_of(refuse) == nullptr));
  BOOST_TEST(asked == "ab");  // What b cannot have, c cannot.
  BOOST_TEST(drain(queue) == "abc");
}

constexpr Duration kTarget = 20ms;
constexpr Duration kInterval = 100ms;

// One request leaves per millisecond, each after `sojourn`; the times at which one was shed.
std::vector<int> shed_times(ControlledDelay& delay, int from_ms, int to_ms, Duration sojourn) {
  std::vector<int> times;
  for (int ms = from_ms; ms < to_ms; ++ms) {
    if (delay.sheds(sojourn, false, Instant(Duration(1ms) * ms), kTarget, kInterval))
      times.push_back(ms);
  }
  return times;
}

BOOST_AUTO_TEST_CASE(codel_lets_short_waits_and_bursts_pass) {
  ControlledDelay delay;
  BOOST_TEST(shed_times(delay, 0, 1000, kTarget - 1ns).empty());
  BOOST_TEST(shed_times(delay, 1000, 1099, 10s).empty());  // Not for a whole interval.
  BOOST_TEST(shed_times(delay, 1099, 1100, 0s).empty());
  BOOST_TEST(shed_times(delay, 1100, 1200, 10s).empty());
}

// RFC 8289: the first after an interval, then after interval / sqrt(1), / sqrt(2), …
BOOST_AUTO_TEST_CASE(codel_sheds_ever_faster_until_a_wait_is_short) {
  ControlledDelay delay;
  const std::vector<int> expected{100, 200, 271, 329, 379, 424, 464};
  const std::vector<int> times = shed_times(delay, 0, 480, 30ms);
  BOOST_TEST(times == expected, boost::test_tools::per_element());
  BOOST_TEST(shed_times(delay, 480, 481, 1ms).empty());
  // It has only just stopped: it goes on at the rate where it was.
  const std::vector<int> again = shed_times(delay, 481, 700, 30ms);
  BOOST_REQUIRE(again.size() >= 3u);
  BOOST_TEST(again[0] == 581);
  BOOST_TEST(again[1] - again[0] < 45);
}

BOOST_AUTO_TEST_CASE(codel_never_sheds_the_last) {
  ControlledDelay delay;
  for (int ms = 0; ms < 1000; ++ms)
    BOOST_TEST(!delay.sheds(10s, true, Instant(Duration(1ms) * ms), kTarget, kInterval));
}

BOOST_AUTO_TEST_CASE(without_a_target_nobody_is_shed) {
  WaitQueue queue;
  std::deque<Named> all;
  for (int i = 0; i < 100; ++i) queue.push(all.emplace_back('x', uint8_t{0}));
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(!queue.leave(all[static_cast<size_t>(i)], Instant(1h + i * 1s), 0s, kInterval));
}

// Those that must wait because others go first do not make these too many.
BOOST_AUTO_TEST_CASE(each_priority_has_its_own_delay) {
  WaitQueue queue;
  std::deque<Named> all;
  int shed = 0;
  for (int ms = 0; ms < 1000; ++ms) {
    for (const uint8_t priority : {uint8_t{0}, uint8_t{5}}) {
      const Duration since = Duration(1ms) * ms - (priority == 0 ? 1ms : 10s);
      Named& served = all.emplace_back('x', priority, since);
      Named& behind = all.emplace_back('y', priority, since);
      queue.push(served);
      queue.push(behind);
      const bool given_up = queue.leave(served, Instant(Duration(1ms) * ms), kTarget, kInterval);
      BOOST_TEST((!given_up || priority == 5));
      shed += given_up ? 1 : 0;
      queue.remove(behind);
    }
  }
  BOOST_TEST(shed > 10);
}

struct Bell final : Wakeup {
  void wake() override { ++rings; }
  int rings = 0;
};

BOOST_AUTO_TEST_CASE(the_gate_is_bounded) {
  WaitGate gate;
  BOOST_TEST(!gate.enter(0));
  BOOST_TEST(gate.enter(2));
  BOOST_TEST(gate.enter(2));
  BOOST_TEST(!gate.enter(2));
  BOOST_TEST(gate.waiting() == 2u);
  gate.leave();
  BOOST_TEST(gate.enter(2));
}

BOOST_AUTO_TEST_CASE(the_gate_rings_for_the_first_in_line) {
  WaitGate gate;
  Bell bells[3];
  WaitGate::Seat seats[3];
  for (size_t i = 0; i < 3; ++i) {
    seats[i].wakeup = &bells[i];
    gate.take(seats[i]);
  }
  BOOST_TEST(!gate.pass_on(seats[0]));  // Nobody waits.
  seats[1].front = 20;
  seats[2].front = 10;
  BOOST_TEST(gate.pass_on(seats[0]));
  BOOST_TEST(gate.pass_on(seats[1]));
  BOOST_TEST(!gate.pass_on(seats[2]));
  BOOST_TEST(bells[2].rings == 2);
  gate.give_up(seats[2]);
  BOOST_TEST(gate.pass_on(seats[0]));
  BOOST_TEST(bells[1].rings == 1);
  BOOST_TEST(bells[0].rings == 0);
}

BOOST_AUTO_TEST_CASE(the_gate_counts_right_from_many_threads) {
  WaitGate gate;
  std::atomic<uint32_t> inside{0};
  std::atomic<uint32_t> most{0};
  const auto come_and_go = [&] {
    for (int i = 0; i < 20'000; ++i) {
      if (!gate.enter(3)) continue;
      const uint32_t now = ++inside;
      if (now > most) most = now;
      --inside;
      gate.leave();
    }
  };
  std::thread threads[] = {std::thread(come_and_go), std::thread(come_and_go),
                           std::thread(come_and_go), std::thread(come_and_go)};
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(most.load() <= 3u);
  BOOST_TEST(gate.waiting() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
