// Sessions and exchanges, one behaviour at a time, in a calm simulation: what the client gets, what
// the server saw, how the exchange ended.
#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(session)

BOOST_AUTO_TEST_CASE(keeps_the_connection_between_requests) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  for (const char* path : {"/one", "/two", "/three"}) {
    client.send(get(path));
    world.io().settle();
    BOOST_TEST(answers(client.take(), 1)[0].body == path);
  }
  BOOST_TEST(!client.over());
  BOOST_TEST(world.metrics().upstream_connects.value() == 1u);
  BOOST_TEST(world.metrics().upstream_reuses.value() == 2u);
  BOOST_TEST(world.ended(Reason::kDone) == 3u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(answers_pipelined_requests_in_order) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  std::string all;
  for (int i = 0; i < 50; ++i) all += get("/" + std::to_string(i));
  SimPeer& client = world.connect();
  client.send(all);
  world.io().settle();
  const auto got = answers(client.take(), 50);
  for (int i = 0; i < 50; ++i)
    BOOST_TEST(got[static_cast<size_t>(i)].body == "/" + std::to_string(i));
  world.finish();
}

BOOST_AUTO_TEST_CASE(closes_when_asked_to) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  const auto got = answers(world.exchange(get("/x", kClose)), 1);
  BOOST_TEST(got[0].field("connection") == "close");
  const auto old = answers(world.exchange("GET /y HTTP/1.0\r\n\r\n"), 1);
  BOOST_TEST(old[0].body == "/y");
  world.finish();
}

