// Snapshots and reloads: what is refused in the first phase, and what of the servers survives the
// second.
#include "app/snapshot_build.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "app_fixture.h"

namespace shunt::app {
namespace {

using test::prepare_text;

std::string farm(const std::string& pool) {
  return "[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:8080\"\n[pool.p]\n" + pool;
}

std::shared_ptr<const proxy::Snapshot> apply(ServerSets& sets, const std::string& pool,
                                             Changes& changes) {
  Prepared prepared = prepare_text(farm(pool));
  BOOST_REQUIRE_MESSAGE(prepared.good(), prepared.diagnostics.to_string());
  changes = {};
  return sets.apply(std::move(prepared), changes);
}

sched::Server* find(const proxy::Snapshot& snapshot, std::string_view name) {
  const auto servers = snapshot.pools.front().servers->servers();
  const auto named = [name](const sched::Server* server) { return server->spec.name == name; };
  const auto found = std::ranges::find_if(servers, named);
  return found == servers.end() ? nullptr : *found;
}

constexpr const char* kTwo = R"(scheduler = "wlc"
server = [{ name = "a", address = "127.0.0.1:9001" }, { name = "b", address = "127.0.0.1:9002" }]
)";

BOOST_AUTO_TEST_SUITE(snapshot_build)

BOOST_AUTO_TEST_CASE(a_wrong_configuration_is_refused_whole) {
  const Prepared prepared = prepare_text(farm("schedulr = \"rr\"\n") + "[[rule]]\npool = \"q\"\n");
  BOOST_TEST(!prepared.good());
  BOOST_TEST(prepared.diagnostics.error_count() >= 2u);
  BOOST_REQUIRE(prepared.snapshot != nullptr);
}

BOOST_AUTO_TEST_CASE(patterns_are_compiled_in_the_first_phase) {
  const Prepared prepared = prepare_text(
      "[[rule]]\nname = \"r\"\nmatch = { path_regex = \"(\" }\npool = \"p\"\n" + farm(kTwo));
  BOOST_TEST(!prepared.good());
  BOOST_TEST(prepared.diagnostics.to_string().contains("test.toml:"));
}

BOOST_AUTO_TEST_CASE(patterns_are_compiled_whatever_else_is_wrong) {
  const Prepared prepared = prepare_text(
      "[[rule]]\nname = \"r\"\nmatch = { header = { a = { regex = \"[\" } }, path_regex = [\"x\", "
      "\"(\"] }\npool = \"q\"\n" +
      farm(kTwo) + "nonsense = 1\n");
  const std::string shown = prepared.diagnostics.to_string();
  for (const char* text :
       {"unknown pool \"q\"", "nonsense", "test.toml:3:36: error: regular expression \"[\"",
        "test.toml:3:64: error: regular expression \"(\""})
    BOOST_TEST(shown.contains(text), shown);
  BOOST_TEST(prepared.diagnostics.error_count() == 4u, shown);
}

BOOST_AUTO_TEST_CASE(keys_follow_the_scheduler_unless_given) {
  using Kind = config::LocalityKey::Kind;
  struct Case {
    const char* settings;
    Kind kind;
    bool needed;
    bool is_source;
  };
  for (const Case& test : {
           Case{"scheduler = \"wlc\"", Kind::kPath, false, false},
           Case{"scheduler = \"lblcr\"", Kind::kPath, true, false},
           Case{"scheduler = \"dh\"\nkey = \"host\"", Kind::kHost, true, false},
           Case{"scheduler = \"dh\"\nkey = \"source\"", Kind::kSource, true, false},
           Case{"scheduler = \"sh\"\nkey = \"source\"", Kind::kSource, false, true},
           Case{"scheduler = \"mh\"\nkey = \"url\"", Kind::kUrl, true, false},
       }) {
    ServerSets sets;
    Changes changes;
    const auto snapshot = apply(
        sets, std::string(test.settings) + "\nserver = [{ address = \"127.0.0.1:1\" }]\n", changes);
    const proxy::Pool& pool = snapshot->pools.front();
    BOOST_TEST((pool.key.kind == test.kind), test.settings);
    BOOST_TEST(pool.key_needed == test.needed, test.settings);
    BOOST_TEST(pool.key_is_source == test.is_source, test.settings);
  }
  config::Pool unset;
  for (const auto& [scheduler, kind] : {std::pair{"sh", Kind::kSource},
                                        {"mh", Kind::kSource},
                                        {"lblc", Kind::kPath},
                                        {"rr", Kind::kPath}}) {
    unset.scheduler = scheduler;
    BOOST_TEST((effective_key(unset).kind == kind), scheduler);
  }
}

BOOST_AUTO_TEST_CASE(servers_are_listed_in_the_order_of_the_file_one_by_one) {
  ServerSets sets;
  Changes changes;
  const auto snapshot = apply(sets, kTwo, changes);
  BOOST_TEST(snapshot->generation == 1u);
  BOOST_TEST(changes.servers_added == 2u);
  // Each goes to the front, as with ipvsadm.
  const auto servers = snapshot->pools.front().servers->servers();
  BOOST_TEST(servers[0]->spec.name == "b");
  BOOST_TEST(servers[1]->spec.name == "a");
}

BOOST_AUTO_TEST_CASE(a_reload_edits_servers_in_place) {
  ServerSets sets;
  Changes changes;
  const auto first = apply(sets, kTwo, changes);
  sched::Server* a = find(*first, "a");
  sched::Server* busy = first->pools.front().servers->schedule({}, sched::Counted::kActive);
  BOOST_REQUIRE(busy != nullptr);

  const auto second = apply(sets, R"(scheduler = "wlc"
server = [{ name = "a", address = "127.0.0.1:9001", weight = 7, upper = 10, lower = 5 },
          { name = "b", address = "127.0.0.1:9002" }]
)",
                            changes);
  BOOST_TEST(second->generation == 2u);
  BOOST_TEST(second->pools.front().servers == first->pools.front().servers);
  BOOST_TEST(find(*second, "a") == a);
  BOOST_TEST(a->spec.weight == 7);
  BOOST_TEST(a->spec.upper == 10u);
  BOOST_TEST(changes.servers_edited == 1u);
  BOOST_TEST(changes.servers_added == 0u);
  BOOST_TEST(changes.servers_removed == 0u);
  BOOST_TEST(busy->active.load() == 1u);
  second->pools.front().servers->unbind(*busy, sched::Counted::kActive);
}

