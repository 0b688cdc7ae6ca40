// Flows that are placed by hash: which servers they get, that they stay there when the table has
// room again, and which of them must not be placed so.
#include <boost/test/unit_test.hpp>

#include "unit/l4/farm.h"

namespace shunt::l4::test {
namespace {

using std::chrono::seconds;

// A table of 20, which is filled before anything is given up.
DirectorSpec small() {
  DirectorSpec director;
  director.connections = 20;
  director.defence = {.secure_percent = 200, .hash_percent = 100};
  return director;
}

void fill(Farm& farm, uint8_t protocol = kTcp) {
  for (int port = 101; farm.world.director->connections().size() < 20; ++port)
    farm.world.in(protocol == kTcp ? Build::tcp("203.0.113.1:" + std::to_string(port), kVirtual)
                                   : Build::udp("203.0.113.1:" + std::to_string(port), kVirtual));
}

// The servers of the flows from ports 21 to 60, one letter each; "-" of what went to none.
std::string servers_of(Farm& farm, const char* flags) {
  std::string servers;
  for (int port = 21; port <= 60; ++port)
    servers += to(farm.world, flags == nullptr ? Build::udp(from(port), kVirtual)
                                               : Build::tcp(from(port), kVirtual, flags));
  return servers;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(director_hash)

BOOST_AUTO_TEST_CASE(quiesced_servers_get_none) {
  Farm farm({}, "abcd", kTcp, small());
  fill(farm);
  const std::string before = servers_of(farm, "S");
  BOOST_TEST(before.find('b') != std::string::npos);
  farm.world.quiesce(*farm.servers[1]);
  const std::string after = servers_of(farm, "S");
  BOOST_TEST(after.find('b') == std::string::npos);
  for (size_t i = 0; i < before.size(); ++i)
    if (before[i] != 'b') BOOST_TEST(after[i] == before[i], "flow " << i);
  for (RealServer* server : farm.servers) farm.world.quiesce(*server);
  BOOST_TEST(farm.world.in(Build::tcp(from(61), kVirtual)).ends_with("!no_server"));
}

// Segments in mid-connection make it a known one as soon as there is room, where it is.
BOOST_AUTO_TEST_CASE(tcp_flows_stay_when_there_is_room_again) {
  Farm farm({}, "abcd", kTcp, small());
  fill(farm);
  const std::string before = servers_of(farm, "S");
  BOOST_TEST(servers_of(farm, "A") == before);
  farm.world.pass(seconds(61));
  BOOST_TEST(farm.world.director->connections().size() == 0u);
  const uint64_t hashed = farm.world.director->hashed.value();
  BOOST_TEST(servers_of(farm, "A") == before);
  BOOST_TEST(farm.world.director->connections().size() == 20u);
  BOOST_TEST(farm.world.director->hashed.value() == hashed + 20);
  BOOST_TEST(servers_of(farm, "FA") == before, "known or not");
  std::string scheduled;
  farm.world.pass(seconds(121));
  for (int port = 1; port <= 4; ++port) scheduled += farm.open(port);
  BOOST_TEST(scheduled == "dcba", "new ones go by the scheduler");
}

BOOST_AUTO_TEST_CASE(udp_flows_stay_when_there_is_room_again) {
  Farm farm({}, "abcd", kUdp, small());
  fill(farm, kUdp);
  const std::string before = servers_of(farm, nullptr);
  farm.world.pass(seconds(200));
  BOOST_TEST(servers_of(farm, nullptr) == before);
  farm.world.pass(seconds(101));
  BOOST_TEST(farm.world.director->connections().size() == 0u);
  BOOST_TEST(servers_of(farm, nullptr) == before);
  BOOST_TEST(farm.world.director->connections().size() == 20u);
}

BOOST_AUTO_TEST_CASE(tcp_flows_live_as_long_as_they_speak) {
  Farm farm({}, "abcd", kTcp, small());
  fill(farm);
  for (int port = 101; port <= 120; ++port)
    farm.world.in(Build::tcp("203.0.113.1:" + std::to_string(port), kVirtual, "A"));
  const std::string before = servers_of(farm, "S");
  for (int i = 0; i < 3; ++i) {
    farm.world.pass(seconds(800));
    for (int port = 101; port <= 120; ++port)
      farm.world.in(Build::tcp("203.0.113.1:" + std::to_string(port), kVirtual, "A"));
    BOOST_TEST(servers_of(farm, "A") == before);
  }
  farm.world.pass(seconds(1000));
  BOOST_TEST(farm.world.in(Build::tcp(from(21), kVirtual, "A")).ends_with("!no_connection"));
}

BOOST_AUTO_TEST_CASE(templates_come_before_the_hash) {
  ServiceSpec spec;
  spec.persistence = seconds(2000);
  Farm farm(spec, "abcd", kTcp, small());
  const auto client = [](int host, int port) {
    return "192.0.2." + std::to_string(host) + ":" + std::to_string(port);
  };
  std::string before;
  for (int host = 1; host <= 10; ++host) before += farm.open(client(host, 1));
  BOOST_TEST(farm.world.director->connections().size() == 20u);
  std::string hashed;
  for (int host = 1; host <= 10; ++host) hashed += farm.open(client(host, 2));
  BOOST_TEST(hashed == before);
  // The other way round: a client that was placed by hash stays there once it is remembered.
  std::string strangers;
  for (int host = 11; host <= 15; ++host) strangers += farm.open(client(host, 1));
  for (int host = 1; host <= 10; ++host) farm.world.in(Build::tcp(client(host, 1), kVirtual, "R"));
  farm.world.pass(seconds(70));
  BOOST_TEST(farm.world.director->connections().size() == 10u);
  std::string remembered;
  for (int host = 11; host <= 15; ++host) remembered += farm.open(client(host, 2));
  BOOST_TEST(remembered == strangers);
  BOOST_TEST(farm.world.director->connections().size() == 20u);
}

// Templates of one-packet services are admitted as connections are.
BOOST_AUTO_TEST_CASE(templates_of_single_packets) {
  DirectorSpec director;
  director.defence = {.new_connections = 10, .burst = 5};
  ServiceSpec spec;
  spec.one_packet = true;
  spec.persistence = seconds(300);
  Farm farm(spec, "ab", kUdp, director);
  for (int host = 1; host <= 20; ++host)
    BOOST_TEST(to(farm.world, Build::udp("192.0.2." + std::to_string(host) + ":1", kVirtual)) !=
               "-");
  BOOST_TEST(farm.world.director->connections().size() == 5u);
  BOOST_TEST(farm.world.director->hashed.value() == 15u);
}

// What a NAT server answers could belong to one virtual address or the other: such flows are
// remembered as long as there is any room, and then refused. Without NAT they go by hash.
BOOST_AUTO_TEST_CASE(answers_that_could_not_be_traced_back) {
  struct Case {
    const char* description;
    std::vector<VirtualRange> ranges;
    Method method;
    uint16_t port;
    bool hashes;
  };
  const IpAddress one = *IpAddress::parse("198.51.100.1");
  const IpAddress two = *IpAddress::parse("198.51.100.2");
  const std::vector<VirtualRange> pair{VirtualRange::of(one, 80, kTcp),
                                       VirtualRange::of(two, 80, kTcp)};
  const std::vector<VirtualRange> ports{
      {.addresses = {one, 128}, .first = 80, .last = 89, .protocol = kTcp}};
  const std::vector<VirtualRange> protocols{VirtualRange::of(one, 80, kTcp),
                                            VirtualRange::of(one, 80, kUdp)};
  const Case cases[] = {
      {"two addresses", pair, Method::kNat, 8080, false},
      {"ports made one", ports, Method::kNat, 8080, false},
      {"ports as they are", ports, Method::kNat, 0, true},
      {"two protocols", protocols, Method::kNat, 8080, true},
      {"two addresses, direct", pair, Method::kDirect, 0, true},
  };
  for (const Case& row : cases) {
    DirectorSpec director = small();
    director.defence.hash_percent = 50;
    World world(director);
    Service& service = world.add({.ranges = row.ranges, .method = row.method, .scheduler = "rr"});
    world.server(service, "a", {.port = row.port});
    std::string last;
    for (int port = 1; port <= 30; ++port) {
      const bool refused = !last.empty() && !last.ends_with("@a");
      const std::string line = world.in(Build::tcp(from(1000 + port), kVirtual));
      if (!refused) last = line;  // Later ones are told nothing any more.
    }
    BOOST_TEST(world.director->connections().size() == (row.hashes ? 10u : 20u), row.description);
    BOOST_TEST(world.director->hashed.value() == (row.hashes ? 20u : 0u), row.description);
    BOOST_TEST(last.ends_with(row.hashes ? "@a" : "!table_full"), row.description << ": " << last);
    if (!row.hashes) BOOST_TEST(last.find("icmp 3/3") != std::string::npos, row.description);
    if (row.method != Method::kNat) continue;
    const std::string server = row.port != 0 ? "10.1.0.1:8080" : "10.1.0.1:80";
    const std::string answer = world.in(Build::tcp(server, from(1015), "SA"));
    BOOST_TEST(answer == "198.51.100.1:80 > " + from(1015) + " tcp SA ttl 63 @gw", row.description);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