BOOST_AUTO_TEST_CASE(passes_bodies_in_every_framing) {
  struct Case {
    const char* description;
    std::string answer;
    bool origin_closes;
    std::string request;
    bool chunked_out;
  };
  const std::string body = pattern(7, 100'000);
  const std::string head = "HTTP/1.1 200 OK\r\n";
  const std::string length = head + "Content-Length: 100000\r\n\r\n" + body;
  const std::string in_chunks = head + "Transfer-Encoding: chunked\r\n\r\n";
  const Case cases[] = {
      {"length", length, false, get("/", kClose), false},
      {"length to HTTP/1.0", length, false, "GET / HTTP/1.0\r\n\r\n", false},
      {"large chunks", in_chunks + chunked(body, 30'000), false, get("/", kClose), true},
      {"tiny chunks", in_chunks + chunked(body, 3), false, get("/", kClose), true},
      {"trailers", in_chunks + chunked(body, 999, "X-Sum: 1\r\n"), false, get("/", kClose), true},
      {"chunks to HTTP/1.0", in_chunks + chunked(body, 5'000), false, "GET / HTTP/1.0\r\n\r\n",
       false},
      {"until close", head + "\r\n" + body, true, get("/", kClose), true},
      {"until close to HTTP/1.0", head + "\r\n" + body, true, "GET / HTTP/1.0\r\n\r\n", false},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({});
      world.serve_all([&](const SimMessage&, bool& close) {
        close = each.origin_closes;
        return each.answer;
      });
      const auto got = answers(world.exchange(each.request), 1, true);
      BOOST_TEST((got[0].body == body));
      BOOST_TEST(got[0].chunked == each.chunked_out);
      BOOST_TEST(world.ended(Reason::kDone) == 1u);
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(passes_request_bodies) {
  const std::string body = pattern(3, 300'000);
  const std::string start = "POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
  const std::pair<const char*, std::string> cases[] = {
      {"length", start + "Content-Length: 300000\r\n\r\n" + body},
      {"chunked", start + "Transfer-Encoding: chunked\r\n\r\n" + chunked(body, 7'000)},
      {"tiny chunks", start + "Transfer-Encoding: chunked\r\n\r\n" + chunked(body, 2)},
  };
  for (const auto& [description, request] : cases) {
    BOOST_TEST_CONTEXT(description) {
      ProxyWorld world({});
      std::string seen;
      world.serve_all([&](const SimMessage& message, bool&) {
        seen = message.body;
        return ok("thanks");
      });
      BOOST_TEST(answers(world.exchange(request), 1)[0].body == "thanks");
      BOOST_TEST((seen == body));
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(keeps_what_is_pipelined_behind_a_chunked_body) {
  ProxyWorld world({});
  world.serve_all(
      [](const SimMessage& request, bool&) { return ok(request.path() + " " + request.body); });
  SimPeer& client = world.connect();
  client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
              chunked("hello", 2) + get("/b"));
  world.io().settle();
  const auto got = answers(client.take(), 2);
  BOOST_TEST(got[0].body == "/a hello");
  BOOST_TEST(got[1].body == "/b ");
  world.finish();
}

BOOST_AUTO_TEST_CASE(has_no_body_where_there_is_none) {
  struct Case {
    const char* description;
    std::string method, answer;
    int status;
  };
  const Case cases[] = {
      {"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200},
      {"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204},
      {"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({});
      world.serve_all([&](const SimMessage&, bool&) { return each.answer; });
      SimPeer& client = world.connect();
      const std::string request = each.method + " / HTTP/1.1\r\nHost: a\r\n\r\n";
      client.send(request + request);
      world.io().settle();
      const auto got = answers(client.take(), 2, false, each.method);
      BOOST_TEST(got[1].status() == each.status);
      BOOST_TEST(!client.over());
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(passes_interim_answers_on) {
  ProxyWorld world({});
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer& peer) {
    peer.on_event = [](SimPeer& origin) {
      if (origin.received().ends_with("\r\n\r\n")) origin.send("HTTP/1.1 100 Continue\r\n\r\n");
      if (origin.received().ends_with("body"))
        origin.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok("done"));
    };
  });
  SimPeer& client = world.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  world.io().settle();
  BOOST_TEST(answers(client.take(), 1)[0].status() == 100);
  client.send("body");
  world.io().settle();
  const auto got = answers(client.take(), 2);
  BOOST_TEST(got[0].status() == 103);
  BOOST_TEST(got[1].body == "done");
  world.finish();
}

BOOST_AUTO_TEST_CASE(times_clients_out) {
  struct Case {
    const char* description;
    std::string sends;
    int status;  // 0: closed without a word.
    Reason reason;
  };
  const Case cases[] = {
      {"says nothing", "", 0, Reason::kDone},
      {"half a head", "GET / HT", 408, Reason::kRequestHeaderTimeout},
      {"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 408,
       Reason::kRequestBodyTimeout},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({});
      world.serve_all(echo_path());
      const std::string got = world.exchange(each.sends);
      if (each.status == 0) {
        BOOST_TEST(got == "");
      } else {
        BOOST_TEST(answers(got, 1)[0].status() == each.status);
        BOOST_TEST(world.ended(each.reason) == 1u);
      }
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(times_an_idle_client_out_without_a_word) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send(get("/"));
  world.io().settle();
  client.take();
  world.io().run_for(59s);
  BOOST_TEST(!client.over());
  world.io().run_for(2s);
  BOOST_TEST(client.ended());
  BOOST_TEST(client.received() == "");
  world.finish();
}

BOOST_AUTO_TEST_CASE(waits_for_a_client_that_reads_slowly_but_not_for_one_that_stops) {
  ProxyWorld world({});
  world.serve_all([](const SimMessage&, bool&) { return ok(pattern(1, 400'000)); });
  SimPeer& slow = world.connect();
  slow.slow_down(20'000, 5s);
  slow.send(get("/", kClose));
  SimPeer& stuck = world.connect();
  stuck.pause();
  stuck.send(get("/", kClose));
  world.io().run_for(20s);
  // What the proxy holds for both together is bounded, however much there is to send.
  BOOST_TEST(world.ended(Reason::kClientSendTimeout) == 0u);
  BOOST_TEST(world.io().run_until([&] { return slow.over(); }));
  BOOST_TEST((answers(slow.take(), 1)[0].body == pattern(1, 400'000)));
  BOOST_TEST(world.ended(Reason::kClientSendTimeout) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(gives_an_answer_to_a_client_that_closed_its_direction) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send(get("/half"));
  client.finish();
  BOOST_TEST(world.io().run_until([&] { return client.over(); }));
  BOOST_TEST(answers(client.take(), 1)[0].body == "/half");
  world.finish();
}

BOOST_AUTO_TEST_CASE(gives_up_when_the_client_resets) {
  ProxyWorld world({});
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer&) {});
  SimPeer& client = world.connect();
  client.send(get("/"));
  world.io().settle();
  client.reset();
  world.io().settle();
  BOOST_TEST(world.ended(Reason::kClientReset) == 1u);
  BOOST_TEST(world.service().connections() == 0u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(gives_up_when_an_upload_breaks_off) {
  ProxyWorld world({});
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer&) {});
  SimPeer& client = world.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome");
  client.finish();
  world.io().settle();
  BOOST_TEST(client.over());
  BOOST_TEST(world.ended(Reason::kClientClosed) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(answers_early_when_the_server_does) {
  ProxyWorld world({});
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer& peer) {
    peer.on_event = [answered = false](SimPeer& origin) mutable {
      if (!answered) origin.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
      answered = true;
    };
  });
  SimPeer& client = world.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" +
              pattern(1, 50'000));
  BOOST_TEST(world.io().run_until([&] { return client.ended(); }));
  const auto got = answers(client.take(), 1);
  BOOST_TEST(got[0].status() == 413);
  BOOST_TEST(got[0].field("connection") == "close");
  client.close();
  world.io().settle();
  world.finish();
}

BOOST_AUTO_TEST_CASE(refuses_what_is_malformed_and_closes) {
  const std::pair<std::string, int> cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", 400},  // No Host.
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
       "chunked\r\n\r\n0\r\n\r\n",
       400},
      {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40000, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       400},  // Seen only in the body.
  };
  for (const auto& [request, status] : cases) {
    BOOST_TEST_CONTEXT(request.substr(0, 80)) {
      ProxyWorld world({});
      world.serve_all(echo_path());
      SimPeer& client = world.connect();
      client.send(request + get("/smuggled"));
      BOOST_TEST(world.io().run_until([&] { return client.over(); }));
      BOOST_TEST(answers(client.take(), 1)[0].status() == status);
      client.close();
      world.io().settle();
      BOOST_TEST(world.ended(Reason::kBadRequest) == 1u);
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(drains) {
  ProxyWorld world({});
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer&) {});
  SimPeer& idle = world.connect();
  SimPeer& busy = world.connect();
  busy.send(get("/"));
  world.io().settle();
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer&) {});
  world.service().drain();
  world.io().settle();
  BOOST_TEST(idle.ended());
  BOOST_TEST(!busy.over());
  BOOST_TEST(!world.service().idle());
  BOOST_TEST(world.io().run_until([&] { return busy.over(); }));
  BOOST_TEST(answers(busy.take(), 1)[0].field("connection") == "close");
  idle.close();
  busy.close();
  world.io().settle();
  BOOST_TEST(world.service().idle());
  world.finish();
}

BOOST_AUTO_TEST_CASE(pauses_accepting_when_descriptors_run_out) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  world.io().fail_accept(EMFILE, 1);
  SimPeer& client = world.connect();
  client.send(get("/later", kClose));
  BOOST_TEST(world.io().run_until([&] { return client.over(); }, 10s));
  BOOST_TEST(answers(client.take(), 1)[0].body == "/later");
  BOOST_TEST(world.metrics().accept_paused.value() == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(lets_no_more_in_than_its_limit) {
  ProxyWorld world({.workers_connections_max = 2});
  world.serve_all(echo_path());
  SimPeer& first = world.connect();
  world.connect();
  SimPeer& third = world.connect();
  third.send(get("/third", kClose));
  world.io().run_for(1s);
  BOOST_TEST(third.received() == "");
  first.close();
  BOOST_TEST(world.io().run_until([&] { return third.over(); }, 10s));
  BOOST_TEST(answers(third.take(), 1)[0].body == "/third");
  world.finish();
}

BOOST_AUTO_TEST_CASE(answers_by_rule_without_a_server) {
  WorldOptions options;
  options.adjust = [](config::Config& config) {
    config::Rule moved;
    moved.name = "moved";
    moved.match.path = {"/old"};
    moved.redirect = config::Redirect{"/new", 301};
    config::Rule blocked;
    blocked.name = "blocked";
    blocked.match.path_prefix = {"/no"};
    blocked.respond = config::Respond{403, "no\n", "text/plain"};
    config::Rule rest = config.rules[0];
    rest.match.path = {"/yes"};
    config.rules = {moved, blocked, rest};
  };
  ProxyWorld world(options);
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send(get("/old") + get("/no/entry") + get("/else") + get("/yes"));
  world.io().settle();
  const auto got = answers(client.take(), 4);
  BOOST_TEST(got[0].status() == 301);
  BOOST_TEST(got[0].field("location") == "/new");
  BOOST_TEST(got[1].body == "no\n");
  BOOST_TEST(got[2].status() == 404);
  BOOST_TEST(got[3].body == "/yes");
  BOOST_TEST(world.ended(Reason::kLocal) == 2u);
  BOOST_TEST(world.ended(Reason::kNoRule) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(survives_thousands_of_pipelined_local_answers) {
  WorldOptions options;
  options.adjust = [](config::Config& config) {
    config.rules[0].pool = config::kNone;
    config.rules[0].respond = config::Respond{};
  };
  ProxyWorld world(options);
  SimPeer& client = world.connect();
  std::string all;
  for (int i = 0; i < 5000; ++i) all += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(all);
  world.io().settle();
  BOOST_TEST(world.ended(Reason::kLocal) == 5000u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(keeps_the_limits_a_head_began_with) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  SimPeer& client = world.connect();
  client.send("GET /x HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'a'));
  world.io().settle();
  world.reload([](config::Config& config) { config.listeners[0].header_max = 8 * 1024; });
  client.send("\r\nConnection: close\r\n\r\n");
  BOOST_TEST(world.io().run_until([&] { return client.over(); }));
  BOOST_TEST(answers(client.take(), 1)[0].body == "/x");
  client.close();
  world.io().settle();
  world.finish();
}

BOOST_AUTO_TEST_CASE(delivers_the_whole_answer_to_a_client_that_goes_on_sending) {
  const std::string body = pattern(5, 300'000);
  for (const std::string& late : {std::string("\r\n"), get("/pipelined")}) {
    ProxyWorld world({});
    world.serve_all([&](const SimMessage&, bool&) { return ok(body); });
    SimPeer& client = world.connect();
    client.slow_down(20'000, 10ms);
    client.send(get("/", kClose));
    world.io().run_for(50ms);
    client.send(late);
    BOOST_TEST(world.io().run_until([&] { return client.over(); }));
    BOOST_TEST((answers(client.take(), 1)[0].body == body));
    client.close();
    world.io().settle();
    world.finish();
  }
}

BOOST_AUTO_TEST_CASE(closes_a_connection_that_was_answered_before_a_drain_began) {
  ProxyWorld world({});
  world.serve_all([](const SimMessage&, bool&) { return ok(pattern(5, 300'000)); });
  SimPeer& client = world.connect();
  client.slow_down(20'000, 10ms);
  client.send(get("/"));
  world.io().run_for(50ms);
  BOOST_TEST(!client.received().empty());
  world.service().drain();
  BOOST_TEST(world.io().run_until([&] { return client.over(); }, 5s));
  BOOST_TEST((answers(client.take(), 1)[0].body == pattern(5, 300'000)));
  client.close();
  world.io().settle();
  BOOST_TEST(world.service().idle());
  world.finish();
}

BOOST_AUTO_TEST_CASE(gives_up_when_a_client_that_asked_for_close_resets) {
  ProxyWorld world({});
  world.io().serve(ProxyWorld::server_address(0), [](SimPeer&) {});
  SimPeer& client = world.connect();
  client.send(get("/", kClose));
  world.io().settle();
  client.reset();
  world.io().settle();
  BOOST_TEST(world.ended(Reason::kClientReset) == 1u);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