BOOST_AUTO_TEST_CASE(a_reload_adds_removes_and_replaces_servers) {
  ServerSets sets;
  Changes changes;
  const auto first = apply(sets, kTwo, changes);
  const uint64_t old_a = find(*first, "a")->id;
  const auto second = apply(sets, R"(scheduler = "wlc"
server = [{ name = "a", address = "127.0.0.1:9009" }, { name = "c", address = "127.0.0.1:9003" }]
)",
                            changes);
  BOOST_TEST(changes.servers_added == 2u);
  BOOST_TEST(changes.servers_removed == 2u);
  BOOST_TEST(find(*second, "b") == nullptr);
  BOOST_REQUIRE(find(*second, "a") != nullptr);
  BOOST_TEST(find(*second, "a")->id != old_a);
  BOOST_TEST(find(*second, "a")->spec.address.port() == 9009);
  BOOST_TEST(find(*second, "c") != nullptr);
}

BOOST_AUTO_TEST_CASE(a_reload_that_changes_nothing_changes_nothing) {
  ServerSets sets;
  Changes changes;
  apply(sets, kTwo, changes);
  apply(sets, kTwo, changes);
  BOOST_TEST(changes.pools_added + changes.pools_removed + changes.servers_added +
                 changes.servers_removed + changes.servers_edited + changes.schedulers_changed ==
             0u);
}

struct Zone final : MemberSource {
  std::vector<Member> all;

  std::span<const Member> members(const config::DnsAddress& /*address*/) const override {
    return all;
  }
  void set(std::initializer_list<const char*> addresses) {
    all.clear();
    for (const char* text : addresses) all.push_back({*SocketAddress::parse(text), "img.test"});
  }
};

