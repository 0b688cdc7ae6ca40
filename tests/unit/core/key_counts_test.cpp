// Counts per key: the limit is exact, what is given back is free again, threads lose nothing.
#include "core/key_counts.h"

#include <boost/test/unit_test.hpp>
#include <thread>

namespace shunt {
namespace {

BOOST_AUTO_TEST_SUITE(key_counts)

BOOST_AUTO_TEST_CASE(counts_up_to_the_limit) {
  KeyCounts counts(1024, 7);
  std::vector<KeyCounts::Ticket> tickets;
  for (int i = 0; i < 3; ++i) tickets.push_back(counts.take(1, 3));
  for (const KeyCounts::Ticket ticket : tickets) BOOST_TEST(ticket != KeyCounts::kRefused);
  BOOST_TEST(counts.take(1, 3) == KeyCounts::kRefused);
  BOOST_TEST(counts.take(2, 3) != KeyCounts::kRefused);
  counts.give_back(tickets[1]);
  BOOST_TEST(counts.take(1, 3) != KeyCounts::kRefused);
  BOOST_TEST(counts.take(1, 3) == KeyCounts::kRefused);
  BOOST_TEST(counts.take(1, 4) != KeyCounts::kRefused);  // The limit is the caller's each time.
}

BOOST_AUTO_TEST_CASE(many_keys_are_kept_apart) {
  KeyCounts counts(1000, 7);
  size_t uncounted = 0;
  for (uint64_t key = 0; key < 1000; ++key)
    uncounted += counts.take(key, 1) == KeyCounts::kUncounted;
  size_t refused = 0;
  for (uint64_t key = 0; key < 1000; ++key) refused += counts.take(key, 1) == KeyCounts::kRefused;
  BOOST_TEST(uncounted <= 30u);  // Sets of eight, half full on average: few overflow.
  BOOST_TEST(refused + uncounted >= 1000u);
}

BOOST_AUTO_TEST_CASE(what_is_not_counted_need_not_be_given_back) {
  KeyCounts counts(1, 7);
  std::vector<KeyCounts::Ticket> tickets;
  for (uint64_t key = 0; key < 1000; ++key) tickets.push_back(counts.take(key, 1));
  BOOST_TEST(std::ranges::count(tickets, KeyCounts::kRefused) == 0);
  BOOST_TEST(std::ranges::count(tickets, KeyCounts::kUncounted) > 0);
  for (const KeyCounts::Ticket ticket : tickets) counts.give_back(ticket);
  for (uint64_t key = 0; key < 8; ++key) BOOST_TEST(counts.take(key, 1) < KeyCounts::kUncounted);
}

BOOST_AUTO_TEST_CASE(threads_come_and_go) {
  KeyCounts counts(1024, 7);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (uint64_t i = 0; i < 20'000; ++i) {
          const KeyCounts::Ticket ticket = counts.take(i % 5, 3);
          if (ticket != KeyCounts::kRefused) counts.give_back(ticket);
        }
      });
  }
  for (uint64_t key = 0; key < 5; ++key) {
    BOOST_TEST(counts.take(key, 1) < KeyCounts::kUncounted);
    BOOST_TEST(counts.take(key, 1) == KeyCounts::kRefused);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
