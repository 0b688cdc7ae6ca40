// Slow start: the share of a server grows step by step, and afterwards all is as it was.
#include "sched/effective_weight.h"

#include <algorithm>

#include "farm.h"

namespace shunt::sched::test {
namespace {

using namespace std::chrono_literals;

Flow at(Duration time) {
  Flow flow;
  flow.now = Instant(time);
  return flow;
}

ServerSpec slow(char name, int32_t weight, Duration time = 10s) {
  ServerSpec spec = spec_of(name, weight);
  spec.slow_start = time;
  return spec;
}

int64_t count(const std::string& picks, char name) {
  return std::ranges::count(picks, name);
}

BOOST_AUTO_TEST_SUITE(effective_weight)

BOOST_AUTO_TEST_CASE(the_share_grows_by_tenths) {
  Farm farm("wrr", "A1");
  BOOST_REQUIRE(farm->add(slow('B', 1)).has_value());
  for (const auto& [time, share] : {std::pair{5s, 1}, {5s, 1}, {6s, 2}, {10s, 6}, {14s, 10}}) {
    BOOST_TEST_CONTEXT(time.count() << " s") {
      // A has ten shares.
      const std::string picks = farm.picks(220, Counted::kInactive, at(time));
      const double expected = 220.0 * share / (10 + share);
      BOOST_TEST(std::abs(static_cast<double>(count(picks, 'B')) - expected) <= 2);
    }
  }
  BOOST_TEST(farm['A'].weight == 10);
  BOOST_TEST(farm.picks(20, Counted::kInactive, at(15s)).size() == 20u);
  for (const char name : {'A', 'B'}) {
    BOOST_TEST(farm[name].weight == 1);
    BOOST_TEST(farm[name].scale == 1);
    BOOST_TEST(farm[name].spec.weight == 1);
  }
}

BOOST_AUTO_TEST_CASE(by_least_connections_the_load_follows_the_weight) {
  Farm farm("wlc", "A4");
  BOOST_REQUIRE(farm->add(slow('B', 4)).has_value());
  const std::string early = farm.picks(110, Counted::kActive, at(1s));
  BOOST_TEST(count(early, 'B') == 10);
  const std::string late = farm.picks(90, Counted::kActive, at(20s));
  BOOST_TEST(count(late, 'B') == 90);  // It has its full share to catch up with.
}

BOOST_AUTO_TEST_CASE(a_farm_that_begins_together_begins_at_once) {
  const std::vector<ServerSpec> specs{slow('A', 1), slow('B', 1)};
  Farm farm("wrr");
  BOOST_REQUIRE(farm->reconcile(specs, "wrr", {}).has_value());
  BOOST_TEST(farm.picks(4, Counted::kInactive, at(1s)) == "BABA");
  BOOST_TEST(farm['A'].scale == 1);
  // One that a reload adds does not.
  const std::vector<ServerSpec> more{slow('A', 1), slow('B', 1), slow('C', 1)};
  BOOST_REQUIRE(farm->reconcile(more, "wrr", {}).has_value());
  BOOST_TEST(count(farm.picks(21, Counted::kInactive, at(2s)), 'C') == 1);
}

BOOST_AUTO_TEST_CASE(from_weight_zero_it_starts_slowly) {
  const std::vector<ServerSpec> before{slow('A', 2), slow('B', 0)};
  const std::vector<ServerSpec> after{slow('A', 2), slow('B', 2)};
  Farm farm("wrr");
  BOOST_REQUIRE(farm->reconcile(before, "wrr", {}).has_value());
  BOOST_TEST(farm.picks(3, Counted::kInactive, at(1s)) == "AAA");
  BOOST_REQUIRE(farm->reconcile(after, "wrr", {}).has_value());
  BOOST_TEST(count(farm.picks(110, Counted::kInactive, at(2s)), 'B') == 10);
  // Weights change in proportion while it lasts.
  farm.edit('B', 4);
  BOOST_TEST(count(farm.picks(120, Counted::kInactive, at(2s)), 'B') == 20);
}

BOOST_AUTO_TEST_CASE(back_from_an_open_circuit_it_starts_slowly) {
  Farm farm("wrr", "A1");
  ServerSpec spec = slow('B', 1);
  BOOST_REQUIRE(farm->add(spec).has_value());
  farm->set_circuit_rules({.failures = 1, .open_first = 10s, .share_max = 0.5});
  farm.picks(2, Counted::kInactive, at(0s));
  farm.picks(2, Counted::kInactive, at(20s));  // The start is over.
  BOOST_TEST(farm['B'].weight == 1);
  farm->judge(farm['B'], Verdict::kFailure, Instant(20s));
  BOOST_TEST(count(farm.picks(4, Counted::kInactive, at(31s)), 'B') == 1);
  BOOST_TEST(farm->judge(farm['B'], Verdict::kSuccess, Instant(32s)).closed);
  BOOST_TEST(count(farm.picks(110, Counted::kInactive, at(32s)), 'B') == 10);
  BOOST_TEST(count(farm.picks(100, Counted::kInactive, at(42s)), 'B') == 50);
}

// What compares a weight with a number of connections compares what the weight stands for.
BOOST_AUTO_TEST_CASE(overflow_keeps_its_measure_while_another_starts) {
  Farm farm("ovf", "A3 B2");
  BOOST_REQUIRE(farm->add(slow('C', 1)).has_value());
  BOOST_TEST(farm.picks(9, Counted::kActive, at(1s)) == "AAAABBBC-");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::sched::test