std::string listed(const proxy::Snapshot& snapshot) {
  std::vector<std::string> names;
  for (const sched::Server* server : snapshot.pools.front().servers->servers())
    names.push_back(fmt::format("{}*{}", server->spec.name, server->spec.weight));
  std::ranges::sort(names);
  return fmt::format("{}", fmt::join(names, " "));
}

BOOST_AUTO_TEST_CASE(members_of_a_name_come_go_and_keep_their_counts) {
  const std::string pool = R"(sticky = { cookie = "S" }
server = [{ name = "n", address = "dns:img.test:80", weight = 3, upper = 9 },
          { name = "a", address = "127.0.0.1:9001" }]
)";
  Zone zone;
  ServerSets sets;
  Changes changes;
  const auto with_zone = [&] { return sets.apply(prepare_text(farm(pool)), changes, &zone); };
  auto snapshot = with_zone();
  BOOST_TEST(listed(*snapshot) == "a*1");  // Nothing known of the name yet.
  const config::DnsAddress name = *snapshot->config.pools[0].servers[0].dns;

  zone.set({"10.0.0.1:80", "10.0.0.2:80"});
  sets.refresh(*snapshot, {&name, 1}, zone);
  BOOST_TEST(listed(*snapshot) == "a*1 n/10.0.0.1:80*3 n/10.0.0.2:80*3");
  sched::ServerSet& set = *snapshot->pools[0].servers;
  sched::Server* one = find(*snapshot, "n/10.0.0.1:80");
  sched::Server* two = find(*snapshot, "n/10.0.0.2:80");
  BOOST_REQUIRE(one != nullptr && two != nullptr);
  BOOST_TEST(one->spec.upper == 9u);
  const auto token = snapshot->pools[0].tokens->token_of(one->id);
  BOOST_REQUIRE(token.has_value());
  const std::string cookie(token->data(), token->size());
  BOOST_TEST(snapshot->pools[0].tokens->server_of(cookie) == one->id);
  set.bind(*one, sched::Counted::kActive);
  set.bind(*two, sched::Counted::kActive);

  zone.set({"10.0.0.2:80", "10.0.0.3:80"});
  zone.all[1].weight = 2;
  sets.refresh(*snapshot, {&name, 1}, zone);
  BOOST_TEST(listed(*snapshot) == "a*1 n/10.0.0.2:80*3 n/10.0.0.3:80*6");
  BOOST_TEST(!one->available);  // Ends what it has, and gets nothing new.
  BOOST_TEST(one->active == 1u);
  BOOST_TEST(find(*snapshot, "n/10.0.0.2:80") == two);
  BOOST_TEST(snapshot->pools[0].tokens->server_of(cookie) == 0u);
  set.unbind(*one, sched::Counted::kActive);

  snapshot = with_zone();  // A reload.
  BOOST_TEST(find(*snapshot, "n/10.0.0.2:80") == two);
  BOOST_TEST(two->active == 1u);
  BOOST_TEST(listed(*snapshot) == "a*1 n/10.0.0.2:80*3 n/10.0.0.3:80*6");
  set.unbind(*two, sched::Counted::kActive);
}

BOOST_AUTO_TEST_CASE(another_name_is_none_of_a_pools_business) {
  Zone zone;
  zone.set({"10.0.0.1:80"});
  ServerSets sets;
  Changes changes;
  const auto snapshot =
      sets.apply(prepare_text(farm("server = [{ name = \"n\", address = \"dns:img.test:80\" }]\n")),
                 changes, &zone);
  zone.set({"10.0.0.2:80"});
  const config::DnsAddress other{.name = "other.test", .port = 80};
  sets.refresh(*snapshot, {&other, 1}, zone);
  BOOST_TEST(listed(*snapshot) == "n/10.0.0.1:80*1");
}

