// What sessions do when servers fail: the next server, a fresh connection, an error page, or an end
// the client can tell.
#include <cerrno>

#include "sim/session_fixture.h"

using namespace shunt;
using namespace shunt::sim;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(session_failure)

BOOST_AUTO_TEST_CASE(tries_the_next_server_when_one_refuses) {
  ProxyWorld world({.servers = 3});
  world.io().refuse(ProxyWorld::server_address(2));
  world.io().refuse(ProxyWorld::server_address(1));
  world.serve(0, echo_path());
  BOOST_TEST(answers(world.exchange(get("/x", kClose)), 1)[0].body == "/x");
  BOOST_TEST(world.metrics().retries.value() == 2u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(says_which_failure_it_was) {
  struct Case {
    const char* description;
    std::function<void(ProxyWorld&)> prepare;
    int status;
    Reason reason;
  };
  const auto origin = [](auto script) {
    return [script](ProxyWorld& world) {
      world.io().serve(ProxyWorld::server_address(0), [script](SimPeer& peer) {
        peer.on_event = [script](SimPeer& each) {
          if (each.received().ends_with("\r\n\r\n")) script(each);
        };
      });
    };
  };
  const Case cases[] = {
      {"refused", [](ProxyWorld& world) { world.io().refuse(ProxyWorld::server_address(0)); }, 502,
       Reason::kConnectRefused},
      {"no answer to connect",
       [](ProxyWorld& world) { world.io().black_hole(ProxyWorld::server_address(0)); }, 504,
       Reason::kConnectTimeout},
      {"no route to it", [](ProxyWorld& world) { world.io().fail_connect(EHOSTUNREACH); }, 502,
       Reason::kConnectFailed},
      {"no memory for a connection", [](ProxyWorld& world) { world.io().fail_connect(ENOBUFS); },
       503, Reason::kNoMemory},
      {"no descriptor for it", [](ProxyWorld& world) { world.io().fail_connect(EMFILE); }, 503,
       Reason::kNoDescriptor},
      {"no servers",
       [](ProxyWorld& world) { world.servers().remove(*world.servers().servers()[0]); }, 503,
       Reason::kNoServer},
      {"closed", origin([](SimPeer& peer) { peer.close(); }), 502, Reason::kServerClosed},
      {"reset", origin([](SimPeer& peer) { peer.reset(); }), 502, Reason::kServerReset},
      {"garbage", origin([](SimPeer& peer) { peer.send("SSH-2.0-x\r\n\r\n"); }), 502,
       Reason::kServerBadResponse},
      {"half a head", origin([](SimPeer& peer) {
         peer.take();
         peer.send("HTTP/1.1 200 OK\r\nContent-");
         peer.close();
       }),
       502, Reason::kServerTruncated},
      {"silence", origin([](SimPeer&) {}), 504, Reason::kResponseTimeout},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({});
      each.prepare(world);
      const auto got = answers(world.exchange(get("/x", kClose)), 1);
      BOOST_TEST(got[0].status() == each.status);
      BOOST_TEST(got[0].body.find(info(each.reason).name) != std::string::npos);
      BOOST_TEST(world.ended(each.reason) == 1u);
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(cuts_the_connection_when_an_answer_is_cut_short) {
  struct Case {
    const char* description;
    std::string answer, request;
    bool reset;
  };
  const Case cases[] = {
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", get("/"), false},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", get("/"), false},
      {"broken chunks",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n" +
           chunked(pattern(1, 9000), 4000).substr(0, 8000) + "xyz\r\n",
       get("/"), false},
      {"chunked to HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
       "GET / HTTP/1.0\r\n\r\n", true},
  };
  for (const Case& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      ProxyWorld world({});
      world.serve_all([&](const SimMessage&, bool& close) {
        close = true;
        return each.answer;
      });
      SimPeer& client = world.connect();
      client.send(each.request);
      BOOST_TEST(world.io().run_until([&] { return client.over(); }));
      BOOST_TEST(client.was_reset() == each.reset);
      if (!each.reset) {
        SimMessage message;
        std::string bytes = client.take();
        BOOST_TEST((read_message(bytes, "GET", true, message) == ReadResult::kBroken));
      }
      BOOST_TEST(world.ended(Reason::kDone) == 0u);
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(sends_again_on_a_fresh_connection_what_is_safe) {
  for (const char* method : {"GET", "PUT", "DELETE", "POST"}) {
    BOOST_TEST_CONTEXT(method) {
      ProxyWorld world({});
      int connections = 0;
      std::vector<SimPeer*> peers;
      world.io().serve(ProxyWorld::server_address(0), [&](SimPeer& peer) {
        const bool first = ++connections == 1;
        auto requests = std::make_shared<int>(0);
        peer.on_event = [first, requests](SimPeer& origin) {
          if (!origin.received().ends_with("\r\n\r\n")) return;
          origin.take();
          // The first connection dies under its second request, as when a server's idle timeout
          // strikes just then.
          if (first && ++*requests == 2) return origin.reset();
          origin.send(ok("fine"));
        };
      });
      SimPeer& client = world.connect();
      const std::string request =
          std::string(method) + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
      client.send(request);
      world.io().settle();
      BOOST_TEST(answers(client.take(), 1)[0].status() == 200);
      client.send(request);
      world.io().settle();
      const bool idempotent = std::string_view(method) != "POST";
      BOOST_TEST(answers(client.take(), 1)[0].status() == (idempotent ? 200 : 502));
      BOOST_TEST(connections == (idempotent ? 2 : 1));
      world.finish();
    }
  }
}

BOOST_AUTO_TEST_CASE(sends_nothing_again_once_an_answer_has_begun) {
  for (const char* begun : {"HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\n\r\n"}) {
    ProxyWorld world({});
    int requests = 0;
    world.io().serve(ProxyWorld::server_address(0), [&](SimPeer& peer) {
      peer.on_event = [&requests, begun](SimPeer& origin) {
        if (!origin.received().ends_with("\r\n\r\n")) return;
        origin.take();
        if (++requests == 1) return origin.send(ok("fine"));
        origin.send(begun);
        origin.close();
      };
    });
    SimPeer& client = world.connect();
    client.send(get("/1"));
    world.io().settle();
    client.take();
    client.send(get("/2"));
    world.io().settle();
    BOOST_TEST(requests == 2);
    BOOST_TEST(client.received().find(" 502 ") != std::string::npos);
    world.finish();
  }
}

BOOST_AUTO_TEST_CASE(drops_an_idle_connection_that_the_server_closes) {
  ProxyWorld world({});
  std::vector<SimPeer*> peers;
  world.io().serve(ProxyWorld::server_address(0), [&](SimPeer& peer) {
    peers.push_back(&peer);
    peer.on_event = [](SimPeer& origin) {
      if (origin.received().ends_with("\r\n\r\n")) {
        origin.take();
        origin.send(ok("x"));
      }
    };
  });
  BOOST_TEST(answers(world.exchange(get("/", kClose)), 1)[0].status() == 200);
  BOOST_TEST(world.metrics().upstream_idle.value() == 1u);
  peers[0]->send(
      "HTTP/1.1 408 Request Timeout\r\n\r\n");  // What some servers say before they close.
  peers[0]->close();
  world.io().settle();
  BOOST_TEST(world.metrics().upstream_idle.value() == 0u);
  BOOST_TEST(answers(world.exchange(get("/", kClose)), 1)[0].status() == 200);
  BOOST_TEST(peers.size() == 2u);
  world.finish();
}

BOOST_AUTO_TEST_CASE(closes_idle_server_connections_in_time) {
  ProxyWorld world({});
  world.serve_all(echo_path());
  world.exchange(get("/", kClose));
  BOOST_TEST(world.metrics().upstream_idle.value() == 1u);
  world.io().run_for(60s);
  BOOST_TEST(world.metrics().upstream_idle.value() == 0u);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
