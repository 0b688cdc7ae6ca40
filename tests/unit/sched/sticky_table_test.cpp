// The table of who goes where: what it forgets, and when; and the server that is claimed by it.
#include "sched/sticky_table.h"

#include "farm.h"

namespace shunt::sched::test {
namespace {

using namespace std::chrono_literals;

Instant at(Duration time) {
  return Instant(time);
}

BOOST_AUTO_TEST_SUITE(sticky_table)

BOOST_AUTO_TEST_CASE(entries_expire_when_they_are_not_used) {
  StickyTable table(4);
  BOOST_TEST(table.find(7, at(0s), 10s) == 0u);
  table.put(7, 70, at(0s), 10s);
  BOOST_TEST(table.find(7, at(9s), 10s) == 70u);
  BOOST_TEST(table.find(7, at(18s), 10s) == 70u);
  BOOST_TEST(table.find(7, at(28s), 10s) == 0u);
  BOOST_TEST(table.size() == 0u);
  table.put(7, 71, at(30s), 10s);
  table.put(7, 72, at(30s), 10s);
  BOOST_TEST(table.find(7, at(31s), 10s) == 72u);
  BOOST_TEST(table.size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_one_used_longest_ago_makes_room) {
  StickyTable table(3);
  for (uint64_t key = 1; key <= 3; ++key) table.put(key, key * 10, at(0s), 1h);
  BOOST_TEST(table.find(1, at(1s), 1h) == 10u);
  table.put(3, 33, at(1s), 1h);
  table.put(4, 40, at(1s), 1h);
  BOOST_TEST(table.find(2, at(1s), 1h) == 0u);
  BOOST_TEST(table.find(1, at(1s), 1h) == 10u);
  BOOST_TEST(table.find(3, at(1s), 1h) == 33u);
  BOOST_TEST(table.find(4, at(1s), 1h) == 40u);
  BOOST_TEST(table.size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_table_of_one) {
  StickyTable table(1);
  for (uint64_t key = 0; key < 10; ++key) {
    table.put(key, key + 1, at(0s), 1h);
    BOOST_TEST(table.find(key, at(0s), 1h) == key + 1);
    BOOST_TEST(table.find(key + 1, at(0s), 1h) == 0u);
  }
}

// Against a list that is searched from end to end.
BOOST_AUTO_TEST_CASE(as_a_naive_table_does) {
  struct Naive {
    uint64_t key, server;
    Instant expires;
  };
  constexpr size_t kSize = 16;
  StickyTable table(kSize);
  std::vector<Naive> naive;  // The one used longest ago first.
  uint64_t random = 1;
  for (int step = 0; step < 20000; ++step) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    // Keys that share buckets: multiples of the number of buckets.
    const uint64_t key = (random >> 33) % 40 * 16;
    const Instant now = at(std::chrono::seconds(step / 20));
    const auto found = std::ranges::find(naive, key, &Naive::key);
    if ((random >> 60) < 8) {
      uint64_t expected = 0;
      if (found != naive.end()) {
        Naive entry = *found;
        naive.erase(found);
        if (now < entry.expires) {
          expected = entry.server;
          entry.expires = now + 5s;
          naive.push_back(entry);
        }
      }
      BOOST_REQUIRE(table.find(key, now, 5s) == expected);
    } else {
      if (found != naive.end()) {
        naive.erase(found);
      } else if (naive.size() == kSize) {
        naive.erase(naive.begin());
      }
      naive.push_back({key, random | 1, now + 5s});
      table.put(key, random | 1, now, 5s);
    }
    BOOST_REQUIRE(table.size() == naive.size());
  }
}

BOOST_AUTO_TEST_CASE(a_claimed_server_is_asked_for_less_than_a_chosen_one) {
  Farm farm("rr", "A1 B1");
  const uint64_t id = farm['A'].id;
  const Flow flow;
  const auto claim = [&](bool quiesced = true) {
    const Claimed claimed = farm->claim(id, flow, Counted::kActive, quiesced);
    if (claimed.server != nullptr) {
      BOOST_TEST(claimed.server->spec.name == "A");
      farm->unbind(*claimed.server, Counted::kActive);
    }
    return claimed;
  };
  BOOST_TEST(claim().server);
  farm.edit('A', 0);
  BOOST_TEST(claim().server);
  BOOST_TEST(!claim(false).server);
  BOOST_TEST(!claim(false).busy);
  farm.edit('A', 1, 1);
  farm->bind(farm['A'], Counted::kActive);  // Overloaded.
  BOOST_TEST(claim().server);
  farm->unbind(farm['A'], Counted::kActive);

  const uint64_t refused[] = {farm['A'].id};
  Flow without;
  without.excluded = refused;
  BOOST_TEST(!farm->claim(id, without, Counted::kActive, true).server);
  farm->set_circuit_rules({.failures = 1});
  farm->judge(farm['A'], Verdict::kFailure, Instant{});
  BOOST_TEST(!claim().server);
  BOOST_TEST(!claim().busy);
  farm->remove(farm['A']);
  BOOST_TEST(!claim().server);
}

BOOST_AUTO_TEST_CASE(a_full_server_stays_the_right_one) {
  Farm farm("rr");
  ServerSpec spec = spec_of('A', 1);
  spec.capacity = 1;
  const uint64_t id = (*farm->add(spec))->id;
  const Claimed first = farm->claim(id, {}, Counted::kActive, true);
  BOOST_REQUIRE(first.server);
  const Claimed second = farm->claim(id, {}, Counted::kActive, true);
  BOOST_TEST(!second.server);
  BOOST_TEST(second.busy);
  farm->unbind(*first.server, Counted::kActive);
}

BOOST_AUTO_TEST_CASE(an_open_breaker_is_told_once) {
  Farm farm("rr");
  ServerSpec spec = spec_of('A', 1);
  spec.breaker.requests = 1;
  const uint64_t id = (*farm->add(spec))->id;
  const Claimed first = farm->claim(id, {}, Counted::kActive, true);
  BOOST_REQUIRE(first.server);
  BOOST_TEST(!farm->claim(id, {}, Counted::kActive, true).server);
  const Judged told = farm->judge(*first.server, Verdict::kSuccess, Instant{});
  BOOST_TEST(told.tripped == std::string_view("requests"));
  BOOST_TEST(!farm->judge(*first.server, Verdict::kSuccess, Instant{}).tripped);
  farm->unbind(*first.server, Counted::kActive);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::sched::test
