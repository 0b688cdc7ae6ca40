// The pool of server connections by itself, in the simulation: what is taken, what makes room, and
// what a misbehaving server's surplus bytes reach.
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/upstream_pool.h"
#include "sim/sim_io.h"

namespace shunt::sim {
namespace {

using namespace std::chrono_literals;
using proxy::IdleLimits;
using proxy::UpstreamConnection;
using proxy::UpstreamPool;

constexpr IdleLimits kLimits{.count = 64, .timeout = 50s, .age = 1h};

// What an exchange is told.
struct TestUser final : UpstreamConnection::User {
  void on_connected(int32_t result) override {
    connected = result;
    if (result < 0) connection = nullptr;
  }
  void on_response_bytes() override { bytes += connection->input().view(); }
  void on_response_end(int32_t result) override { ended = result; }

  UpstreamConnection* connection = nullptr;
  std::optional<int32_t> connected;
  std::optional<int32_t> ended;
  std::string bytes;
};

struct Farm {
  explicit Farm(const SimOptions& options = {}, uint32_t connections_max = UINT32_MAX)
      : io(options),
        sink(*proxy::AccessLogSink::open("off")),
        log(*sink, config::AccessLogFormat::kJson),
        context(std::make_unique<proxy::Context>(io, metrics, log)),
        pool(std::make_unique<UpstreamPool>(*context, connections_max)) {
    for (uint16_t i = 0; i < 4; ++i) add_server(i);
  }
  ~Farm() {
    if (pool == nullptr) return;
    for (TestUser& user : users) {
      if (user.connection != nullptr) pool->close(*user.connection);
    }
    pool->close_idle();
    io.run_until([this] { return pool->empty(); });
  }

  void add_server(uint64_t id) {
    sched::Server& server = servers.emplace_back();
    server.id = id;
    server.spec.address = SocketAddress(IpAddress::from_v4(0x0a010000), uint16_t(8000 + id));
    io.serve(server.spec.address, [this](SimPeer& peer) { peers.push_back(&peer); });
  }

  // Begins a connection; the user's `connection` is null if the pool refused.
  TestUser& connect(size_t server, int& error) {
    TestUser& user = users.emplace_back();
    user.connection = pool->connect(servers[server], user, error);
    return user;
  }
  TestUser& connected(size_t server) {
    int error = 0;
    TestUser& user = connect(server, error);
    BOOST_REQUIRE(user.connection != nullptr);
    BOOST_REQUIRE(io.run_until([&] { return user.connected.has_value(); }));
    BOOST_REQUIRE(*user.connected == 0);
    return user;
  }
  void park(TestUser& user, const IdleLimits& limits = kLimits) {
    pool->park(*std::exchange(user.connection, nullptr), limits);
  }
  TestUser& take(size_t server, bool probe = false) {
    TestUser& user = users.emplace_back();
    user.connection = pool->take(servers[server], kLimits, probe, user);
    return user;
  }
  // Lets the loop look at what was parked, and time go by.
  void next_turn() { io.run_for(1ms); }

  void finish() {
    pool->close_idle();
    BOOST_REQUIRE(io.run_until([this] { return pool->empty(); }, 1min));
    pool.reset();
    io.check_clean();
    BOOST_TEST(metrics.upstream_idle.value() == 0u);
  }

