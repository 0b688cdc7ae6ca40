// Each timeout that a rule may set for itself: it fires when the rule says, not when listener or
// pool would have it, and the exchange ends with its name. And how long stickiness lasts.
#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

namespace {

const std::string kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const std::string kAgreed =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

// A server that answers each request with `answer`, however unfinished that is.
void answer_with(ProxyWorld& world, const std::string& answer) {
  world.io().serve(ProxyWorld::server_address(0), [answer](SimPeer& peer) {
    peer.on_event = [answer](SimPeer& origin) {
      if (!origin.take().ends_with("\r\n\r\n")) return;
      if (!answer.empty()) origin.send(answer);
    };
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(timeouts)

BOOST_AUTO_TEST_CASE(a_rule_has_timeouts_of_its_own) {
  struct Case {
    const char* description;
    std::optional<Duration> config::Rule::* timeout;
    Reason reason;
    std::string request;
    std::function<void(ProxyWorld&)> prepare;
  };
  const auto says = [](const std::string& answer) {
    return [answer](ProxyWorld& world) { answer_with(world, answer); };
  };
  const Case cases[] = {
      {"whole request", &config::Rule::request_timeout, Reason::kRequestTimeout, get("/"),
       says("")},
      {"connect", &config::Rule::connect_timeout, Reason::kConnectTimeout, get("/"),
       [](ProxyWorld& world) { world.io().black_hole(ProxyWorld::server_address(0)); }},
      {"first byte", &config::Rule::response_timeout, Reason::kResponseTimeout, get("/"), says("")},
      {"server idle", &config::Rule::server_timeout, Reason::kServerTimeout, get("/"),
       says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")},
      {"tunnel idle", &config::Rule::tunnel_timeout, Reason::kTunnelTimeout, kUpgrade,
       says(kAgreed)},
  };
  for (const Case& each : cases) {
    for (const Duration own : {100ms, 700ms}) {
      BOOST_TEST_CONTEXT(each.description << ", " << own.count() << " ns") {
        ProxyWorld world({.adjust = [&](config::Config& config) {
          config::Pool& pool = config.pools[0];
          config.listeners[0].request_timeout = 400ms;
          pool.connect_timeout = pool.response_timeout = pool.server_timeout = 300ms;
          pool.tunnel_timeout = 300ms;
          pool.retries = 0;
          config.rules[0].request_timeout = 1h;  // Unless this is what is tried.
          config.rules[0].*each.timeout = own;
          if (each.reason != Reason::kRequestTimeout) return;
          pool.connect_timeout = pool.response_timeout = pool.server_timeout = 1h;
        }});
        each.prepare(world);
        SimPeer& client = world.connect();
        client.send(each.request);
        world.io().run_for(own - 50ms);
        BOOST_TEST(world.ended(each.reason) == 0u);
        world.io().run_for(100ms);
        BOOST_TEST(world.ended(each.reason) == 1u);
        world.finish();
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rule_may_have_no_limit_where_its_listener_has_one) {
  ProxyWorld world({.adjust = [](config::Config& config) {
    config.listeners[0].request_timeout = 1s;
    config.rules[0].request_timeout = 0s;
  }});
  SimPeer* server = nullptr;
  world.io().serve(ProxyWorld::server_address(0), [&server](SimPeer& peer) { server = &peer; });
  SimPeer& client = world.connect();
  client.send(get("/"));
  world.io().run_for(30s);
  BOOST_REQUIRE(server != nullptr);
  server->send(ok("late"));
  world.io().settle();
  BOOST_TEST(answers(client.take(), 1)[0].body == "late");
  world.finish();
}

// By key, since cookies need tokens, which the snapshot's builder makes.
BOOST_AUTO_TEST_CASE(stickiness_lasts_as_long_as_it_is_used) {
  ProxyWorld world({.servers = 2, .adjust = [](config::Config& config) {
                      config::Sticky& sticky = config.pools[0].sticky;
                      sticky.mode = config::Sticky::Mode::kKey;
                      sticky.key = {config::LocalityKey::Kind::kHeader, "x-user"};
                      sticky.ttl = 10s;
                    }});
  for (uint32_t i = 0; i < 2; ++i)
    world.serve(i, [i](const SimMessage&, bool&) { return ok(std::to_string(i)); });
  const auto ask = [&](const std::string& user) {
    return answers(world.exchange(get("/", "X-User: " + user + "\r\n" + kClose)), 1)[0].body;
  };
  const std::string home = ask("ann");
  for (int i = 0; i < 5; ++i) {
    world.io().run_for(6s);
    // Two others in between, so that it would be the other server's turn.
    ask("bob" + std::to_string(i));
    ask("eve" + std::to_string(i));
    BOOST_TEST(ask("ann") == home);
  }
  world.io().run_for(11s);
  BOOST_TEST(ask("ann") != home);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