// The only server moves to and fro while workers schedule, who must find one every time.
BOOST_AUTO_TEST_CASE(no_worker_sees_half_of_a_reload) {
  const auto at_port = [](int port) {
    return fmt::format("server = [{{ name = \"a\", address = \"127.0.0.1:{}\" }}]\n", port);
  };
  ServerSets sets;
  Changes changes;
  const auto first = apply(sets, at_port(9001), changes);
  std::atomic<bool> over{false};
  std::atomic<int> refused{0};
  std::atomic<int> served{0};
  const auto work = [&, &set = *first->pools.front().servers] {
    while (!over) {
      sched::Server* server = set.schedule({}, sched::Counted::kActive);
      (server == nullptr ? refused : served).fetch_add(1);
      if (server != nullptr) set.unbind(*server, sched::Counted::kActive);
    }
  };
  std::thread workers[] = {std::thread(work), std::thread(work), std::thread(work)};
  while (served == 0) std::this_thread::yield();
  // On a busy machine they take turns rather than run at once, hence the many decisions.
  for (int i = 0; i < 1000 || served + refused < 2'000'000; ++i) {
    apply(sets, at_port(9001 + i % 2), changes);
    BOOST_TEST(changes.servers_added == (i == 0 ? 0u : 1u));
  }
  over = true;
  for (std::thread& worker : workers) worker.join();
  BOOST_TEST(refused == 0);
}

// Workers index vectors by the servers' ids, so a configuration that is only tried must not use
// any.
BOOST_AUTO_TEST_CASE(what_is_only_prepared_uses_no_server_ids) {
  ServerSets sets;
  Changes changes;
  const uint64_t first = find(*apply(sets, kTwo, changes), "b")->id;
  for (int i = 0; i < 10; ++i) BOOST_TEST(prepare_text(farm(kTwo)).good());
  const auto second = apply(sets, R"(scheduler = "wlc"
server = [{ name = "b", address = "127.0.0.1:9003" }]
)",
                            changes);
  BOOST_TEST(find(*second, "b")->id == first + 1);
}

BOOST_AUTO_TEST_CASE(limits_are_refused_in_the_first_phase) {
  BOOST_TEST(!prepare_text(farm(R"(server = [{ address = "127.0.0.1:1", upper = 1, lower = 2 }])"))
                  .good());
}

BOOST_AUTO_TEST_CASE(a_reload_changes_scheduler_and_flags) {
  constexpr const char* kServers = "server = [{ name = \"a\", address = \"127.0.0.1:9001\" }]\n";
  ServerSets sets;
  Changes changes;
  apply(sets, std::string("scheduler = \"rr\"\n") + kServers, changes);
  const auto hashed = apply(sets, std::string("scheduler = \"sh\"\n") + kServers, changes);
  BOOST_TEST(hashed->pools.front().servers->scheduler_name() == "sh");
  BOOST_TEST(changes.schedulers_changed == 1u);
  const std::string flagged =
      std::string("scheduler = \"sh\"\nscheduler_flags = [\"sh-port\"]\n") + kServers;
  apply(sets, flagged, changes);
  BOOST_TEST(changes.schedulers_changed == 1u);
  apply(sets, flagged, changes);
  BOOST_TEST(changes.schedulers_changed == 0u);
}

// A request in flight on a pool that a reload removed still counts down on its server.
BOOST_AUTO_TEST_CASE(a_removed_pool_lives_as_long_as_its_snapshot) {
  ServerSets sets;
  Changes changes;
  const auto first = apply(sets, kTwo, changes);
  const std::weak_ptr<sched::ServerSet> set = first->pools.front().servers;
  sched::Server* busy = first->pools.front().servers->schedule({}, sched::Counted::kActive);
  BOOST_REQUIRE(busy != nullptr);
  Prepared other = prepare_text(
      "[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:8080\"\n"
      "[pool.q]\nserver = [{ address = \"127.0.0.1:1\" }]\n");
  BOOST_REQUIRE(other.good());
  changes = {};
  auto second = sets.apply(std::move(other), changes);
  BOOST_TEST(changes.pools_added == 1u);
  BOOST_TEST(changes.pools_removed == 1u);
  BOOST_REQUIRE(!set.expired());
  first->pools.front().servers->unbind(*busy, sched::Counted::kActive);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
