// twos: the distribution of its choices by chi-square, the preference for the less loaded, and that
// a seed repeats it.
#include <map>

#include "farm.h"

namespace shunt::sched::test {

BOOST_AUTO_TEST_SUITE(two_choices)

// With no load at all the first choice wins; it is drawn from 0 to the sum of the weights
// inclusive, so that the first server in the list has one chance more than its weight.
BOOST_AUTO_TEST_CASE(idle_servers_are_drawn_by_weight) {
  Farm farm("twos", "A1 B2 C3");
  std::map<char, double> count;
  constexpr int kDraws = 70'000;
  for (int i = 0; i < kDraws; ++i) {
    Server* server = farm->schedule({}, Counted::kActive);
    ++count[server->spec.name[0]];
    farm->unbind(*server, Counted::kActive);
  }
  double statistic = 0;
  for (const auto& [name, chances] : {std::pair{'A', 1}, {'B', 2}, {'C', 4}}) {
    const double expected = kDraws * chances / 7.0;
    statistic += (count[name] - expected) * (count[name] - expected) / expected;
  }
  BOOST_TEST(statistic < 18.4);  // p = 1e-4 with 2 degrees of freedom.
}

// B is chosen only if both draws fall on it: 2 of 3 chances each.
BOOST_AUTO_TEST_CASE(the_less_loaded_of_the_two_is_taken) {
  Farm farm("twos", "A1 B1");
  for (int i = 0; i < 10; ++i) farm->bind(farm['B'], Counted::kActive);
  double loaded = 0;
  constexpr int kDraws = 9000;
  for (int i = 0; i < kDraws; ++i) {
    Server* server = farm->schedule({}, Counted::kInactive);
    loaded += server->spec.name[0] == 'B';
    farm->unbind(*server, Counted::kInactive);
  }
  const double expected = kDraws * 4.0 / 9;
  BOOST_TEST(std::abs(loaded - expected) < 200);  // Over 4 standard deviations.
}

BOOST_AUTO_TEST_CASE(a_seed_repeats_the_choices) {
  Farm farm("twos", "A1 B2 C3");
  Farm same("twos", "A1 B2 C3");
  BOOST_TEST(farm.picks(200) == same.picks(200));
}

BOOST_AUTO_TEST_CASE(nobody_eligible) {
  Farm farm("twos", "A0 B1");
  const uint64_t refused[] = {farm['B'].id};
  BOOST_TEST(farm.pick({.excluded = refused}) == '-');
  BOOST_TEST(farm.pick({}) == 'B');
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
