// The names: all fourteen make a scheduler, flags belong to theirs, errors say what would be right.
#include "sched/registry.h"

#include <set>

#include "farm.h"

namespace shunt::sched::test {

BOOST_AUTO_TEST_SUITE(registry)

BOOST_AUTO_TEST_CASE(every_known_name_makes_a_scheduler) {
  std::set<std::string_view> titles;
  for (const std::string_view name : known_schedulers()) {
    BOOST_TEST(make_scheduler(name, {}, 1).has_value(), name);
    BOOST_TEST(registered_name(name) == name);
    titles.insert(scheduler_title(name));
  }
  BOOST_TEST(titles.size() == 14u);
  BOOST_TEST(titles.count("") == 0u);
  BOOST_TEST(scheduler_title("wl") == "");
  BOOST_TEST(registered_name("wl") == "");
}

BOOST_AUTO_TEST_CASE(errors) {
  struct Row {
    const char* scheduler;
    std::vector<std::string> flags;
    const char* error;
  };
  const Row rows[] = {
      {"wlcc",
       {},
       "unknown scheduler \"wlcc\"; known are rr, wrr, lc, wlc, lblc, lblcr, dh, sh, "
       "sed, nq, fo, ovf, mh, twos"},
      {"", {}, "unknown scheduler \"\""},
      {"rr", {"sh-port"}, "scheduler rr has no flags, and so no \"sh-port\""},
      {"mh",
       {"mh-port", "sh-port"},
       "scheduler mh has no flag \"sh-port\"; known are mh-port, mh-fallback"},
  };
  for (const Row& row : rows) {
    const auto made = ServerSet::create(row.scheduler, row.flags);
    BOOST_REQUIRE(!made.has_value());
    BOOST_TEST(made.error().text.starts_with(row.error), made.error().text);
  }
  BOOST_TEST(ServerSet::create("sh", {"sh-port", "sh-fallback"}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
