// The sketch against sorted values, and how it forgets.
#include "core/latency_sketch.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

namespace shunt {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(latency_sketch)

BOOST_AUTO_TEST_CASE(nothing_is_known_without_values) {
  LatencySketch sketch;
  BOOST_TEST((sketch.quantile(0.95) == 0ns));
}

BOOST_AUTO_TEST_CASE(an_answer_is_at_most_an_eighth_too_high) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> spread(14, 2);  // Around 1 ms, from microseconds to minutes.
  LatencySketch sketch;
  std::vector<Duration> all;
  for (int i = 0; i < 4000; ++i) {
    all.emplace_back(static_cast<int64_t>(spread(random)));
    sketch.add(all.back());
  }
  std::ranges::sort(all);
  for (const double share : {0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0}) {
    const auto rank = static_cast<size_t>(std::max(share * 4000.0, 1.0)) - 1;
    const Duration exact = all[rank];
    const Duration answer = sketch.quantile(share);
    BOOST_TEST_CONTEXT(share << ": " << exact.count() << " " << answer.count()) {
      BOOST_TEST((answer > exact));
      BOOST_TEST((answer <= exact + exact / 8 + 5us));
    }
  }
}

BOOST_AUTO_TEST_CASE(extremes_have_a_place) {
  LatencySketch sketch;
  sketch.add(-1s);
  BOOST_TEST((sketch.quantile(1) < 5us));
  LatencySketch long_ones;
  long_ones.add(24h * 365);
  BOOST_TEST((long_ones.quantile(1) > 12h));
}

BOOST_AUTO_TEST_CASE(the_past_fades) {
  LatencySketch sketch;
  for (int i = 0; i < 4000; ++i) sketch.add(1s);
  for (int i = 0; i < 20'000; ++i) sketch.add(1ms);
  BOOST_TEST((sketch.quantile(0.95) < 2ms));
  BOOST_TEST(sketch.count() < 4096u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
