// lblc, lblcr and their table: keys stay, spread, survive removal and return, grow stale; the
// table's bounds.
#include <map>
#include <random>

#include "farm.h"
#include "sched/locality_table.h"

namespace shunt::sched::test {
namespace {

using namespace std::chrono_literals;

Flow flow_of(uint64_t key, Duration now = {}) {
  return {.destination = key, .now = Instant(now)};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(locality)

BOOST_AUTO_TEST_CASE(a_key_stays_where_it_was_first) {
  for (const char* scheduler : {"lblc", "lblcr"}) {
    Farm farm(scheduler, "A10 B10 C10");
    BOOST_TEST(farm.pick(flow_of(1)) == 'C', scheduler);
    BOOST_TEST(farm.pick(flow_of(2)) == 'B', scheduler);
    BOOST_TEST(farm.pick(flow_of(uint64_t{1} << 32)) == 'A', scheduler);
    BOOST_TEST(farm.picks(3, Counted::kActive, flow_of(1)) == "CCC", scheduler);
    BOOST_TEST(farm.picks(2, Counted::kActive, flow_of(2)) == "BB", scheduler);
  }
}

// More active connections than its weight, and another server with less than half of its own.
BOOST_AUTO_TEST_CASE(a_key_moves_off_an_overloaded_server) {
  Farm farm("lblc", "A2 B2");
  BOOST_TEST(farm.picks(7, Counted::kActive, flow_of(1)) == "BBBAAAA");
}

BOOST_AUTO_TEST_CASE(a_replicated_key_uses_all_its_servers) {
  Farm farm("lblcr", "A2 B2");
  BOOST_TEST(farm.picks(8, Counted::kActive, flow_of(1)) == "BBBAAAAB");
}

// As in the kernel: lblc does not look at the threshold of the server it remembers, lblcr does.
BOOST_AUTO_TEST_CASE(thresholds) {
  Farm keeps("lblc");
  Farm leaves("lblcr");
  for (Farm* farm : {&keeps, &leaves}) {
    farm->add('A', 100);
    farm->add('B', 100, 2);
  }
  BOOST_TEST(keeps.picks(4, Counted::kActive, flow_of(1)) == "BBBB");
  BOOST_TEST(leaves.picks(4, Counted::kActive, flow_of(1)) == "BBAA");
}

BOOST_AUTO_TEST_CASE(quiesced_and_refused_servers_lose_the_key) {
  for (const char* scheduler : {"lblc", "lblcr"}) {
    Farm farm(scheduler, "A10 B10");
    BOOST_TEST(farm.pick(flow_of(1)) == 'B', scheduler);
    Flow retry = flow_of(1);
    const uint64_t refused[] = {farm['B'].id};
    retry.excluded = refused;
    BOOST_TEST(farm.pick(retry) == 'A', scheduler);
    farm.edit('A', 0);
    BOOST_TEST(farm.pick(flow_of(1)) == 'B', scheduler);
    farm.edit('B', 0);
    BOOST_TEST(farm.pick(flow_of(1)) == '-', scheduler);
  }
}

// The table keeps a removed server in memory, so that it is the same one when it comes back, even
// with no connection.
BOOST_AUTO_TEST_CASE(a_server_that_comes_back_finds_its_keys) {
  for (const char* scheduler : {"lblc", "lblcr"}) {
    Farm farm(scheduler, "A10 B10 C10");
    BOOST_TEST(farm.pick(flow_of(1)) == 'C', scheduler);
    const uint64_t id = farm['C'].id;
    farm->unbind(farm['C'], Counted::kActive);
    farm->remove(farm['C']);
    farm.add('C', 10);
    BOOST_TEST(farm['C'].id == id, scheduler);
    farm->bind(farm['C'], Counted::kActive);  // So that wlc would prefer another.
    BOOST_TEST(farm.pick(flow_of(1)) == 'C', scheduler);

    farm->remove(farm['C']);
    BOOST_TEST(farm.pick(flow_of(1)) == 'B', scheduler);
  }
}

BOOST_AUTO_TEST_CASE(keys_are_forgotten_after_a_day) {
  for (const char* scheduler : {"lblc", "lblcr"}) {
    Farm farm(scheduler, "A10 B10");
    BOOST_TEST(farm.pick(flow_of(1)) == 'B', scheduler);
    BOOST_TEST(farm.pick(flow_of(1, 20h)) == 'B', scheduler);
    BOOST_TEST(farm.pick(flow_of(1, 43h)) == 'B', scheduler);  // Used 23 hours ago.
    BOOST_TEST(farm.pick(flow_of(1, 68h)) == 'A', scheduler);
  }
}

BOOST_AUTO_TEST_CASE(a_replicated_key_drops_its_busiest_server_after_a_day) {
  Farm farm("lblcr", "A2 B2");
  BOOST_TEST(farm.picks(6, Counted::kActive, flow_of(1)) == "BBBAAA");
  for (int i = 0; i < 3; ++i) farm->unbind(farm['A'], Counted::kActive);
  farm->unbind(farm['B'], Counted::kActive);
  farm.add('C', 2);
  BOOST_TEST(farm.pick(flow_of(1, 12h)) == 'A');  // In use, so that it is not forgotten as a whole.
  farm->unbind(farm['A'], Counted::kActive);
  // A, idle, is the member to use; B, the busiest, leaves a day after the set last grew.
  BOOST_TEST(farm.pick(flow_of(1, 24h)) == 'A');
  farm.edit('A', 0);
  BOOST_TEST(farm.pick(flow_of(2, 24h)) == 'C');
  BOOST_TEST(farm.pick(flow_of(1, 24h)) == 'B');  // Still a member; wlc would take C.
  farm.edit('A', 2);
  farm->unbind(farm['B'], Counted::kActive);
  farm->unbind(farm['B'], Counted::kActive);
  // Of equals the newer member: chosen, and out.
  BOOST_TEST(farm.pick(flow_of(1, 24h + 1ns)) == 'A');
  farm.edit('B', 0);
  BOOST_TEST(farm.pick(flow_of(1, 24h + 1ns)) == 'C');  // wlc's choice: A is no member any more.
}

BOOST_AUTO_TEST_CASE(the_table_is_bounded) {
  using Table = LocalityTable<int>;
  Table table(1);
  for (uint64_t key = 0; key < Table::kSizeMax; ++key) BOOST_REQUIRE(table.insert(key, Instant{}));
  BOOST_TEST(table.insert(Table::kSizeMax, Instant{}) == nullptr);
  BOOST_TEST(table.size() == Table::kSizeMax);
  BOOST_TEST(table.find(77, Instant(10min)) != nullptr);

  table.collect(Instant(1ns));  // The first call only starts the clock.
  table.collect(Instant(3min));
  BOOST_TEST(table.size() == Table::kSizeMax);  // Nothing is idle for six minutes yet.
  table.collect(Instant(7min));
  BOOST_TEST(table.size() < Table::kSizeMax);
  BOOST_TEST(table.size() >=
             Table::kSizeMax - Table::kSizeWanted / 2 - 100);  // One step, and a chain's rest.
  table.collect(Instant(40min));
  BOOST_TEST(table.size() <= Table::kSizeWanted);
  BOOST_TEST(table.find(77, Instant(40min)) != nullptr);
  BOOST_TEST(table.insert(Table::kSizeMax, Instant(40min)) != nullptr);
  table.collect(Instant(100h));
  BOOST_TEST(table.size() == 0u);
}

BOOST_AUTO_TEST_CASE(the_table_agrees_with_a_map) {
  LocalityTable<uint64_t> table(7);
  std::map<uint64_t, uint64_t> model;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t key = random() % 5000 * 0x100000001;
    uint64_t* value = table.find(key, Instant{});
    BOOST_REQUIRE((value != nullptr) == model.contains(key));
    if (value == nullptr) {
      *table.insert(key, Instant{}) = static_cast<uint64_t>(i);
      model[key] = static_cast<uint64_t>(i);
    } else {
      BOOST_REQUIRE(*value == model[key]);
    }
  }
  BOOST_TEST(table.size() == model.size());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
