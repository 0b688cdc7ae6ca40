// Tunnels against a hostile world: short reads and writes, slow networks, tiny buffers, early bytes
// and ends. Both sides get every byte of the other, in order, and its end; or both are told.
#include <algorithm>

#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

namespace {

const std::string kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const std::string kAgreed =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

// What follows the head in `bytes`.
std::string behind_head(const std::string& bytes) {
  const size_t end = bytes.find("\r\n\r\n");
  return end == std::string::npos ? "" : bytes.substr(end + 4);
}

// A server that agrees once, says `answer`, and ends its direction.
void serve_tunnel(ProxyWorld& world, const std::string& answer, SimPeer*& server) {
  world.io().serve(ProxyWorld::server_address(0), [&answer, &server](SimPeer& peer) {
    server = &peer;
    peer.on_event = [&answer, agreed = false](SimPeer& self) mutable {
      if (agreed || self.received().find("\r\n\r\n") == std::string::npos) return;
      agreed = true;
      self.send(kAgreed + answer);
      self.finish();
    };
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tunnel)

BOOST_AUTO_TEST_CASE(every_byte_and_both_ends_arrive) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      WorldOptions options;
      options.sim = SimOptions::from_seed(seed);
      ProxyWorld world(options);
      Random& random = world.io().random();
      const std::string down = pattern(seed, random.below(4'000));
      const std::string up = pattern(seed + 1'000, random.below(4'000));
      const size_t early = random.below(up.size() + 1);
      SimPeer* server = nullptr;
      serve_tunnel(world, down, server);
      SimPeer& client = world.connect();
      client.send(kUpgrade + up.substr(0, early));
      client.on_event = [&up, early, rest_sent = false](SimPeer& self) mutable {
        if (rest_sent || self.received().find("\r\n\r\n") == std::string::npos) return;
        rest_sent = true;
        self.send(up.substr(early));
        self.finish();
      };
      BOOST_TEST(world.io().run_until(
          [&] { return client.over() && server != nullptr && server->over(); }));
      BOOST_REQUIRE(server != nullptr);
      BOOST_TEST(client.ended());
      BOOST_TEST(behind_head(client.received()) == down);
      BOOST_TEST(behind_head(server->received()) == up);
      world.finish();
      BOOST_TEST(world.ended(Reason::kDone) == 1u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reset_of_one_side_ends_the_other) {
  for (const bool by_client : {true, false}) {
    BOOST_TEST_CONTEXT((by_client ? "client" : "server")) {
      ProxyWorld world({});
      SimPeer* server = nullptr;
      world.io().serve(ProxyWorld::server_address(0), [&server](SimPeer& peer) {
        server = &peer;
        peer.on_event = [agreed = false](SimPeer& self) mutable {
          if (!std::exchange(agreed, true)) self.send(kAgreed);
        };
      });
      SimPeer& client = world.connect();
      client.send(kUpgrade);
      world.io().settle();
      BOOST_TEST(client.received().starts_with("HTTP/1.1 101 "));
      (by_client ? client : *server).reset();
      world.io().settle();
      BOOST_TEST((by_client ? *server : client).over());
      BOOST_TEST(world.ended(by_client ? Reason::kClientReset : Reason::kServerReset) == 1u);
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(silence_ends_it_in_time_and_a_stop_at_once) {
  // The limit of a request ends with the answer that makes it a tunnel.
  ProxyWorld world(
      {.adjust = [](config::Config& config) { config.listeners[0].request_timeout = 10s; }});
  SimPeer* server = nullptr;
  world.io().serve(ProxyWorld::server_address(0), [&server](SimPeer& peer) {
    server = &peer;
    peer.on_event = [agreed = false](SimPeer& self) mutable {
      if (!std::exchange(agreed, true)) self.send(kAgreed);
    };
  });
  SimPeer& silent = world.connect();
  silent.send(kUpgrade);
  world.io().run_for(59min);
  BOOST_TEST(!silent.over());
  silent.send("a word");
  world.io().run_for(59min);
  BOOST_TEST(!silent.over());
  world.io().run_for(2min);
  BOOST_TEST(silent.over());
  BOOST_TEST(world.ended(Reason::kTunnelTimeout) == 1u);
  SimPeer& stopped = world.connect();
  stopped.send(kUpgrade);
  world.io().settle();
  world.finish();
  BOOST_TEST(world.ended(Reason::kShutdown) == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
