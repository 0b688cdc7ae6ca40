// Clients that go while they wait for a server with room.
#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(leave)

// Where the client's bytes are not all here, or are no request at all, only a reset says that
// nobody waits any more: an end of its direction does not.
BOOST_AUTO_TEST_CASE(whoever_is_gone_leaves_the_queue_at_once) {
  struct Case {
    const char* description;
    config::Protocol protocol;
    std::string sent;
    bool whole;  // An end behind it is no end of the request.
  };
  const Case cases[] = {
      {"half a body", config::Protocol::kHttp,
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", false},
      {"a chunked body", config::Protocol::kHttp,
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", false},
      {"a further request", config::Protocol::kHttp, get("/1") + get("/2"), true},
      {"an upgrade", config::Protocol::kHttp,
       get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), true},
      {"tcp", config::Protocol::kTcp, "some bytes", true},
      {"tcp, without a word", config::Protocol::kTcp, "", true},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({.adjust = [&each](config::Config& config) {
        config.pools[0].servers[0].max_connections = 1;
        config.listeners[0].protocol = each.protocol;
      }});
      world.io().serve(ProxyWorld::server_address(0), [](SimPeer&) {});
      SimPeer& served = world.connect();
      served.send(each.protocol == config::Protocol::kHttp ? get("/") : "");
      world.io().run_for(1ms);
      SimPeer& gone = world.connect();
      SimPeer& half_closed = world.connect();
      for (SimPeer* client : {&gone, &half_closed}) client->send(each.sent);
      half_closed.finish();
      world.io().run_for(1ms);
      BOOST_TEST(world.metrics().queued_now.value() == 2u);
      gone.reset();
      world.io().run_for(1ms);
      BOOST_TEST(world.metrics().queued_now.value() == 1u);
      BOOST_TEST(world.ended(Reason::kClientReset) == 1u);
      served.reset();  // The place goes to whoever is still there.
      world.io().run_for(1ms);
      BOOST_TEST(world.metrics().queued_now.value() == 0u);
      BOOST_TEST(world.servers().servers()[0]->active.load() == (each.whole ? 1u : 0u));
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
