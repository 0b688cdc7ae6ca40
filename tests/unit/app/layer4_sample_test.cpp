// What an onlooker sees of a director: counts, connections in steps, and the sum over threads.
#include "app/layer4_sample.h"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <set>

#include "unit/l4/world.h"

namespace shunt::app {
namespace {

using l4::Method;
using l4::test::add_default;
using l4::test::Build;
using l4::test::kClient;
using l4::test::kVirtual;
using l4::test::World;

constexpr uint32_t kAll = 1'000'000;

std::vector<ConnectionSample> connections_of(const World& world, uint32_t cells) {
  std::vector<ConnectionSample> all;
  uint32_t cursor = 0;
  do {
    cursor = sample_connections(*world.director, cursor, cells, world.now, all);
  } while (cursor != 0);
  return all;
}

BOOST_AUTO_TEST_SUITE(layer4_sample)

BOOST_AUTO_TEST_CASE(services_with_what_has_passed) {
  World world;
  add_default(world, Method::kNat, false, {.name = "web"});
  world.in(Build::tcp(kClient, kVirtual));
  world.in(Build::tcp("10.1.0.1:8080", kClient, "SA"));
  world.in(Build::tcp(kClient, kVirtual, "A"));
  const std::vector<ServiceSample> services = sample_services(*world.director);
  BOOST_REQUIRE(services.size() == 1u);
  BOOST_TEST(services[0].name == "web");
  BOOST_TEST(services[0].addresses.size() == 2u);
  BOOST_TEST((services[0].stats == TrafficSample{1, 2, 1, 80, 40}));
  BOOST_REQUIRE(services[0].servers.size() == 1u);
  const RealServerSample& server = services[0].servers[0];
  BOOST_TEST((server.stats == services[0].stats));
  BOOST_TEST(server.forward == "nat");
  BOOST_TEST(server.port == 8080);
  BOOST_TEST(server.active == 1u);
  BOOST_TEST(server.inactive == 0u);
}

BOOST_AUTO_TEST_CASE(losses_of_threads_add_up) {
  World world;
  add_default(world, Method::kNat);
  world.in(Build::tcp(kClient, kVirtual, "A"));
  world.in(Build::tcp(kClient, "198.51.100.1:81"));
  world.in(Build::tcp(kClient, "198.51.100.1:81"));
  const l4::Network network(world.now);
  LossSample all;
  for (int thread = 0; thread < 2; ++thread)
    add_losses(all, sample_losses(*world.director, network));
  BOOST_TEST(all.drops.size() == l4::kDropCount - 1, "every reason, but the one that is none");
  for (const DropSample& drop : all.drops) {
    const uint64_t expected = drop.reason == "no_service"      ? 4
                              : drop.reason == "no_connection" ? 2
                                                               : 0;
    BOOST_TEST(drop.packets == expected, drop.reason);
    BOOST_TEST(!drop.text.empty());
  }
  LossSample sum{.drops = {{"land", "", 1}}, .lost = 1, .hashed = 2, .evicted = 3, .conflicts = 4};
  add_losses(sum, sum);
  BOOST_TEST(
      (sum ==
       LossSample{
           .drops = {{"land", "", 2}}, .lost = 2, .hashed = 4, .evicted = 6, .conflicts = 8}));
}

BOOST_AUTO_TEST_CASE(connections_in_steps_are_all_of_them_once) {
  World world;
  add_default(world, Method::kNat);
  constexpr int kConnections = 100;
  for (int i = 0; i < kConnections; ++i)
    world.in(Build::udp(fmt::format("192.0.2.7:{}", 1000 + i), kVirtual));
  for (const uint32_t cells : {1u, 7u, 100u, kAll}) {
    std::set<uint16_t> ports;
    const std::vector<ConnectionSample> all = connections_of(world, cells);
    for (const ConnectionSample& one : all) ports.insert(one.client_port);
    BOOST_TEST(all.size() == size_t{kConnections}, cells);
    BOOST_TEST(ports.size() == size_t{kConnections}, cells);
  }
}

BOOST_AUTO_TEST_CASE(connections_and_templates) {
  World world;
  add_default(world, Method::kNat, false,
              {.name = "web", .persistence = std::chrono::minutes(5), .persistence_prefix = 120});
  world.in(Build::tcp(kClient, kVirtual));
  world.pass(std::chrono::seconds(10));
  std::vector<ConnectionSample> all = connections_of(world, kAll);
  BOOST_REQUIRE(all.size() == 2u);
  if (all[0].is_template) std::swap(all[0], all[1]);
  const ConnectionSample& connection = all[0];
  BOOST_TEST(connection.protocol == "tcp");
  BOOST_TEST(connection.state == "SYN_RECV");
  BOOST_TEST(connection.expires == 50u);
  BOOST_TEST(connection.client.to_string() == "192.0.2.7");
  BOOST_TEST(connection.client_port == 1000);
  BOOST_TEST(connection.address.to_string() == "198.51.100.1");
  BOOST_TEST(connection.port == 80);
  BOOST_TEST(connection.server.to_string() == "10.1.0.1");
  BOOST_TEST(connection.server_port == 8080);
  BOOST_TEST(connection.service == "web");
  const ConnectionSample& control = all[1];
  BOOST_TEST(control.is_template);
  BOOST_TEST(control.state == "NONE");
  BOOST_TEST(control.expires == 290u);
  BOOST_TEST(control.client.to_string() == "192.0.2.0");
  BOOST_TEST(control.client_port == 0);
  BOOST_TEST(control.port == 80);
  BOOST_TEST(control.server_port == 8080);
  BOOST_TEST(sample_services(*world.director)[0].servers[0].persistent == 1u);
  BOOST_TEST(sample_services(*world.director)[0].netmask == 24u);

  world.in(Build::tcp("10.1.0.1:8080", kClient, "SA"));
  world.in(Build::tcp(kClient, kVirtual, "A"));
  std::set<std::string> states;
  for (const ConnectionSample& one : connections_of(world, kAll)) states.insert(one.state);
  BOOST_TEST((states == std::set<std::string>{"ASSURED", "ESTABLISHED"}));
}

BOOST_AUTO_TEST_CASE(threads_are_added_up) {
  const auto share = [](uint64_t packets, uint32_t persistent) {
    ServiceSample sample{.name = "web", .servers = {{.name = "a", .active = 3}}};
    sample.stats.packets_in = packets;
    sample.servers[0].stats.packets_in = packets;
    sample.servers[0].persistent = persistent;
    return sample;
  };
  std::vector<ServiceSample> all;
  add_samples(all, {share(5, 1)});
  add_samples(all, {share(7, 2), {.name = "new"}});
  BOOST_REQUIRE(all.size() == 2u);
  BOOST_TEST(all[0].stats.packets_in == 12u);
  BOOST_TEST(all[0].servers[0].stats.packets_in == 12u);
  BOOST_TEST(all[0].servers[0].persistent == 3u);
  BOOST_TEST(all[0].servers[0].active == 3u);  // The set's, which both see.
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
