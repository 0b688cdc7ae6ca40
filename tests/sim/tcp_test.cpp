// Listeners with protocol = "tcp" against a hostile world: every byte of both sides arrives,
// whoever speaks first; the name that a TLS client asks for decides, however its first message is
// cut.
#include <algorithm>
#include <fstream>
#include <iterator>

#include "core/config_protocol.h"
#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

namespace {

WorldOptions tcp(uint64_t seed = 0) {
  WorldOptions options;
  if (seed != 0) options.sim = SimOptions::from_seed(seed);
  options.adjust = [](config::Config& config) {
    config.listeners[0].protocol = config::Protocol::kTcp;
  };
  return options;
}

// Only those that ask for openssl.example.com, and those that speak no TLS if `others`.
WorldOptions by_name(uint64_t seed, bool others) {
  WorldOptions options = tcp(seed);
  options.adjust = [others](config::Config& config) {
    config.listeners[0].protocol = config::Protocol::kTcp;
    config.rules[0].match.sni = {"openssl.example.com"};
    if (!others) return;
    config::Rule& rule = config.rules.emplace_back();
    rule.name = "others";
    rule.pool = 0;
    config::Match named;
    named.sni = {"*.example.com"};
    rule.match.none = {named};
  };
  return options;
}

std::string hello(const std::string& name) {
  std::ifstream file(SHUNT_SOURCE_DIR "/tests/data/client_hello/" + name, std::ios::binary);
  BOOST_REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A server that sends `greeting` and keeps its peer for the test.
void greet(ProxyWorld& world, const std::string& greeting, SimPeer*& server, uint32_t index = 0) {
  world.io().serve(ProxyWorld::server_address(index), [&greeting, &server](SimPeer& peer) {
    server = &peer;
    peer.send(greeting);
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tcp_listener)

BOOST_AUTO_TEST_CASE(every_byte_and_both_ends_arrive) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      ProxyWorld world(tcp(seed));
      Random& random = world.io().random();
      const std::string down = pattern(seed, random.below(4'000));
      const std::string up = pattern(seed + 1'000, random.below(4'000));
      SimPeer* server = nullptr;
      world.io().serve(ProxyWorld::server_address(0), [&](SimPeer& peer) {
        server = &peer;
        peer.send(down);
        peer.finish();
      });
      SimPeer& client = world.connect();
      client.send(up);
      client.finish();
      BOOST_TEST(world.io().run_until(
          [&] { return client.over() && server != nullptr && server->over(); }));
      BOOST_REQUIRE(server != nullptr);
      BOOST_TEST(client.ended());
      BOOST_TEST(client.received() == down);
      BOOST_TEST(server->received() == up);
      world.finish();
      BOOST_TEST(world.ended(Reason::kDone) == 1u);
      BOOST_TEST(world.metrics().tunnels.value() == 1u);
      BOOST_TEST(world.metrics().tunnels_active.value() == 0u);
    }
  }
}

BOOST_AUTO_TEST_CASE(one_direction_may_end_long_before_the_other) {
  ProxyWorld world(tcp());
  const std::string greeting = "welcome";
  SimPeer* server = nullptr;
  greet(world, greeting, server);
  SimPeer& client = world.connect();
  client.send("all I have");
  client.finish();
  world.io().settle();
  BOOST_TEST(client.received() == greeting);
  BOOST_REQUIRE(server != nullptr);
  BOOST_TEST(server->received() == "all I have");
  BOOST_TEST(server->ended());
  BOOST_TEST(!client.over());
  world.io().run_for(30min);
  server->send(", and goodbye");
  server->finish();
  world.io().settle();
  BOOST_TEST(client.received() == "welcome, and goodbye");
  BOOST_TEST(client.ended());
  world.finish();
  BOOST_TEST(world.ended(Reason::kDone) == 1u);
}

BOOST_AUTO_TEST_CASE(much_is_spliced) {
  ProxyWorld world(tcp());
  const std::string greeting = pattern(7, 3'000'000);
  SimPeer* server = nullptr;
  greet(world, greeting, server);
  SimPeer& client = world.connect();
  world.io().run_until([&] { return client.received().size() == greeting.size(); });
  BOOST_TEST((client.received() == greeting));
  BOOST_TEST(world.metrics().spliced.value() > greeting.size() / 2);
  world.finish();
}

BOOST_AUTO_TEST_CASE(the_name_decides_however_the_hello_is_cut) {
  const struct {
    const char* file;
    Reason reason;
  } cases[] = {
      {"openssl", Reason::kDone},
      {"openssl-fragments", Reason::kNoRule},
      {"openssl-without-name", Reason::kNoRule},
  };
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    for (const auto& each : cases) {
      BOOST_TEST_CONTEXT("seed " << seed << ", " << each.file) {
        ProxyWorld world(by_name(seed, false));
        SimPeer* server = nullptr;
        world.io().serve(ProxyWorld::server_address(0), [&server](SimPeer& peer) {
          server = &peer;
          peer.finish();
        });
        const std::string bytes = hello(each.file);
        SimPeer& client = world.connect();
        client.send(bytes);
        world.io().run_for(1s);
        client.finish();
        world.io().run_until(
            [&] { return client.over() && (server == nullptr || server->over()); });
        BOOST_TEST((server != nullptr) == (each.reason == Reason::kDone));
        if (server != nullptr) BOOST_TEST((server->received() == bytes));
        world.finish();
        BOOST_TEST(world.ended(each.reason) == 1u);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(who_speaks_no_tls_goes_on_without_a_name) {
  ProxyWorld world(by_name(0, true));
  const std::string greeting = "220 ready";
  SimPeer* server = nullptr;
  greet(world, greeting, server);
  SimPeer& talks = world.connect();
  talks.send("EHLO a\r\n");
  world.io().settle();
  BOOST_TEST(talks.received() == greeting);
  BOOST_TEST(server->received() == "EHLO a\r\n");
  // One that waits for the server to begin waits for header_timeout.
  SimPeer& waits = world.connect();
  world.io().run_for(9s);
  BOOST_TEST(waits.received() == "");
  world.io().run_for(2s);
  BOOST_TEST(waits.received() == greeting);
  waits.send("EHLO b\r\n");
  world.io().settle();
  BOOST_TEST(server->received() == "EHLO b\r\n");
  world.finish();
  BOOST_TEST(world.ended(Reason::kShutdown) == 2u);
}

// The deadline and the first byte may come together.
BOOST_AUTO_TEST_CASE(a_client_that_begins_at_the_deadline_loses_nothing) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      ProxyWorld world(by_name(seed, true));
      const std::string greeting = "220 ready";
      SimPeer* server = nullptr;
      greet(world, greeting, server);
      SimPeer& client = world.connect();
      world.io().run_until([&] { return client.accepted(); });
      world.io().run_for(10s - std::chrono::milliseconds(world.io().random().below(20)));
      client.send("EHLO\r\n");
      BOOST_TEST(world.io().run_until(
          [&] { return server != nullptr && server->received() == "EHLO\r\n"; }));
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(half_a_hello_is_not_waited_for_for_ever) {
  ProxyWorld world(by_name(0, true));
  SimPeer& client = world.connect();
  const std::string bytes = hello("openssl");
  client.send(bytes.substr(0, bytes.size() - 1));
  world.io().run_for(9s);
  BOOST_TEST(!client.over());
  world.io().run_for(7s);
  BOOST_TEST(client.over());
  BOOST_TEST(world.ended(Reason::kRequestHeaderTimeout) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(the_next_server_when_one_refuses_and_a_reset_when_all_do) {
  WorldOptions options = tcp();
  options.servers = 2;
  ProxyWorld world(options);
  const std::string greeting = "hello";
  SimPeer* server = nullptr;
  greet(world, greeting, server, 1);
  for (int i = 0; i < 4; ++i) {
    SimPeer& client = world.connect();
    world.io().settle();
    BOOST_TEST(client.received() == greeting);
    client.close();
  }
  BOOST_TEST(world.metrics().retries.value() > 0u);
  world.finish();

  ProxyWorld nobody(options);
  SimPeer& client = nobody.connect();
  nobody.io().settle();
  BOOST_TEST(client.was_reset());
  BOOST_TEST(nobody.ended(Reason::kConnectRefused) == 1u);
  nobody.finish();
}

BOOST_AUTO_TEST_CASE(silence_ends_it_in_time_and_a_drain_does_not) {
  ProxyWorld world(tcp());
  const std::string greeting = "hello";
  SimPeer* server = nullptr;
  greet(world, greeting, server);
  SimPeer& silent = world.connect();
  world.io().run_for(59min);
  silent.send("a word");
  world.io().settle();
  world.service().drain();
  world.io().run_for(59min);
  BOOST_TEST(!silent.over());
  BOOST_TEST(server->received() == "a word");
  world.io().run_for(2min);
  BOOST_TEST(silent.was_reset());
  BOOST_TEST(world.ended(Reason::kTunnelTimeout) == 1u);
  BOOST_TEST(world.service().idle());
  world.finish();
}

BOOST_AUTO_TEST_CASE(what_comes_too_late_for_a_server_that_has_closed_is_no_failure) {
  ProxyWorld world(tcp());
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer& peer) {
    peer.send("all there is");
    peer.close();
  });
  SimPeer& client = world.connect();
  world.io().settle();
  BOOST_TEST(client.received() == "all there is");
  BOOST_TEST(client.ended());
  for (int i = 0; i < 3; ++i) {
    client.send("too late");
    world.io().settle();
  }
  client.finish();
  world.io().settle();
  world.finish();
  BOOST_TEST(world.ended(Reason::kDone) == 1u);
}

BOOST_AUTO_TEST_CASE(a_reload_may_change_what_a_listener_speaks) {
  ProxyWorld world(by_name(0, true));
  const std::string greeting = "hello";
  SimPeer* server = nullptr;
  greet(world, greeting, server);
  SimPeer& client = world.connect();
  world.io().settle();
  world.reload([](config::Config& config) {
    config.listeners[0].protocol = config::Protocol::kHttp;
    config.rules.erase(config.rules.begin());
    config.rules[0].match = {};
    config.rules[0].pool = config::kNone;
    config.rules[0].respond = config::Respond{};
  });
  client.send("EHLO\r\n");
  world.io().settle();
  BOOST_TEST(client.was_reset());
  BOOST_TEST(world.ended(Reason::kNoRule) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
