// The moving averages of `shunt ctl -L --rate`.
#include "app/traffic_rates.h"

#include <boost/test/unit_test.hpp>

namespace shunt::app {
namespace {

TrafficSample sample(uint64_t count) {
  return {count, count, count, count, count};
}

BOOST_AUTO_TEST_SUITE(traffic_rates)

BOOST_AUTO_TEST_CASE(a_steady_rate_is_approached_by_a_quarter_of_what_is_missing) {
  RateEstimator estimator(sample(1000));
  uint64_t count = 1000;
  for (const uint64_t expected : {25, 44, 58, 68}) {
    count += 200;  // In two seconds.
    estimator.tick(sample(count));
    BOOST_TEST(estimator.rates().packets_in == expected);
  }
  for (int i = 0; i < 100; ++i) estimator.tick(sample(count += 200));
  BOOST_TEST((estimator.rates() == sample(100)));
}

BOOST_AUTO_TEST_CASE(silence_ends_at_nothing) {
  RateEstimator estimator(sample(0));
  estimator.tick(sample(1'000'000));
  for (int i = 0; i < 100; ++i) estimator.tick(sample(1'000'000));
  BOOST_TEST((estimator.rates() == TrafficSample{}));
}

BOOST_AUTO_TEST_CASE(counters_that_go_back_begin_anew) {
  RateEstimator estimator(sample(0));
  estimator.tick(sample(5000));
  estimator.tick(sample(10));
  BOOST_TEST((estimator.rates() == TrafficSample{}));
  estimator.tick(sample(210));
  BOOST_TEST(estimator.rates().packets_in == 25u);
}

BOOST_AUTO_TEST_CASE(large_numbers) {
  constexpr uint64_t kTenGigabytes = 10'000'000'000;
  RateEstimator estimator(sample(0));
  for (uint64_t i = 1; i <= 200; ++i) estimator.tick(sample(i * 2 * kTenGigabytes));
  BOOST_TEST(estimator.rates().bytes_in == kTenGigabytes);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
