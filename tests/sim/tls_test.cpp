// Sessions over TLS in a calm simulation: what of TLS shows in the loop's turns and in what the far
// ends see. A hostile world has TLS too: session_random_test.cpp.
#include "sim/session_fixture.h"
#include "sim/tls_end.h"

using namespace shunt;
using namespace shunt::sim;

namespace {

// Clients with TLS, each with a request on its way.
std::vector<std::unique_ptr<TlsEnd>> handshakes(ProxyWorld& world, size_t count) {
  std::vector<std::unique_ptr<TlsEnd>> clients;
  for (size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<TlsEnd>(world.connect(), TlsEnd::Side::kClient));
    clients.back()->send(get("/" + std::to_string(i)));
  }
  return clients;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls)

BOOST_AUTO_TEST_CASE(requests_and_answers_on_both_sides) {
  ProxyWorld world({.tls_to_clients = true, .tls_to_servers = true});
  const std::string body = pattern(1, 300'000);
  world.serve_all([&](const SimMessage& request, bool&) { return ok(request.body + body); });
  TlsEnd client(world.connect(), TlsEnd::Side::kClient);
  const std::string put = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n";
  client.send(put + "\r\n" + body + put + kClose + "\r\n" + body);
  world.io().run_until([&] { return client.ended(); });
  for (const SimMessage& message : answers(client.received(), 2))
    BOOST_TEST((message.body == body + body));
  BOOST_TEST(world.metrics().upstream_connects.value() == 1u);
  BOOST_TEST(world.metrics().spliced.value() == 0u);
  world.finish();
}

// More handshakes than one turn has room for, at one moment: all of them end, and a client that is
// through waits for none of them.
BOOST_AUTO_TEST_CASE(a_flood_of_handshakes_delays_no_request) {
  ProxyWorld world({.tls_to_clients = true});
  world.serve_all(echo_path());
  TlsEnd known(world.connect(), TlsEnd::Side::kClient);
  world.io().settle();
  const auto flood = handshakes(world, 200);
  known.send(get("/known"));
  world.io().run_until([&] { return !known.received().empty(); });
  BOOST_TEST(answers(known.take(), 1)[0].body == "/known");
  const auto is_served = [](const auto& client) { return !client->received().empty(); };
  BOOST_TEST(std::ranges::count_if(flood, is_served) < 100);
  world.io().run_until([&] { return std::ranges::all_of(flood, is_served); });
  for (size_t i = 0; i < flood.size(); ++i)
    BOOST_TEST(answers(flood[i]->take(), 1)[0].body == "/" + std::to_string(i));
  world.finish();
}

BOOST_AUTO_TEST_CASE(connections_to_a_server_resume) {
  ProxyWorld world({.tls_to_servers = true});
  world.serve_all([](const SimMessage& request, bool& close) {
    close = true;
    return ok(request.path());
  });
  for (int i = 0; i < 5; ++i) answers(world.exchange(get("/x", kClose)), 1);
  BOOST_TEST(world.metrics().upstream_connects.value() == 5u);
  BOOST_TEST(world.resumed_at_servers() == 4u);
  world.finish();
}

BOOST_AUTO_TEST_SUITE_END()
