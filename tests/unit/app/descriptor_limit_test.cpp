// How descriptors are divided, down to a limit too small for anything.
#include "app/descriptor_limit.h"

#include <boost/test/unit_test.hpp>

namespace shunt::app {
namespace {

BOOST_AUTO_TEST_SUITE(descriptor_limit)

BOOST_AUTO_TEST_CASE(budgets) {
  struct Case {
    const char* description;
    uint32_t configured;
    uint64_t descriptors;
    uint32_t workers;
    uint32_t per_worker;
    bool beyond;
  };
  for (const Case& test : {
           Case{"derived", 0, 1024, 1, 411, false},
           Case{"derived, for two", 0, 1024, 2, 203, false},
           Case{"plenty", 0, 20'000, 1, 9'899, false},
           Case{"hardly any", 0, 16, 4, 1, false},
           Case{"no limit", 0, UINT64_MAX, 1, 1'000'000, false},
           Case{"configured", 100, 1024, 1, 100, false},
           Case{"configured, rounded up", 101, 1024, 2, 51, false},
           Case{"configured beyond the limit", 10'000, 1024, 2, 5'000, true},
       }) {
    const ConnectionBudget budget =
        connection_budget(test.configured, test.descriptors, test.workers, 1);
    // 64 for the process, 8 and a listening address for a worker, an eighth or 128 for pipes; two
    // each.
    BOOST_TEST(budget.per_worker == test.per_worker, test.description);
    BOOST_TEST(budget.beyond_limit == test.beyond, test.description);
  }
}

BOOST_AUTO_TEST_CASE(the_soft_limit_is_raised) {
  const uint64_t limit = raise_descriptor_limit();
  BOOST_TEST(limit > 0u);
  BOOST_TEST(raise_descriptor_limit() == limit);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
