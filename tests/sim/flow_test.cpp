// Load and failures: waiting for a server with room, retries by class and their budget, servers
// that are left out and come back.
#include <deque>

#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

namespace {

WorldOptions world_with(uint32_t servers, std::function<void(config::Pool&)> adjust) {
  WorldOptions options;
  options.servers = servers;
  options.adjust = [adjust](config::Config& config) { adjust(config.pools[0]); };
  return options;
}

// Servers that answer when they are told to.
struct SlowFarm {
  explicit SlowFarm(ProxyWorld& world, uint32_t servers) {
    for (uint32_t i = 0; i < servers; ++i) {
      world.io().serve(ProxyWorld::server_address(i), [this](SimPeer& peer) {
        peer.on_event = [this](SimPeer& origin) {
          std::string bytes = origin.take();
          SimMessage request;
          while (read_message(bytes, "", false, request) == ReadResult::kMessage) {
            waiting.push_back({&origin, request.path()});
            most = std::max(most, ++now);
          }
        };
      });
    }
  }

  // Answers the request that came first; its path.
  std::string answer() {
    BOOST_REQUIRE(!waiting.empty());
    const auto [origin, path] = waiting.front();
    waiting.pop_front();
    --now;
    origin->send(ok(path));
    return path;
  }

  std::deque<std::pair<SimPeer*, std::string>> waiting;
  size_t now = 0;
  size_t most = 0;
};

std::string body_of(SimPeer& client) {
  std::vector<SimMessage> got = answers(client.take(), 1);
  return got[0].body;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(flow)

BOOST_AUTO_TEST_CASE(requests_wait_for_a_server_with_room_in_their_order) {
  ProxyWorld world(world_with(2, [](config::Pool& pool) {
    for (config::Server& server : pool.servers) server.max_connections = 1;
  }));
  SlowFarm farm(world, 2);
  std::vector<SimPeer*> clients;
  for (int i = 0; i < 7; ++i) {
    clients.push_back(&world.connect());
    clients.back()->send(get("/" + std::to_string(i)));
    world.io().run_for(1ms);
  }
  BOOST_TEST(farm.most == 2u);
  BOOST_TEST(world.metrics().queued.value() == 5u);
  BOOST_TEST(world.metrics().queued_now.value() == 5u);
  for (int i = 0; i < 7; ++i) {
    const std::string path = "/" + std::to_string(i);
    BOOST_TEST(farm.answer() == path);
    world.io().run_for(1ms);
    BOOST_TEST(body_of(*clients[static_cast<size_t>(i)]) == path);
  }
  BOOST_TEST(farm.most == 2u);
  BOOST_TEST(world.metrics().queued_now.value() == 0u);
  // Each of the two connections has served its share: the next request finds it kept.
  BOOST_TEST(world.metrics().upstream_connects.value() == 2u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(who_comes_later_does_not_overtake) {
  ProxyWorld world(world_with(1, [](config::Pool& pool) { pool.servers[0].max_connections = 1; }));
  SlowFarm farm(world, 1);
  SimPeer& first = world.connect();
  first.send(get("/first") + get("/again"));
  world.io().run_for(1ms);
  SimPeer& second = world.connect();
  second.send(get("/second"));
  world.io().run_for(1ms);
  for (const char* path : {"/first", "/second", "/again"}) {
    BOOST_TEST(farm.answer() == path);
    world.io().run_for(1ms);
  }
  world.finish();
}

BOOST_AUTO_TEST_CASE(priority_goes_first) {
  WorldOptions options =
      world_with(1, [](config::Pool& pool) { pool.servers[0].max_connections = 1; });
  const auto base = options.adjust;
  options.adjust = [base](config::Config& config) {
    base(config);
    config::Rule batch = config.rules[0];
    batch.name = "batch";
    batch.priority = 7;
    batch.match.path_prefix = {"/batch"};
    config.rules.insert(config.rules.begin(), batch);
  };
  ProxyWorld world(options);
  SlowFarm farm(world, 1);
  for (const char* path : {"/0", "/batch1", "/1", "/batch2", "/2"}) {
    world.connect().send(get(path));
    world.io().run_for(1ms);
  }
  for (const char* path : {"/0", "/1", "/2", "/batch1", "/batch2"}) {
    BOOST_TEST(farm.answer() == path);
    world.io().run_for(1ms);
  }
  world.finish();
}

BOOST_AUTO_TEST_CASE(the_queue_has_an_end_and_a_deadline) {
  ProxyWorld world(world_with(1, [](config::Pool& pool) {
    pool.servers[0].max_connections = 1;
    pool.queue.size = 1;
    pool.queue.timeout = 3s;
  }));
  SlowFarm farm(world, 1);
  SimPeer& served = world.connect();
  served.send(get("/served"));
  world.io().run_for(1ms);
  SimPeer& waits = world.connect();
  waits.send(get("/waits"));
  world.io().run_for(1ms);
  SimPeer& too_many = world.connect();
  too_many.send(get("/too-many"));
  world.io().run_for(1ms);
  const std::vector<SimMessage> refused = answers(too_many.take(), 1);
  BOOST_TEST(refused[0].status() == 503);
  BOOST_TEST(refused[0].field("retry-after") == "1");
  BOOST_TEST(world.ended(Reason::kQueueFull) == 1u);
  BOOST_TEST(world.metrics().queued_now.value() == 1u);
  world.io().run_for(2900ms);
  BOOST_TEST(world.ended(Reason::kQueueTimeout) == 0u);
  world.io().run_for(200ms);
  const std::vector<SimMessage> late = answers(waits.take(), 1);
  BOOST_TEST(late[0].status() == 503);
  BOOST_TEST(late[0].field("retry-after") == "1");
  BOOST_TEST(world.ended(Reason::kQueueTimeout) == 1u);
  // Both connections go on.
  waits.send(get("/again"));
  world.io().run_for(1ms);
  farm.answer();
  world.io().run_for(1ms);
  farm.answer();
  world.io().run_for(1ms);
  BOOST_TEST(body_of(waits) == "/again");
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_client_that_gives_up_leaves_the_queue) {
  ProxyWorld world(world_with(1, [](config::Pool& pool) { pool.servers[0].max_connections = 1; }));
  SlowFarm farm(world, 1);
  world.connect().send(get("/served"));
  world.io().run_for(1ms);
  SimPeer& gives_up = world.connect();
  gives_up.send(get("/gone"));
  world.io().run_for(1ms);
  world.connect().send(get("/stays"));
  world.io().run_for(1ms);
  gives_up.reset();
  world.io().run_for(1ms);
  BOOST_TEST(world.metrics().queued_now.value() == 1u);
  BOOST_TEST(world.ended(Reason::kClientReset) == 1u);
  for (const char* path : {"/served", "/stays"}) {
    BOOST_TEST(farm.answer() == path);
    world.io().run_for(1ms);
  }
  BOOST_TEST(farm.waiting.empty());
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_standing_queue_is_shed) {
  ProxyWorld world(world_with(1, [](config::Pool& pool) {
    pool.servers[0].max_connections = 1;
    pool.queue.target = 10ms;
    pool.queue.interval = 100ms;
    pool.queue.timeout = 1h;
  }));
  SlowFarm farm(world, 1);
  for (int i = 0; i < 100; ++i) world.connect().send(get("/" + std::to_string(i)));
  size_t served = 0;
  while (world.io().run_for(20ms), !farm.waiting.empty()) {
    farm.answer();
    ++served;
  }
  BOOST_TEST(world.ended(Reason::kQueueShed) + served == 100u);
  BOOST_TEST(world.ended(Reason::kQueueShed) > 10u);
  BOOST_TEST(world.ended(Reason::kDone) == served);
  world.finish();
}

BOOST_AUTO_TEST_CASE(a_reload_that_makes_room_serves_who_waits) {
  ProxyWorld world(world_with(1, [](config::Pool& pool) { pool.servers[0].max_connections = 1; }));
  SlowFarm farm(world, 1);
  for (const char* path : {"/0", "/1"}) {
    world.connect().send(get(path));
    world.io().run_for(1ms);
  }
  BOOST_TEST(farm.waiting.size() == 1u);
  sched::ServerSpec spec = world.servers().servers()[0]->spec;
  spec.capacity = 2;
  BOOST_REQUIRE(world.servers().reconcile(std::vector{spec}, "rr", {}).has_value());
  world.io().run_for(100ms);
  BOOST_TEST(farm.waiting.size() == 2u);
  world.finish();
}

// --- Retries ---

BOOST_AUTO_TEST_CASE(retries_by_class) {
  struct Case {
    const char* description;
    std::function<void(config::RetryOn&)> on;
    std::function<void(SimPeer&)> script;  // Of the server that is tried first.
    const char* method;
    bool retried;
  };
  const auto closes = [](SimPeer& peer) { peer.close(); };
  const auto silent = [](SimPeer&) {};
  const auto answers_503 = [](SimPeer& peer) {
    peer.send("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
  };
  const auto truncates = [](SimPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    peer.close();
  };
  const auto stops_half_way = [](SimPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  };
  const auto garbage = [](SimPeer& peer) { peer.send("SSH-2.0-x\r\n\r\n"); };
  const auto reset = [](config::RetryOn& on) { on.reset = true; };
  const auto timeout = [](config::RetryOn& on) { on.timeout = true; };
  const auto truncated = [](config::RetryOn& on) { on.truncated = true; };
  const auto truncated_and_timeout = [](config::RetryOn& on) { on.truncated = on.timeout = true; };
  const auto invalid = [](config::RetryOn& on) { on.invalid = true; };
  const auto on_503 = [](config::RetryOn& on) { on.statuses = {503}; };
  const auto on_502 = [](config::RetryOn& on) { on.statuses = {502}; };
  const auto nothing = [](config::RetryOn&) {};
  const Case cases[] = {
      {"closed", reset, closes, "GET", true},
      {"closed, not wanted", timeout, closes, "GET", false},
      {"closed, by default", nothing, closes, "GET", false},
      {"closed, not idempotent", reset, closes, "POST", false},
      {"silent", timeout, silent, "GET", true},
      {"silent, not wanted", reset, silent, "GET", false},
      {"truncated", truncated, truncates, "GET", true},
      {"truncated, not idempotent", truncated, truncates, "POST", false},
      {"stops half way", truncated_and_timeout, stops_half_way, "GET", true},
      {"garbage", invalid, garbage, "PUT", true},
      {"garbage, by default", nothing, garbage, "PUT", false},
      {"503", on_503, answers_503, "GET", true},
      {"503 for 502", on_502, answers_503, "GET", false},
      {"503, not idempotent", on_503, answers_503, "POST", false},
  };
  for (const Case& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      ProxyWorld world(world_with(2, [&test](config::Pool& pool) { test.on(pool.retry_on); }));
      world.serve(0, echo_path());
      int asked = 0;
      world.io().serve(ProxyWorld::server_address(1), [&](SimPeer& peer) {
        peer.on_event = [&](SimPeer& origin) {
          if (!origin.received().ends_with("\r\n\r\nbody")) return;
          origin.take();
          ++asked;
          test.script(origin);
        };
      });
      const std::string request = std::string(test.method) +
                                  " /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                                  "Connection: close\r\n\r\nbody";
      const std::string got = world.exchange(request);
      BOOST_TEST(asked == 1);
      BOOST_TEST(world.metrics().retries.value() == (test.retried ? 1u : 0u));
      BOOST_TEST((got.find("\r\n\r\n/x") != std::string::npos) == test.retried, got);
      world.finish();
    }
  }
}

// The answer that says "try another" goes to the client when there is no other.
BOOST_AUTO_TEST_CASE(the_last_answer_counts) {
  ProxyWorld world(world_with(2, [](config::Pool& pool) { pool.retry_on.statuses = {503}; }));
  world.serve_all([](const SimMessage&, bool&) {
    return std::string("HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\nbusy!\n");
  });
  const std::vector<SimMessage> got = answers(world.exchange(get("/", kClose)), 1);
  BOOST_TEST(got[0].status() == 503);
  BOOST_TEST(got[0].body == "busy!\n");
  BOOST_TEST(world.metrics().retries.value() == 1u);
  // The first answer was read to its end: its connection is as good as before.
  BOOST_TEST(world.metrics().upstream_idle.value() == 2u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(the_budget_bounds_retries_but_not_those_of_failed_connects) {
  for (const bool refuse : {false, true}) {
    ProxyWorld world(world_with(2, [](config::Pool& pool) {
      pool.retry_on.reset = true;
      pool.retry_budget = {.share = 0.25, .floor = 1};
    }));
    SlowFarm farm(world, 1);
    if (refuse) {
      world.io().refuse(ProxyWorld::server_address(1));
    } else {
      world.io().serve(ProxyWorld::server_address(1), [](SimPeer& peer) {
        peer.on_event = [](SimPeer& origin) {
          if (origin.received().ends_with("\r\n\r\n")) origin.reset();
        };
      });
    }
    std::vector<SimPeer*> clients;
    for (int i = 0; i < 16; ++i) {
      clients.push_back(&world.connect());
      clients.back()->send(get("/"));
      world.io().run_for(1ms);
    }
    // Server 0 keeps all that reach it, so those in flight are those that it has.
    const size_t failed = world.ended(Reason::kServerReset);
    BOOST_TEST(farm.waiting.size() + failed == 16u);
    if (refuse) {
      BOOST_TEST(failed == 0u);
      BOOST_TEST(world.metrics().retries_denied.value() == 0u);
    } else {
      BOOST_TEST(failed >= 4u);
      BOOST_TEST(failed <= 7u);
      BOOST_TEST(world.metrics().retries_denied.value() == failed);
    }
    world.finish();
  }
}

// --- Servers that are left out ---

BOOST_AUTO_TEST_CASE(a_failing_server_is_left_out_and_tried_again) {
  ProxyWorld world(world_with(2, [](config::Pool& pool) {
    pool.ejection = {.failures = 3, .time = 10s, .time_max = 1min, .max_share = 0.5};
    pool.retry_on.reset = true;
  }));
  world.serve(0, echo_path());
  bool healthy = false;
  int asked = 0;
  world.serve(1, [&](const SimMessage& request, bool& close) {
    ++asked;
    close = !healthy;
    return healthy ? ok(request.path()) : std::string();
  });
  const auto ask = [&](int count) {
    for (int i = 0; i < count; ++i)
      BOOST_TEST(answers(world.exchange(get("/", kClose)), 1)[0].status() == 200);
  };
  ask(20);
  BOOST_TEST(asked == 3);
  BOOST_TEST(world.metrics().ejections.value() == 1u);
  world.io().run_for(10s);
  ask(20);
  BOOST_TEST(asked == 4);  // One tries it out, and it is left out for twice as long.
  healthy = true;
  world.io().run_for(11s);
  ask(20);
  BOOST_TEST(asked == 4);
  world.io().run_for(10s);
  ask(20);
  BOOST_TEST(asked == 14);
  BOOST_TEST(world.metrics().ejections.value() == 2u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(gateway_errors_and_truncated_answers_count_and_other_errors_do_not) {
  const struct {
    const char* answer;
    bool close;
    bool ejects;
  } cases[] = {
      {"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", false, true},
      {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", false, true},
      {"HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n", false, true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true, true},
      {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false, false},
      {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false, false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, false},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.answer) {
      ProxyWorld world(world_with(2, [](config::Pool& pool) { pool.ejection.failures = 3; }));
      world.serve(0, echo_path());
      world.serve(1, [&test](const SimMessage&, bool& close) {
        close = test.close;
        return std::string(test.answer);
      });
      for (int i = 0; i < 12; ++i) world.exchange(get("/", kClose));
      BOOST_TEST(world.metrics().ejections.value() == (test.ejects ? 1u : 0u));
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(a_breaker_sends_nothing_to_a_busy_server_for_a_while) {
  ProxyWorld world(world_with(
      2, [](config::Pool& pool) { pool.servers[1].breaker = {.requests = 2, .time = 5s}; }));
  SlowFarm farm(world, 2);
  for (int i = 0; i < 20; ++i) {
    world.connect().send(get("/"));
    world.io().run_for(1ms);
  }
  const auto servers = world.servers().servers();
  BOOST_TEST(servers[0]->active.load() == 2u);  // The newest in front.
  BOOST_TEST(servers[1]->active.load() == 18u);
  while (!farm.waiting.empty()) farm.answer();
  world.io().run_for(6s);
  for (int i = 0; i < 6; ++i) {
    world.connect().send(get("/"));
    world.io().run_for(1ms);
  }
  BOOST_TEST(servers[0]->active.load() == 1u);  // The probe.
  while (!farm.waiting.empty()) farm.answer();
  world.io().run_for(1ms);
  world.connect().send(get("/"));
  world.connect().send(get("/"));
  world.io().run_for(1ms);
  BOOST_TEST(servers[0]->active.load() == 1u);
  BOOST_TEST(servers[1]->active.load() == 1u);
  world.finish();
}

// --- Hedging ---

WorldOptions hedging(double budget = 1) {
  return world_with(2, [budget](config::Pool& pool) {
    pool.hedge = {.percentile = 90, .delay_min = 20ms};
    pool.retry_budget = {.share = budget, .floor = 0};
  });
}

// Server 1 answers while `silent` says no; both have made enough requests before.
void warm_up(ProxyWorld& world) {
  for (int i = 0; i < 120; ++i)
    BOOST_REQUIRE(answers(world.exchange(get("/", kClose)), 1)[0].status() == 200);
  BOOST_REQUIRE(world.metrics().hedges.value() == 0u);
}

BOOST_AUTO_TEST_CASE(a_request_that_takes_long_is_sent_to_a_second_server) {
  for (const char* method : {"GET", "HEAD", "POST", "PUT"}) {
    BOOST_TEST_CONTEXT(method) {
      ProxyWorld world(hedging());
      bool silent = false;
      int asked = 0;
      world.serve(0, echo_path());
      world.serve(1, [&](const SimMessage& request, bool&) {
        ++asked;
        return silent ? std::string() : ok(request.path());
      });
      warm_up(world);
      silent = true;
      asked = 0;
      const bool body = std::string_view(method) == "PUT";
      const bool hedged = std::string_view(method) == "GET" || std::string_view(method) == "HEAD";
      SimPeer& client = world.connect();  // It is the silent server's turn.
      client.send(std::string(method) + " /x HTTP/1.1\r\nHost: a\r\n" +
                  (body ? "Content-Length: 1\r\n\r\nb" : "\r\n"));
      world.io().run_for(1s);
      if (hedged) BOOST_TEST(answers(client.take(), 1, false, method)[0].status() == 200);
      BOOST_TEST(asked == 1);
      BOOST_TEST(world.metrics().hedges.value() == (hedged ? 1u : 0u));
      BOOST_TEST(world.metrics().hedges_won.value() == (hedged ? 1u : 0u));
      BOOST_TEST(world.metrics().retries.value() == 0u);
      // The loser is gone; it counts on no server any more.
      for (const sched::Server* server : world.servers().servers())
        BOOST_TEST(server->active.load() == (hedged || server->spec.name == "s0" ? 0u : 1u));
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(the_first_answer_wins_and_the_second_request_goes) {
  ProxyWorld world(hedging());
  SimPeer* slow = nullptr;
  bool hold = false;
  world.serve_all(echo_path());
  for (uint32_t i = 0; i < 2; ++i) {
    world.io().serve(ProxyWorld::server_address(i), [&](SimPeer& peer) {
      peer.on_event = [&](SimPeer& origin) {
        if (!origin.received().ends_with("\r\n\r\n")) return;
        origin.take();
        if (!hold) return origin.send(ok("quick"));
        if (slow == nullptr) slow = &origin;
      };
    });
  }
  warm_up(world);
  hold = true;
  SimPeer& client = world.connect();
  client.send(get("/"));
  world.io().run_for(100ms);
  BOOST_TEST(world.metrics().hedges.value() == 1u);
  BOOST_REQUIRE(slow != nullptr);
  slow->send(ok("slow"));
  world.io().run_for(1ms);
  BOOST_TEST(answers(client.take(), 1)[0].body == "slow");
  BOOST_TEST(world.metrics().hedges_won.value() == 0u);
  for (const sched::Server* server : world.servers().servers())
    BOOST_TEST(server->active.load() == 0u);
  world.finish();
}

// A request that two servers have and neither has answered.
struct HedgedRequest {
  HedgedRequest() {
    for (uint32_t i = 0; i < 2; ++i) {
      world.io().serve(ProxyWorld::server_address(i), [&](SimPeer& peer) {
        peer.on_event = [&](SimPeer& origin) {
          if (!origin.received().ends_with("\r\n\r\n")) return;
          origin.take();
          if (!hold) return origin.send(ok("quick"));
          held.push_back(&origin);
        };
      });
    }
    warm_up(world);
    hold = true;
    client = &world.connect();
    client->send(get("/"));
    world.io().run_for(100ms);
    BOOST_REQUIRE(held.size() == 2u);
  }

  std::vector<SimPeer*> held;  // First the server that was asked first.
  bool hold = false;
  ProxyWorld world{hedging()};  // Goes before what its servers write to.
  SimPeer* client = nullptr;
};

BOOST_AUTO_TEST_CASE(when_the_first_fails_the_second_goes_on) {
  HedgedRequest request;
  ProxyWorld& world = request.world;
  request.held[0]->reset();
  world.io().run_for(1ms);
  BOOST_TEST(request.client->received().empty());
  request.held[1]->send(ok("second"));
  world.io().run_for(1ms);
  BOOST_TEST(answers(request.client->take(), 1)[0].body == "second");
  BOOST_TEST(world.ended(Reason::kDone) == 121u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(when_the_second_fails_the_first_goes_on) {
  HedgedRequest request;
  ProxyWorld& world = request.world;
  request.held[1]->reset();
  world.io().run_for(100ms);
  request.held[0]->send(ok("first"));
  world.io().run_for(1ms);
  BOOST_TEST(answers(request.client->take(), 1)[0].body == "first");
  BOOST_TEST(world.metrics().hedges.value() == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(no_second_request_without_budget) {
  ProxyWorld world(hedging(0));
  bool silent = false;
  world.serve(0, echo_path());
  world.serve(1, [&](const SimMessage& request, bool&) {
    return silent ? std::string() : ok(request.path());
  });
  warm_up(world);
  silent = true;
  world.connect().send(get("/"));
  world.io().run_for(1s);
  BOOST_TEST(world.metrics().hedges.value() == 0u);
  BOOST_TEST(world.metrics().retries_denied.value() == 1u);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
