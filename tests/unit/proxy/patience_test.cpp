// How long slow clients are waited for, over a virtual clock.
#include "proxy/patience.h"

#include <boost/test/unit_test.hpp>
#include <vector>

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(patience)

BOOST_AUTO_TEST_CASE(waits_for_those_that_keep_up) {
  struct Arrival {
    Duration after;
    uint64_t bytes;
  };
  struct Case {
    const char* description;
    uint32_t rate;
    std::vector<Arrival> arrivals;  // Repeated until a minute has passed five times over.
    Duration over_after;            // 0: never.
    bool pausing;
  };
  const Case cases[] = {
      {"nothing", 100, {{1h, 0}}, 30s, true},
      {"nothing, no rate", 0, {{1h, 0}}, 30s, true},
      {"a byte a second", 100, {{1s, 1}}, 31s, false},
      {"a byte a second, no rate", 0, {{1s, 1}}, 0s, false},
      {"just the rate", 100, {{1s, 100}}, 0s, false},
      {"a little less", 100, {{1s, 90}}, 300s, false},
      {"the rate in lumps", 100, {{25s, 2500}}, 0s, false},
      {"a lump now and then, and pauses", 100, {{10s, 1'000'000}, {19s, 1}}, 0s, false},
      {"what was fast once is not owed for ever", 100, {{1s, 1'000'000'000}, {100s, 1}}, 31s, true},
  };
  for (const Case& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      Patience patience(30s, test.rate);
      Instant now{1h};
      const Instant begun = now;
      Duration over_after{};
      uint64_t total = 0;
      for (size_t i = 0; now < begun + 290s || (test.over_after > 0s && i < 1000); ++i) {
        patience.settle(now, total);
        patience.wait(now);
        const Arrival& next = test.arrivals[i % test.arrivals.size()];
        if (next.after > patience.left()) {
          now += patience.left();
          patience.settle(now, total);
          over_after = now - begun;
          break;
        }
        now += next.after;
        total += next.bytes;
      }
      BOOST_TEST(patience.over() == (test.over_after > 0s));
      BOOST_TEST(std::abs((over_after - test.over_after).count()) <= Duration(30s).count());
      if (test.over_after > 0s) BOOST_TEST(patience.pausing() == test.pausing);
    }
  }
}

BOOST_AUTO_TEST_CASE(only_waiting_counts) {
  Patience patience(10s, 100);
  patience.settle(Instant(0s), 0);
  patience.wait(Instant(0s));
  patience.settle(Instant(4s), 0);
  BOOST_TEST((patience.left() == 6s));
  patience.settle(Instant(100s), 0);  // Nobody waited.
  BOOST_TEST((patience.left() == 6s));
  patience.settle(Instant(100s), 200);
  BOOST_TEST((patience.left() == 8s));
  patience.settle(Instant(100s), UINT64_MAX);
  BOOST_TEST((patience.left() == 10s));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
