// What clients that mean no good cannot have: time without end, more connections or requests than
// their share, a path around a rule. And what those that are merely slow still get.
#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

namespace {

const std::string kUpload = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";

// Sends `piece` each `interval`, as long as the connection lasts; how long that was.
Duration trickle(ProxyWorld& world, SimPeer& client, const std::string& piece, Duration interval,
                 Duration longest) {
  const Instant begun = world.io().now();
  while (!client.over() && world.io().now() - begun < longest) {
    client.send(piece);
    world.io().run_for(interval);
  }
  return world.io().now() - begun;
}

void on_listener(config::Config& config, void (*adjust)(config::Listener&)) {
  adjust(config.listeners[0]);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(defence)

BOOST_AUTO_TEST_CASE(a_body_that_trickles_is_refused) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send(kUpload);
  const Duration lasted = trickle(world, client, "x", 5s, 10min);
  BOOST_TEST(lasted.count() <= Duration(40s).count());
  BOOST_TEST(answers(client.take(), 1, true)[0].status() == 408);
  BOOST_TEST(world.ended(Reason::kRequestBodySlow) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_chunked_body_that_trickles_is_refused) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  trickle(world, client, "1\r\nx\r\n", 5s, 10min);
  BOOST_TEST(world.ended(Reason::kRequestBodySlow) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_body_that_is_slow_but_fast_enough_arrives) {
  ProxyWorld world({});
  std::string seen;
  world.serve_all([&](const SimMessage& message, bool&) {
    seen = message.body;
    return ok("thanks");
  });
  SimPeer& client = world.connect();
  client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    world.io().run_for(20s);  // 5,000 bytes in 20 s, where 4,800 are wanted.
    client.send(pattern(1, 100'000).substr(static_cast<size_t>(i) * 5000, 5000));
  }
  world.io().run_for(1s);
  BOOST_TEST(answers(client.take(), 1)[0].body == "thanks");
  BOOST_TEST((seen == pattern(1, 100'000)));
  world.finish();
}

BOOST_AUTO_TEST_CASE(without_a_rate_only_pauses_count) {
  ProxyWorld world({.adjust = [](config::Config& config) {
    on_listener(config, [](config::Listener& listener) {
      listener.body_rate_min = 0;
      listener.send_rate_min = 0;
    });
  }});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send(kUpload);
  const Duration lasted = trickle(world, client, "x", 20s, 10min);
  BOOST_TEST(lasted.count() >= Duration(10min).count());
  world.io().run_for(31s);
  BOOST_TEST(world.ended(Reason::kRequestBodyTimeout) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(an_answer_that_is_taken_too_slowly_is_cut) {
  ProxyWorld world({});
  world.serve_all([](const SimMessage&, bool&) { return ok(pattern(1, 400'000)); });
  SimPeer& slow = world.connect();
  slow.slow_down(100, 2s);
  slow.send(get("/", kClose));
  SimPeer& patient = world.connect();
  patient.slow_down(20'000, 10s);
  patient.send(get("/", kClose));
  BOOST_TEST(world.io().run_until([&] { return slow.over(); }, 5min));
  BOOST_TEST(slow.was_reset());
  BOOST_TEST(world.ended(Reason::kClientSendSlow) == 1u);
  BOOST_TEST(world.io().run_until([&] { return patient.over(); }, 30min));
  BOOST_TEST((answers(patient.take(), 1)[0].body == pattern(1, 400'000)));
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_request_as_a_whole_has_a_limit) {
  const auto limited = [](config::Config& config) {
    on_listener(config, [](config::Listener& listener) { listener.request_timeout = 10s; });
  };
  struct Case {
    const char* description;
    std::string answer;  // Of the server, at once.
    std::string more;    // Each second.
    int status;
  };
  const Case cases[] = {
      {"no answer", "", "", 504},
      {"an answer that does not end", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "data",
       200},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({.adjust = limited});
      SimPeer* server = nullptr;
      world.io().serve(ProxyWorld::server_address(0), [&](SimPeer& peer) {
        server = &peer;
        peer.send(each.answer);
      });
      SimPeer& client = world.connect();
      client.send(get("/", kClose));
      const Instant begun = world.io().now();
      while (!client.over() && world.io().now() - begun < 1min) {
        world.io().run_for(1s);
        if (server != nullptr && !client.over()) server->send(each.more);
      }
      BOOST_TEST((world.io().now() - begun).count() <= Duration(12s).count());
      BOOST_TEST(client.received().starts_with("HTTP/1.1 " + std::to_string(each.status)));
      BOOST_TEST(world.ended(Reason::kRequestTimeout) == 1u);
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(the_limit_of_a_request_holds_while_connecting) {
  ProxyWorld world({.adjust = [](config::Config& config) {
    config.listeners[0].request_timeout = 1s;
    config.pools[0].connect_timeout = 1min;
  }});
  world.io().black_hole(ProxyWorld::server_address(0));
  const auto got = answers(world.exchange(get("/", kClose), 5s), 1, true);
  BOOST_TEST(got[0].status() == 504);
  BOOST_TEST(world.ended(Reason::kRequestTimeout) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_request_within_its_time_does_not_limit_the_next) {
  ProxyWorld world(
      {.adjust = [](config::Config& config) { config.listeners[0].request_timeout = 5s; }});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  for (int i = 0; i < 5; ++i) {
    client.send(get("/x"));
    world.io().run_for(3s);
    BOOST_TEST(answers(client.take(), 1)[0].body == "/x");
  }
  world.finish();
}

BOOST_AUTO_TEST_CASE(names_idle_timeouts) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  world.connect();  // Says nothing.
  SimPeer& client = world.connect();
  client.send(get("/"));
  world.io().run_for(2min);
  BOOST_TEST(client.ended());
  BOOST_TEST(world.metrics().client_idle.value() == 2u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(at_the_limit_the_one_that_has_waited_longest_makes_room) {
  ProxyWorld world({.workers_connections_max = 3});
  world.serve_all(echo_path());
  SimPeer& slow_head = world.connect();
  slow_head.send("GET / HTTP/1.1\r\nHost");
  world.io().run_for(1s);
  SimPeer& silent = world.connect();
  world.io().run_for(1s);
  SimPeer& busy = world.connect();
  for (int i = 0; i < 3; ++i) {
    busy.send(get("/busy"));
    world.io().run_for(1s);
    BOOST_TEST(answers(busy.take(), 1)[0].body == "/busy");
  }
  SimPeer& first = world.connect();
  first.send(get("/first"));
  world.io().run_for(10ms);
  BOOST_TEST(slow_head.over());
  BOOST_TEST(answers(first.take(), 1)[0].body == "/first");
  SimPeer& second = world.connect();
  second.send(get("/second"));
  world.io().run_for(10ms);
  BOOST_TEST(silent.over());
  BOOST_TEST(answers(second.take(), 1)[0].body == "/second");
  BOOST_TEST(!busy.over());
  BOOST_TEST(world.metrics().client_evicted.value() == 2u);
  // The others have been heard of just now: the next one waits until that is two seconds ago.
  SimPeer& third = world.connect();
  third.send(get("/third"));
  world.io().run_for(100ms);
  BOOST_TEST(third.received() == "");
  BOOST_TEST(world.io().run_until([&] { return !third.received().empty(); }, 5s));
  BOOST_TEST(world.metrics().client_evicted.value() == 3u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_source_has_so_many_connections) {
  ProxyWorld world(
      {.adjust = [](config::Config& config) { config.listeners[0].connections_per_source = 2; }});
  world.serve_all(echo_path());
  SimPeer& one = world.connect("192.0.2.1:1001");
  SimPeer& two = world.connect("192.0.2.1:1002");
  SimPeer& three = world.connect("192.0.2.1:1003");
  SimPeer& other = world.connect("192.0.2.2:1001");
  for (SimPeer* client : {&one, &two, &three, &other}) client->send(get("/"));
  world.io().settle();
  BOOST_TEST(three.was_reset());
  for (SimPeer* client : {&one, &two, &other})
    BOOST_TEST(answers(client->take(), 1)[0].status() == 200);
  BOOST_TEST(world.metrics().source_refused.value() == 1u);
  one.close();
  world.io().settle();
  SimPeer& four = world.connect("192.0.2.1:1004");
  four.send(get("/"));
  world.io().settle();
  BOOST_TEST(answers(four.take(), 1)[0].status() == 200);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_rate_limit_answers_429) {
  ProxyWorld world({.adjust = [](config::Config& config) {
    config.rules[0].rate_limit = config::RateLimit{.interval = 1500ms, .burst = 2};
  }});
  world.serve_all(echo_path());
  SimPeer& client = world.connect("192.0.2.1:1001");
  client.send(get("/") + get("/") + get("/"));
  world.io().settle();
  const auto got = answers(client.take(), 3);
  BOOST_TEST(got[1].status() == 200);
  BOOST_TEST(got[2].status() == 429);
  BOOST_TEST(got[2].field("retry-after") == "2");
  BOOST_TEST(world.ended(Reason::kRateLimited) == 1u);
  SimPeer& other = world.connect("192.0.2.2:1001");
  other.send(get("/"));
  world.io().run_for(1600ms);
  BOOST_TEST(answers(other.take(), 1)[0].status() == 200);
  client.send(get("/"));
  world.io().settle();
  BOOST_TEST(answers(client.take(), 1)[0].status() == 200);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_rate_limit_by_header_counts_those_that_have_it) {
  ProxyWorld world({.adjust = [](config::Config& config) {
    config.listeners[0].rate_limit = config::RateLimit{
        .key = {config::LocalityKey::Kind::kHeader, "x-key"}, .interval = 1min, .burst = 1};
  }});
  world.serve_all(echo_path());
  const auto ask = [&](std::string_view fields) {
    SimPeer& client = world.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
    world.io().settle();
    return answers(client.take(), 1)[0].status();
  };
  BOOST_TEST(ask("X-Key: a\r\n") == 200);
  BOOST_TEST(ask("X-Key: a\r\n") == 429);
  BOOST_TEST(ask("X-Key: b\r\n") == 200);
  BOOST_TEST(ask("") == 200);
  BOOST_TEST(ask("") == 200);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_rule_cannot_be_walked_around) {
  ProxyWorld world({.adjust = [](config::Config& config) {
    config::Rule blocked;
    blocked.name = "blocked";
    blocked.match.path_prefix = {"/admin"};
    blocked.respond = config::Respond{.status = 403, .body = {}};
    config.rules.insert(config.rules.begin(), blocked);
  }});
  world.serve_all(echo_path());
  const std::pair<const char*, int> cases[] = {
      {"/admin", 403},   {"//admin", 403},          {"/%61dmin", 403},     {"/x/../admin", 403},
      {"/x;/../a", 200}, {"/x%2f..%2fadmin", 400},  {"/x/..;/admin", 400}, {"/%2561dmin", 400},
      {"/a%00", 400},    {"/group%2Fproject", 200}, {"/fine", 200},
  };
  for (const auto& [path, status] : cases) {
    SimPeer& client = world.connect();
    client.send(get(path, kClose));
    world.io().settle();
    const auto got = answers(client.take(), 1, true);
    BOOST_TEST(got[0].status() == status, path);
    if (status == 200) BOOST_TEST(got[0].body == path);  // The server sees it as it was.
  }
  BOOST_TEST(world.ended(Reason::kAmbiguousPath) == 4u);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