  SimIo io;
  Metrics metrics;
  std::unique_ptr<proxy::AccessLogSink> sink;
  proxy::AccessLog log;
  std::unique_ptr<proxy::Context> context;
  std::unique_ptr<UpstreamPool> pool;
  std::deque<sched::Server> servers;
  std::deque<TestUser> users;
  std::vector<SimPeer*> peers;  // The servers' ends, in order of connection.
};

BOOST_AUTO_TEST_SUITE(upstream)

BOOST_AUTO_TEST_CASE(used_last_is_taken_first) {
  Farm farm;
  TestUser* first = &farm.connected(0);
  TestUser* second = &farm.connected(0);
  UpstreamConnection* used_last = second->connection;
  farm.park(*first);
  farm.park(*second);
  farm.next_turn();
  BOOST_TEST(farm.take(1).connection == nullptr);
  TestUser& user = farm.take(0);
  BOOST_TEST(user.connection == used_last);
  BOOST_TEST(user.connection->reused());
  farm.peers[1]->send("answer");
  farm.io.settle();
  BOOST_TEST(user.bytes == "answer");
  farm.pool->close(*std::exchange(user.connection, nullptr));
  farm.finish();
}

// The server's surplus and another client's request become known in the same turn. In every order,
// the request must not meet that connection.
BOOST_AUTO_TEST_CASE(surplus_on_its_way_to_the_pool_reaches_nobody) {
  for (uint64_t seed = 1; seed <= 64; ++seed) {
    for (const bool probe : {false, true}) {
      BOOST_TEST_CONTEXT("seed " << seed << " probe " << probe) {
        Farm farm({.seed = seed});
        TestUser& other = farm.connected(1);
        farm.park(farm.connected(0));
        farm.next_turn();
        struct Request final : UpstreamConnection::User {
          void on_connected(int32_t) override {}
          void on_response_bytes() override {
            if (user == nullptr) user = &farm->take(0, probe);
          }
          void on_response_end(int32_t) override {}
          Farm* farm = nullptr;
          bool probe = false;
          TestUser* user = nullptr;
        } request;
        request.farm = &farm;
        request.probe = probe;
        farm.park(other);
        farm.next_turn();
        UpstreamConnection* trigger = farm.pool->take(farm.servers[1], kLimits, false, request);
        BOOST_REQUIRE(trigger != nullptr);
        farm.peers[0]->send("x");  // Server 1's: its callback takes a connection to server 0.
        farm.peers[1]->send("stale");
        BOOST_REQUIRE(farm.io.run_until([&] { return request.user != nullptr; }));
        farm.io.settle();
        BOOST_TEST((request.user->connection == nullptr));
        BOOST_TEST(request.user->bytes == "");
        farm.pool->close(*trigger);
        farm.finish();
      }
    }
  }
}

// Behind the answer in the socket, and the connection is parked and taken before the loop looks.
BOOST_AUTO_TEST_CASE(surplus_behind_the_answer_is_found_in_the_same_turn) {
  Farm farm;
  TestUser& user = farm.connected(0);
  farm.park(user);
  farm.next_turn();
  TestUser& relaying = farm.take(0);
  // The receive is the relay's business; here the connection has none, as after a whole answer.
  farm.peers[0]->send("answer");
  farm.io.settle();
  BOOST_TEST(relaying.bytes == "answer");
  relaying.connection->input().consume(6);
  farm.peers[0]->send("surplus");
  farm.io.settle();  // In the socket: no receive is armed.
  farm.park(relaying);
  BOOST_TEST(farm.take(0).connection == nullptr);
  BOOST_TEST(farm.pool->idle() == 0u);
  farm.finish();
}

// One that the loop has looked at goes before one parked just now, and costs no look.
BOOST_AUTO_TEST_CASE(parked_in_this_turn_is_taken_last) {
  Farm farm;
  TestUser& early = farm.connected(0);
  TestUser& late = farm.connected(0);
  UpstreamConnection* watched = early.connection;
  UpstreamConnection* fresh = late.connection;
  farm.park(early);
  farm.next_turn();
  farm.park(late);
  TestUser& first = farm.take(0);
  TestUser& second = farm.take(0);
  BOOST_TEST(first.connection == watched);
  BOOST_TEST(second.connection == fresh);
  for (TestUser* user : {&first, &second}) farm.park(*user);
  farm.finish();
}

BOOST_AUTO_TEST_CASE(each_is_closed_at_its_own_time) {
  Farm farm;
  const struct {
    size_t server;
    IdleLimits limits;
  } cases[] = {
      {0, {.count = 8, .timeout = 30s, .age = 1h}},
      {1, {.count = 8, .timeout = 2s, .age = 1h}},
      {0, {.count = 8, .timeout = 10s, .age = 1h}},
      {2, {.count = 8, .timeout = 1h, .age = 20s}},
  };
  std::vector<TestUser*> users;
  for (const auto& test : cases) users.push_back(&farm.connected(test.server));
  for (size_t i = 0; i < users.size(); ++i) farm.park(*users[i], cases[i].limits);
  for (const auto& [after, left] : {std::pair{1s, 4u}, {2s, 3u}, {8s, 2u}, {10s, 1u}, {10s, 0u}}) {
    farm.io.run_for(after);
    BOOST_TEST(farm.pool->idle() == left);
  }
  BOOST_TEST(farm.pool->empty());
  farm.finish();
}

// A connection used again and again is not closed for the time of its first rest.
BOOST_AUTO_TEST_CASE(use_moves_the_idle_timeout) {
  Farm farm;
  TestUser* user = &farm.connected(0);
  for (int i = 0; i < 5; ++i) {
    farm.park(*user);
    farm.io.run_for(40s);
    user = &farm.take(0);
    BOOST_REQUIRE(user->connection != nullptr);
    farm.io.run_for(60s);  // In use for longer than it may be idle.
    BOOST_REQUIRE(!user->ended);
  }
  farm.park(*user);
  farm.io.run_for(51s);
  BOOST_TEST(farm.pool->empty());
  farm.finish();
}

BOOST_AUTO_TEST_CASE(evicts_what_was_used_longest_ago_over_all_servers) {
  Farm farm;
  std::vector<TestUser*> users;
  for (const size_t server : {0, 1, 0, 2}) users.push_back(&farm.connected(server));
  for (const size_t i : {1, 0, 3, 2}) farm.park(*users[i]);
  farm.next_turn();
  BOOST_TEST(farm.pool->evict_idle(2) == 2u);
  BOOST_TEST(farm.take(1).connection == nullptr);
  farm.next_turn();
  BOOST_TEST(farm.peers[1]->ended());
  BOOST_TEST(farm.peers[0]->ended());
  BOOST_TEST(!farm.peers[2]->ended());
  BOOST_TEST(!farm.peers[3]->ended());
  BOOST_TEST(farm.pool->evict_idle(9) == 2u);
  BOOST_TEST(farm.pool->evict_idle(9) == 0u);
  farm.finish();
}

BOOST_AUTO_TEST_CASE(connections_max_lets_a_new_one_replace_the_oldest_idle) {
  Farm farm({}, 3);
  for (size_t server = 0; server < 3; ++server) farm.park(farm.connected(server));
  farm.next_turn();
  TestUser& fourth = farm.connected(3);
  farm.next_turn();
  BOOST_TEST(farm.pool->idle() == 2u);
  BOOST_TEST(farm.peers[0]->ended());
  BOOST_TEST(farm.io.descriptors() == 3u);
  // Nothing idle: it is made all the same.
  TestUser& fifth = farm.take(1);
  TestUser& sixth = farm.take(2);
  TestUser& seventh = farm.connected(0);
  for (TestUser* user : {&fourth, &fifth, &sixth, &seventh}) farm.park(*user);
  farm.finish();
}

// Idle connections elsewhere have all descriptors: the new ones get theirs.
BOOST_AUTO_TEST_CASE(out_of_descriptors_idle_connections_make_room) {
  Farm farm({.descriptors_max = 12});
  std::vector<TestUser*> users;
  for (size_t i = 0; i < 12; ++i) users.push_back(&farm.connected(i % 3));
  for (TestUser* user : users) farm.park(*user);
  farm.next_turn();
  std::vector<TestUser*> fresh;
  int error = 0;
  for (size_t i = 0; i < 12; ++i) {
    fresh.push_back(&farm.connect(3, error));
    BOOST_REQUIRE(fresh.back()->connection != nullptr);
    BOOST_TEST(!fresh.back()->connected.has_value());
  }
  // Nothing is left to close for the thirteenth.
  BOOST_TEST(farm.connect(3, error).connection == nullptr);
  BOOST_TEST(error == -EMFILE);
  const Instant begin = farm.io.now();
  for (TestUser* user : fresh) {
    BOOST_REQUIRE(farm.io.run_until([&] { return user->connected.has_value(); }));
    BOOST_TEST(*user->connected == 0);
  }
  BOOST_TEST((farm.io.now() - begin < 10ms));
  for (TestUser* user : fresh) farm.park(*user);
  farm.finish();
}

// The room does not come in time: the wait ends with the kernel's error, and one whose exchange
// gave up before is not told.
BOOST_AUTO_TEST_CASE(waiting_for_a_descriptor_ends) {
  Farm farm({.descriptors_max = 2});
  UpstreamConnection* held = std::exchange(farm.connected(0).connection, nullptr);
  UpstreamConnection* second_held = std::exchange(farm.connected(1).connection, nullptr);
  farm.pool->close_held(*held);  // A relay still uses their descriptors.
  farm.pool->close_held(*second_held);
  int error = 0;
  TestUser& gives_up = farm.connect(3, error);
  TestUser& waits = farm.connect(3, error);
  BOOST_REQUIRE(gives_up.connection != nullptr);
  BOOST_REQUIRE(waits.connection != nullptr);
  farm.pool->close(*std::exchange(gives_up.connection, nullptr));
  farm.io.run_for(50ms);
  BOOST_TEST(!waits.connected.has_value());
  farm.io.run_for(60ms);
  BOOST_REQUIRE(waits.connected.has_value());
  BOOST_TEST(*waits.connected == -EMFILE);
  BOOST_TEST(!gives_up.connected.has_value());

  // One that comes in time is used.
  TestUser& served = farm.connect(3, error);
  BOOST_REQUIRE(served.connection != nullptr);
  farm.pool->let_go(*held);
  BOOST_REQUIRE(farm.io.run_until([&] { return served.connected.has_value(); }));
  BOOST_TEST(*served.connected == 0);
  farm.pool->let_go(*second_held);
  farm.park(served);
  farm.finish();
}

// Servers come and go: what the pool knows of them does not grow with their ids.
BOOST_AUTO_TEST_CASE(servers_that_are_gone_are_forgotten) {
  Farm farm;
  TestUser& kept = farm.connected(0);
  farm.park(kept);
  for (uint64_t id = 1'000'000; id < 1'005'000; ++id) {
    sched::Server server;
    server.id = id;
    server.spec.address = farm.servers[1].spec.address;
    TestUser user;
    BOOST_REQUIRE(farm.pool->take(server, kLimits, false, user) == nullptr);
  }
  BOOST_TEST(farm.pool->servers_known() <= 1024u);
  TestUser& again = farm.take(0);
  BOOST_REQUIRE(again.connection != nullptr);
  farm.park(again);
  farm.finish();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::sim
