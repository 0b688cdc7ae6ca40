// Token buckets over a virtual clock: rate, burst, the wait that is told, and what a table that is
// too small forgets.
#include "core/rate_limiter.h"

#include <boost/test/unit_test.hpp>
#include <thread>

namespace shunt {
namespace {

using namespace std::chrono_literals;

Instant at(Duration time) {
  return Instant(1h + time);
}

BOOST_AUTO_TEST_SUITE(rate_limiter)

BOOST_AUTO_TEST_CASE(takes_and_refuses) {
  struct Take {
    Duration at;
    Duration wait;  // Zero: taken.
  };
  const struct {
    const char* description;
    RateLimiter::Rate rate;
    std::vector<Take> takes;
  } cases[] = {
      {"one each second", {1s, 1}, {{0s, 0s}, {0s, 1s}, {400ms, 600ms}, {1s, 0s}, {1s, 1s}}},
      {"a burst, then the rate",
       {100ms, 3},
       {{0s, 0s}, {0s, 0s}, {0s, 0s}, {0s, 100ms}, {100ms, 0s}, {150ms, 50ms}, {200ms, 0s}}},
      {"what is refused takes nothing",
       {1s, 1},
       {{0s, 0s}, {100ms, 900ms}, {200ms, 800ms}, {1s, 0s}}},
      {"a pause fills the bucket, and no more",
       {1s, 2},
       {{0s, 0s}, {0s, 0s}, {100s, 0s}, {100s, 0s}, {100s, 1s}}},
      {"a part of a token is none", {1s, 2}, {{0s, 0s}, {0s, 0s}, {999ms, 1ms}, {1s, 0s}}},
      {"a clock that is a little behind another worker's",
       {1s, 2},
       {{10ms, 0s}, {0s, 10ms}, {10ms, 0s}}},
  };
  for (const auto& test : cases) {
    RateLimiter limiter(test.rate, 1024, 7);
    for (size_t i = 0; i < test.takes.size(); ++i) {
      BOOST_TEST_CONTEXT(test.description << ", take " << i) {
        const Duration wait = limiter.take(42, at(test.takes[i].at));
        BOOST_TEST(wait.count() == test.takes[i].wait.count());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(keys_do_not_share) {
  RateLimiter limiter({1s, 1}, 4096, 7);
  for (uint64_t key = 0; key < 1000; ++key) BOOST_TEST(limiter.take(key, at(0s)) == 0ns);
  for (uint64_t key = 0; key < 1000; ++key) BOOST_TEST(limiter.take(key, at(0s)) == 1s);
  BOOST_TEST(limiter.forgotten() == 0u);
}

// A flood of keys that come once must not free the one that is over its rate.
BOOST_AUTO_TEST_CASE(a_flood_of_keys_does_not_wash_out_the_worst) {
  RateLimiter limiter({1s, 5}, 64, 7);
  for (int i = 0; i < 5; ++i) BOOST_TEST(limiter.take(1, at(0s)) == 0ns);
  for (uint64_t key = 100; key < 10'000; ++key) limiter.take(key, at(1ms));
  BOOST_TEST(limiter.forgotten() > 0u);
  BOOST_TEST(limiter.take(1, at(2ms)) > 0ns);
  // Full buckets are nothing to forget.
  const uint64_t before = limiter.forgotten();
  for (uint64_t key = 20'000; key < 20'008; ++key) limiter.take(key, at(100s));
  BOOST_TEST(limiter.forgotten() == before);
}

BOOST_AUTO_TEST_CASE(threads_together_get_what_one_would) {
  constexpr int kThreads = 4;
  constexpr uint32_t kBurst = 10'000;
  RateLimiter limiter({1s, kBurst}, 1024, 7);
  std::atomic<uint32_t> taken{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        for (uint32_t i = 0; i < kBurst; ++i) taken += limiter.take(1, at(0s)) == 0ns ? 1 : 0;
      });
  }
  BOOST_TEST(taken == kBurst);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
