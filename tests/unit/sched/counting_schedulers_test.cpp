// lc, wlc, sed, nq, fo and ovf: the choices of IPVS for connections that stay, counted as TCP's and
// as UDP's are, and what thresholds, weight 0 and exclusion do.
#include "farm.h"

namespace shunt::sched::test {

BOOST_AUTO_TEST_SUITE(counting_schedulers)

BOOST_AUTO_TEST_CASE(choices_when_every_connection_stays) {
  struct Row {
    const char* servers;
    const char* scheduler;
    const char* active;
    const char* inactive;
  };
  const Row rows[] = {
      {"A1 B2 C3", "wlc", "CBACBCCBACBC", "CBACBCCBACBC"},
      {"A1 B2 C3", "lc", "CBACBACBACBA", "CBACBACBACBA"},
      {"A1 B2 C3", "sed", "CBCCBACBCCBA", "CCCCCCCCCCCC"},
      {"A1 B2 C3", "nq", "CBACCBCBCCBA", "CCCCCCCCCCCC"},
      {"A1 B2 C3", "fo", "CCCCCCCCCCCC", "CCCCCCCCCCCC"},
      {"A1 B2 C3", "ovf", "CCCCBBBAA---", "CCCCCCCCCCCC"},
      {"A3 B0 C1", "wlc", "CAAACAAACAAA", "CAAACAAACAAA"},
      {"A3 B0 C1", "lc", "CACACACACACA", "CACACACACACA"},
      {"A3 B0 C1", "sed", "AACAAACAAACA", "AAAAAAAAAAAA"},
      {"A3 B0 C1", "nq", "CAAAAACAAACA", "CCCCCCCCCCCC"},
      {"A3 B0 C1", "fo", "AAAAAAAAAAAA", "AAAAAAAAAAAA"},
      {"A3 B0 C1", "ovf", "AAAACC------", "AAAAAAAAAAAA"},
      {"A10 B1", "wlc", "BAAAAAAAAAAB", "BAAAAAAAAAAB"},
      {"A10 B1", "sed", "AAAAAAAAABAA", "AAAAAAAAAAAA"},
      {"A10 B1", "nq", "BAAAAAAAAAAA", "BBBBBBBBBBBB"},
      {"A5 B5 C5", "fo", "CCC", "CCC"},
      {"A0 B0", "wlc", "--", "--"},
      {"A0 B0", "lc", "--", "--"},
      {"A0 B0", "sed", "--", "--"},
      {"A0 B0", "nq", "--", "--"},
      {"A0 B0", "fo", "--", "--"},
      {"A0 B0", "ovf", "--", "--"},
      {"", "wlc", "-", "-"},
  };
  for (const Row& row : rows) {
    const std::string about = std::string(row.scheduler) + " over " + row.servers;
    Farm active(row.scheduler, row.servers);
    BOOST_TEST(active.picks(std::string_view(row.active).size()) == row.active, about);
    Farm inactive(row.scheduler, row.servers);
    const size_t count = std::string_view(row.inactive).size();
    BOOST_TEST(inactive.picks(count, Counted::kInactive) == row.inactive, about);
  }
}

// 256 times active plus all: one active connection weighs as much as 257 inactive ones.
BOOST_AUTO_TEST_CASE(an_active_connection_weighs_257_inactive_ones) {
  for (const char* scheduler : {"lc", "wlc"}) {
    Farm farm(scheduler, "A1 B1");
    farm->bind(farm['B'], Counted::kActive);
    BOOST_TEST(farm.picks(257, Counted::kInactive) == std::string(257, 'A'), scheduler);
    BOOST_TEST(farm.picks(2, Counted::kInactive) == "BA", scheduler);  // A tie, then the lesser.
  }
}

BOOST_AUTO_TEST_CASE(overloaded_and_excluded_servers_are_passed_over) {
  for (const char* scheduler : {"lc", "wlc", "sed", "nq", "fo", "ovf"}) {
    Farm farm(scheduler);
    farm.add('A', 2);
    farm.add('B', 4, 1);
    farm.add('C', 4);
    const uint64_t refused[] = {farm['C'].id};
    BOOST_TEST(farm.pick({.excluded = refused}) == 'B', scheduler);
    BOOST_TEST(farm.pick({.excluded = refused}) == 'A', scheduler);
    const uint64_t both[] = {farm['C'].id, farm['A'].id};
    BOOST_TEST(farm.pick({.excluded = both}) == '-', scheduler);
  }
}

BOOST_AUTO_TEST_CASE(great_weights_and_counts_do_not_overflow) {
  Farm farm("wlc", "A65535 B1");
  farm['A'].active = 4'000'000;
  farm['B'].active = 70;
  BOOST_TEST(farm.pick({}) == 'A');  // 61 per weight against 70.
  farm['A'].active = 4'700'000;
  BOOST_TEST(farm.pick({}) == 'B');  // 71.7.
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
