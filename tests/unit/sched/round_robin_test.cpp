// rr: the order, and what adding, removing, quiescing and excluding do to the position.
#include "farm.h"

namespace shunt::sched::test {

BOOST_AUTO_TEST_SUITE(round_robin)

BOOST_AUTO_TEST_CASE(goes_around_newest_first_whatever_the_weights) {
  Farm farm("rr", "A1 B20 C3");
  BOOST_TEST(farm.picks(7) == "CBACBAC");
}

BOOST_AUTO_TEST_CASE(reaches_a_new_server_when_the_round_starts_again) {
  Farm farm("rr", "A1 B1 C1");
  BOOST_TEST(farm.picks(1) == "C");
  farm.add('D', 1);
  BOOST_TEST(farm.picks(6) == "BADCBA");
}

BOOST_AUTO_TEST_CASE(a_new_server_is_first_after_the_end_of_a_round) {
  Farm farm("rr", "A1 B1");
  BOOST_TEST(farm.picks(2) == "BA");
  farm.add('C', 1);
  BOOST_TEST(farm.picks(3) == "CBA");
}

BOOST_AUTO_TEST_CASE(removals_keep_the_successor) {
  struct Row {
    const char* description;
    size_t before;
    char removed;
    const char* after;
  };
  const Row rows[] = {
      {"before any choice", 0, 'D', "CBA"},           {"the last choice", 2, 'C', "BADB"},
      {"one before the last choice", 2, 'D', "BACB"}, {"the next one", 2, 'B', "ADCA"},
      {"the first after the first", 1, 'D', "CBAC"},  {"the last of the list", 4, 'A', "DCBD"},
  };
  for (const Row& row : rows) {
    Farm farm("rr", "A1 B1 C1 D1");
    farm.picks(row.before);
    farm->remove(farm[row.removed]);
    BOOST_TEST(farm.picks(std::string_view(row.after).size()) == row.after, row.description);
  }
}

BOOST_AUTO_TEST_CASE(skips_quiesced_and_overloaded_servers) {
  Farm farm("rr", "A1 B0 C1");
  farm.edit('C', 1, 2);
  BOOST_TEST(farm.picks(6) == "CACAAA");
  farm.edit('A', 0);
  BOOST_TEST(farm.picks(2) == "--");
  farm.edit('B', 1);
  BOOST_TEST(farm.picks(2) == "BB");
}

BOOST_AUTO_TEST_CASE(exclusion_moves_on) {
  Farm farm("rr", "A1 B1 C1");
  const uint64_t refused[] = {farm['C'].id};
  BOOST_TEST(farm.pick({.excluded = refused}) == 'B');
  BOOST_TEST(farm.picks(3) == "ACB");
}

BOOST_AUTO_TEST_CASE(no_server) {
  Farm farm("rr");
  BOOST_TEST(farm.picks(2) == "--");
  farm.add('A', 1);
  BOOST_TEST(farm.picks(2) == "AA");
  farm->remove(farm['A']);
  BOOST_TEST(farm.picks(1) == "-");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
