// ServerSet: thresholds, removed servers and their return, scheduler changes, previews, errors, and
// two threads.
#include "sched/server_set.h"

#include <set>
#include <thread>

#include "farm.h"
#include "sched/registry.h"

namespace shunt::sched::test {

BOOST_AUTO_TEST_SUITE(server_set)

BOOST_AUTO_TEST_CASE(lists_the_newest_first) {
  Farm farm("rr", "A1 B2 C3");
  std::string names;
  for (const Server* server : farm->servers()) names += server->spec.name;
  BOOST_TEST(names == "CBA");
  BOOST_TEST(farm['A'].hash_address == 0x0a010001u);
  BOOST_TEST(farm['A'].hash_port == 80);
  BOOST_TEST(farm['A'].id != farm['B'].id);
}

// Connections bound one by one up to a count and unbound again; where the overload begins and ends.
BOOST_AUTO_TEST_CASE(overload_begins_at_upper_and_ends_below_lower) {
  struct Row {
    uint32_t upper;
    uint32_t lower;
    uint32_t ends_at;  // The greatest count without it, coming from above.
  };
  const Row rows[] = {{8, 0, 5}, {9, 0, 6}, {8, 4, 3}, {2, 1, 0},    {1, 0, 0},
                      {3, 0, 2}, {4, 0, 2}, {5, 5, 4}, {100, 0, 74}, {7, 1, 0}};
  for (const Row& row : rows) {
    Farm farm("rr");
    Server& server = farm.add('A', 1, row.upper, row.lower);
    for (uint32_t count = 1; count <= row.upper + 2; ++count) {
      farm->bind(server, count % 2 == 0 ? Counted::kActive : Counted::kInactive);
      BOOST_TEST(server.overload == (count >= row.upper), row.upper << "/" << row.lower);
    }
    for (uint32_t count = row.upper + 2; count-- > 0;) {
      farm->unbind(server, server.active > 0 ? Counted::kActive : Counted::kInactive);
      BOOST_TEST(server.overload == (count > row.ends_at), row.upper << "/" << row.lower);
    }
  }
}

BOOST_AUTO_TEST_CASE(edits_of_thresholds_decide_anew) {
  struct Row {
    const char* description;
    uint32_t upper, lower;  // Before, with 10 connections bound under them.
    uint32_t new_upper, new_lower;
    bool overload;
  };
  const Row rows[] = {
      {"none before, reached now", 0, 0, 10, 0, true},
      {"none before, not reached", 0, 0, 11, 0, false},
      {"none before, between the two", 0, 0, 30, 2, false},
      {"overloaded, between the two", 10, 0, 30, 2, true},
      {"overloaded, at the new lower", 10, 0, 30, 10, true},
      {"overloaded, below the new lower", 10, 0, 30, 11, false},
      {"overloaded, below three quarters", 10, 0, 20, 0, false},
      {"overloaded, thresholds lifted", 10, 0, 0, 0, false},
      {"overloaded, lowered", 10, 0, 4, 0, true},
      {"overloaded, unchanged", 10, 0, 10, 0, true},
  };
  for (const Row& row : rows) {
    Farm farm("rr");
    Server& server = farm.add('A', 1, row.upper, row.lower);
    for (int i = 0; i < 10; ++i) farm->bind(server, Counted::kActive);
    farm.edit('A', 1, row.new_upper, row.new_lower);
    BOOST_TEST(server.overload == row.overload, row.description);
  }
}

BOOST_AUTO_TEST_CASE(a_removed_server_comes_back_with_its_connections) {
  Farm farm("rr", "A1 B1");
  Server& removed = farm['B'];
  const uint64_t id = removed.id;
  farm->bind(removed, Counted::kActive);
  farm->bind(removed, Counted::kInactive);
  farm->remove(removed);
  BOOST_TEST(!removed.available);
  BOOST_TEST(farm.picks(2) == "AA");
  farm->unbind(removed, Counted::kInactive);

  farm.add('B', 7, 1);
  BOOST_TEST(farm['B'].id == id);
  BOOST_TEST(farm['B'].active == 1u);
  BOOST_TEST(farm['B'].spec.weight == 7);
  BOOST_TEST(farm['B'].overload);
  farm->unbind(farm['B'], Counted::kActive);
  BOOST_TEST(!farm['B'].overload);

  farm->remove(farm['B']);  // With no connection: forgotten at once.
  farm.add('B', 1);
  BOOST_TEST(farm['B'].id != id);
}

BOOST_AUTO_TEST_CASE(the_same_name_at_another_address_is_another_server) {
  Farm farm("rr", "A1");
  Server& old = farm['A'];
  farm->bind(old, Counted::kActive);
  farm->remove(old);
  ServerSpec moved = spec_of('A', 1);
  moved.address = address_of('Z');
  const auto added = farm->add(moved);
  BOOST_REQUIRE(added.has_value());
  BOOST_TEST(*added != &old);
  BOOST_TEST((*added)->active == 0u);
  farm->unbind(old, Counted::kActive);
}

BOOST_AUTO_TEST_CASE(refuses_what_makes_no_sense) {
  Farm farm("rr", "A1");
  BOOST_TEST(farm->add(spec_of('A', 1)).error().text == "server A is already there");
  BOOST_TEST(farm->add(spec_of('B', -1)).error().text == "server B: weight -1 is less than 0");
  BOOST_TEST(farm->add(spec_of('B', 1, 2, 3)).error().text ==
             "server B: lower threshold 3 is above the upper one, 2");
  BOOST_TEST(!farm->add(spec_of('B', 1, 0x80000000u)).has_value());
  BOOST_TEST(!farm->edit(farm['A'], -1, 0, 0).has_value());
  BOOST_TEST(!farm->edit(farm['A'], 1, 0, 1).has_value());
  BOOST_TEST(farm->servers().size() == 1u);
  Server& removed = farm['A'];
  farm->bind(removed, Counted::kActive);
  farm->remove(removed);
  BOOST_TEST(farm->edit(removed, 1, 0, 0).error().text == "server A has been removed");
  BOOST_TEST(!farm->change_scheduler("none", {}).has_value());
  BOOST_TEST(farm->scheduler_name() == "rr");
}

BOOST_AUTO_TEST_CASE(a_new_scheduler_finds_the_counts) {
  Farm farm("rr", "A1 B1 C1");
  BOOST_TEST(farm.picks(4) == "CBAC");
  std::string name = "lc";
  BOOST_REQUIRE(farm->change_scheduler(name, {}).has_value());
  name = "xx";  // The set keeps its own.
  BOOST_TEST(farm->scheduler_name() == "lc");
  BOOST_TEST(farm.picks(2) == "BA");
}

// The description as letters, like Farm's; a lower-case letter is the server at another address.
std::vector<ServerSpec> specs_of(const std::string& names) {
  std::vector<ServerSpec> specs;
  for (const char name : names) {
    const bool moved = name >= 'a';
    const char upper = moved ? static_cast<char>(name - 'a' + 'A') : name;
    specs.push_back(spec_of(upper, 1));
    if (moved) specs.back().address = address_of(static_cast<char>(upper + 26));
  }
  return specs;
}

BOOST_AUTO_TEST_CASE(reconciles_servers_with_a_description) {
  struct Row {
    const char* description;
    const char* before;
    const char* after;
    const char* listed;  // Newest first.
    size_t added, removed;
  };
  const Row rows[] = {
      {"nothing changes", "ABC", "ABC", "CBA", 0, 0},
      {"another order changes nothing", "ABC", "CAB", "CBA", 0, 0},
      {"from none", "", "ABC", "CBA", 3, 0},
      {"to none", "ABC", "", "", 0, 3},
      {"one goes, one comes", "ABC", "ACD", "DCA", 1, 1},
      {"another address", "ABC", "AbC", "BCA", 1, 1},
      {"all at other addresses", "AB", "ab", "BA", 2, 2},
  };
  for (const Row& row : rows) {
    Farm farm("rr");
    BOOST_REQUIRE(farm->reconcile(specs_of(row.before), "rr", {}).has_value());
    const auto done = farm->reconcile(specs_of(row.after), "rr", {});
    BOOST_REQUIRE_MESSAGE(done.has_value(), row.description);
    BOOST_TEST(done->added == row.added, row.description);
    BOOST_TEST(done->removed == row.removed, row.description);
    BOOST_TEST(done->edited == 0u, row.description);
    BOOST_TEST(!done->scheduler_changed, row.description);
    std::string names;
    for (const Server* server : farm->servers()) names += server->spec.name;
    BOOST_TEST(names == row.listed, row.description);
  }
}

BOOST_AUTO_TEST_CASE(a_reconciled_server_keeps_its_counts_and_its_scheduler_its_place) {
  Farm farm("rr", "A1 B1 C1");
  BOOST_TEST(farm.picks(1) == "C");
  Server& kept = farm['C'];
  std::vector<ServerSpec> specs = specs_of("ABC");
  specs[2].weight = 5;
  specs[2].upper = 1;
  const auto edited = farm->reconcile(specs, "rr", {});
  BOOST_REQUIRE(edited.has_value());
  BOOST_TEST(edited->edited == 1u);
  BOOST_TEST(&farm['C'] == &kept);
  BOOST_TEST(kept.active == 1u);
  BOOST_TEST(kept.spec.weight == 5);
  BOOST_TEST(kept.overload);
  BOOST_TEST(farm.picks(1) == "B");  // The round goes on.

  const auto changed = farm->reconcile(specs, "sh", {"sh-port"});
  BOOST_REQUIRE(changed.has_value());
  BOOST_TEST(changed->scheduler_changed);
  BOOST_TEST(farm->scheduler_name() == "sh");
  BOOST_TEST(!farm->reconcile(specs, "sh", {"sh-port"})->scheduler_changed);
  BOOST_TEST(farm->reconcile(specs, "sh", {})->scheduler_changed);
  BOOST_TEST(kept.active == 1u);
}

BOOST_AUTO_TEST_CASE(a_description_that_makes_no_sense_changes_nothing) {
  Farm farm("rr", "A1 B1");
  std::vector<ServerSpec> negative = specs_of("ACD");
  negative[2].weight = -1;
  BOOST_TEST(!farm->reconcile(negative, "wlc", {}).has_value());
  BOOST_TEST(farm->reconcile(specs_of("ACA"), "wlc", {}).error().text == "server A is given twice");
  BOOST_TEST(!farm->reconcile(specs_of("AC"), "none", {}).has_value());
  BOOST_TEST(farm->scheduler_name() == "rr");
  BOOST_TEST(farm->servers().size() == 2u);
  BOOST_TEST(farm.picks(2) == "BA");
}

// The only server moves to and fro while another thread schedules, which must find one every time.
BOOST_AUTO_TEST_CASE(nobody_sees_half_of_a_reconciliation) {
  Farm farm("rr");
  BOOST_REQUIRE(farm->reconcile(specs_of("A"), "rr", {}).has_value());
  std::atomic<bool> done{false};
  std::atomic<int> refused{0};
  std::atomic<int> served{0};
  std::thread traffic([&] {
    while (!done) {
      Server* server = farm->schedule({}, Counted::kActive);
      (server == nullptr ? refused : served).fetch_add(1);
      if (server != nullptr) farm->unbind(*server, Counted::kActive);
    }
  });
  while (served == 0) std::this_thread::yield();
  for (int i = 0; i < 5000; ++i) {
    const auto moved =
        farm->reconcile(specs_of(i % 2 == 0 ? "a" : "A"), i % 3 == 0 ? "lc" : "rr", {});
    BOOST_REQUIRE(moved.has_value());
  }
  done = true;
  traffic.join();
  BOOST_TEST(refused == 0);
}

BOOST_AUTO_TEST_CASE(unix_addresses_hash_as_their_path) {
  Farm farm("mh");
  for (const char* path : {"unix:/run/a", "unix:/run/b"}) {
    ServerSpec spec{.name = path, .address = *SocketAddress::parse(path)};
    BOOST_REQUIRE(farm->add(spec).has_value());
  }
  const auto servers = farm->servers();
  BOOST_TEST(servers[0]->hash_address != servers[1]->hash_address);
  std::set<std::string> chosen;
  for (uint32_t source = 0; source < 50; ++source) {
    chosen.insert(farm->schedule({.source = source}, Counted::kActive)->spec.name);
  }
  BOOST_TEST(chosen.size() == 2u);
}

BOOST_AUTO_TEST_CASE(previews) {
  struct Row {
    const char* scheduler;
    std::vector<std::string> flags;
    const char* order;
  };
  const Row rows[] = {{"rr", {}, "DCBA"},   {"wrr", {}, "DCBA"}, {"lc", {}, "DCBA"},
                      {"wlc", {}, "DCBA"},  {"fo", {}, "DCBA"},  {"ovf", {}, "DCBA"},
                      {"sed", {}, "DCBA"},  {"nq", {}, "DCBA"},  {"lblc", {}, "DCBA"},
                      {"lblcr", {}, "DCBA"}};
  for (const Row& row : rows) {
    Farm farm(row.scheduler, "A1 B2 C3 D4", row.flags);
    BOOST_TEST(farm.preview() == row.order, row.scheduler);
    BOOST_TEST(farm.preview() == row.order, row.scheduler);  // Nothing has moved.
  }
  Farm one("sh", "A1 B1");
  BOOST_TEST(one.preview().size() == 2u);  // Without the fallback the least loaded is second.
  Farm all("sh", "A1 B1 C1", {"sh-fallback"});
  BOOST_TEST(all.preview().size() == 3u);
}

// What a preview says is what happens: each server refuses in turn.
BOOST_AUTO_TEST_CASE(previews_come_true) {
  for (const std::string_view scheduler : known_schedulers()) {
    Farm farm(scheduler, "A1 B5 C0 D2 E3");
    const Flow flow{.source = 0x0a000001, .destination = 77};
    for (int round = 0; round < 20; ++round) {
      const std::string expected = farm.preview(flow);
      std::vector<uint64_t> refused;
      std::string got;
      Flow retry = flow;
      while (Server* server = farm->schedule(retry, Counted::kActive)) {
        got += server->spec.name;
        farm->unbind(*server, Counted::kActive);
        refused.push_back(server->id);
        retry.excluded = refused;
      }
      BOOST_TEST(got == expected, scheduler);
      farm->schedule(flow, Counted::kActive);
    }
  }
}

BOOST_AUTO_TEST_CASE(two_threads_share_one_round) {
  Farm farm("rr", "A1 B1 C1");
  constexpr int kEach = 20'000;
  const auto work = [&] {
    for (int i = 0; i < kEach; ++i) farm->schedule({}, Counted::kActive);
  };
  std::thread other(work);
  work();
  other.join();
  uint32_t least = UINT32_MAX;
  uint32_t most = 0;
  uint32_t sum = 0;
  for (const Server* server : farm->servers()) {
    least = std::min<uint32_t>(least, server->active);
    most = std::max<uint32_t>(most, server->active);
    sum += server->active;
  }
  BOOST_TEST(most - least <= 1);
  BOOST_TEST(sum == 2 * kEach);
}

BOOST_AUTO_TEST_CASE(changes_under_traffic) {
  for (const char* scheduler : {"wlc", "lblcr", "mh", "wrr"}) {
    Farm farm(scheduler, "A1 B1 C1 D1");
    std::atomic<bool> done{false};
    std::thread traffic([&] {
      for (uint64_t key = 0; !done; ++key) {
        const Flow flow{.source = static_cast<uint32_t>(key), .destination = key % 50};
        Server* server = farm->schedule(flow, Counted::kInactive);
        if (server == nullptr) continue;
        farm->move(*server, Counted::kInactive, Counted::kActive);
        farm->unbind(*server, Counted::kActive);
      }
    });
    for (int i = 0; i < 200; ++i) {
      const char name = static_cast<char>('A' + i % 4);
      farm->remove(farm[name]);
      farm.add(name, 1 + i % 3, 5);
      farm.edit(name, i % 5);
      farm->preview({});
    }
    done = true;
    traffic.join();
    for (const Server* server : farm->servers())
      BOOST_TEST(server->active + server->inactive == 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
