// The lives of connections in the director: refusals, reuse, draining and removal, persistence,
// one-packet scheduling, thresholds, timeouts, and the defence of the table.
#include <boost/test/unit_test.hpp>
#include <sstream>

#include "unit/l4/farm.h"

namespace shunt::l4::test {
namespace {

using std::chrono::seconds;

}  // namespace

BOOST_AUTO_TEST_SUITE(director_life)

BOOST_AUTO_TEST_CASE(refusals) {
  struct Case {
    const char* description;
    Bytes packet;
    const char* result;
  };
  const Case cases[] = {
      {"a segment of no connection", Build::tcp(kClient, kVirtual, "A").sequence(7, 9),
       "198.51.100.1:80 > 192.0.2.7:1000 tcp R seq 9/0 ttl 64 id 0 @gw | !no_connection"},
      {"a SYN where nothing is", Build::tcp(kClient, "198.51.100.1:81"),
       "198.51.100.1:81 > 192.0.2.7:1000 tcp RA seq 0/1001 ttl 64 id 0 @gw | !no_service"},
      {"a FIN of no connection", Build::tcp(kClient, kVirtual, "F"),
       "198.51.100.1:80 > 192.0.2.7:1000 tcp RA seq 0/1001 ttl 64 id 0 @gw | !no_connection"},
      {"a reset is not answered", Build::tcp(kClient, kVirtual, "R"), "!no_connection"},
      {"nor one with SYN", Build::tcp(kClient, kVirtual, "SR"), "!no_connection"},
      {"nor one where nothing is", Build::tcp(kClient, "198.51.100.1:81", "RA"), "!no_service"},
      {"UDP where nothing is", Build::udp(kClient, "198.51.100.1:81"),
       "198.51.100.1 > 192.0.2.7 icmp 3/3 {192.0.2.7:1000 > 198.51.100.1:81 udp data 4 ttl 64} ttl "
       "64 id 0 @gw | !no_service"},
      {"another protocol", Build::other(kClient, "198.51.100.1:0", 132, Bytes(12)),
       "198.51.100.1 > 192.0.2.7 icmp 3/2 {192.0.2.7 > 198.51.100.1 proto 132 data 12 #e23c62b5 "
       "ttl 64} ttl 64 id 0 @gw | !no_service"},
      {"from the FTP data port", Build::tcp("192.0.2.7:20", kVirtual),
       "198.51.100.1:80 > 192.0.2.7:20 tcp RA seq 0/1001 ttl 64 id 0 @gw | !no_connection"},
      {"from loopback", Build::tcp("127.0.0.1:1", kVirtual), "!martian_source"},
      {"from a group", Build::tcp("224.0.0.1:1", kVirtual), "!martian_source"},
      {"from itself", Build::tcp("198.51.100.1:80", kVirtual), "!land"},
      {"from itself, another port", Build::tcp("198.51.100.1:81", kVirtual), "!land"},
      {"a wrong checksum", Build::tcp(kClient, kVirtual).poke(36, 0), "!bad_checksum"},
      {"a wrong IP checksum", Build::tcp(kClient, kVirtual).poke(10, 0), "!bad_header_checksum"},
      {"a source route", Build::tcp(kClient, kVirtual).options({131, 3, 4, 0}), "!source_route"},
  };
  for (const Case& row : cases) {
    Farm farm;
    const std::string line = farm.world.in(row.packet);
    BOOST_TEST(line == row.result, row.description << ": " << line);
    BOOST_TEST(farm.world.director->connections().size() == 0u, row.description);
  }
}

BOOST_AUTO_TEST_CASE(refusals_over_ipv6_and_from_virtual_addresses) {
  World world;
  add_default(world, Method::kNat, true);
  BOOST_TEST(
      world.in(Build::tcp(kClient6, kVirtual6, "A")) ==
      "[2001:db8:1::1]:80 > [2001:db8::7]:1000 tcp R seq 2000/0 ttl 64 @gw | !no_connection");
  BOOST_TEST(
      world.in(Build::udp(kClient6, "[2001:db8:1::1]:9")) ==
      "2001:db8:1::1 > 2001:db8::7 icmp6 1/4 {[2001:db8::7]:1000 > [2001:db8:1::1]:9 udp data 4 "
      "ttl 64} ttl 64 @gw | !no_service");
  BOOST_TEST(world.in(Build::other(kClient6, kVirtual6, 132, Bytes(12))).find("icmp6 4/1") !=
             std::string::npos);
  world.add("[2001:db8:1::2]:80", kTcp);
  BOOST_TEST(world.in(Build::tcp("[2001:db8:1::2]:80", kVirtual6)) == "!martian_source");
}

// The numbers of a reset: RFC 9293 §3.10.7.1.
BOOST_AUTO_TEST_CASE(numbers_of_a_reset) {
  Farm farm;
  const auto number = [&](size_t at) {
    const Bytes& packet = farm.world.out.at(0);
    return uint32_t{packet[at]} << 24 | uint32_t{packet[at + 1]} << 16 |
           uint32_t{packet[at + 2]} << 8 | packet[at + 3];
  };
  farm.world.in(Build::tcp(kClient, kVirtual, "A").sequence(70000, 90000));
  BOOST_TEST(number(24) == 90000u);
  farm.world.in(Build::tcp(kClient, kVirtual, "F").sequence(70000, 0).payload(10));
  BOOST_TEST(number(24) == 0u);
  BOOST_TEST(number(28) == 70011u);
}

BOOST_AUTO_TEST_CASE(without_a_server) {
  Farm farm({}, "");
  const std::string unreachable =
      "198.51.100.1 > 192.0.2.7 icmp 3/3 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 64} ttl 64 id "
      "0 @gw | !no_server";
  BOOST_TEST(farm.world.in(Build::tcp(kClient, kVirtual)) == unreachable);
  BOOST_TEST(farm.world.director->connections().size() == 0u);
}

BOOST_AUTO_TEST_CASE(states_counts_and_timeouts) {
  Farm farm({}, "a");
  const RealServer& server = *farm.servers[0];
  World& world = farm.world;
  BOOST_TEST(farm.open(1) == "a");
  BOOST_TEST(counts(server) == "1/0");
  farm.answer(1, "SA");
  farm.say(1, "A");
  world.pass(seconds(890));
  farm.say(1, "A");
  world.pass(seconds(890));
  BOOST_TEST(counts(server) == "1/0");
  farm.say(1, "FA");
  BOOST_TEST(counts(server) == "0/1");
  farm.answer(1, "FA");
  world.pass(seconds(119));
  BOOST_TEST(counts(server) == "0/1");
  world.pass(seconds(2));
  BOOST_TEST(counts(server) == "0/0");
  BOOST_TEST(world.director->connections().size() == 0u);

  farm.open(2);
  world.pass(seconds(61));
  BOOST_TEST(counts(server) == "0/0", "a handshake without end");
  farm.open(3);
  farm.say(3, "A");
  farm.say(3, "R");
  BOOST_TEST(counts(server) == "0/1");
  world.pass(seconds(11));
  BOOST_TEST(counts(server) == "0/0", "after a reset");
  BOOST_TEST(server.traffic.connections.value() == 3u);
  BOOST_TEST(server.traffic.packets_in.value() == 8u);
  BOOST_TEST(server.traffic.bytes_in.value() == 8u * 40);
  BOOST_TEST(server.traffic.packets_out.value() == 2u);
}

BOOST_AUTO_TEST_CASE(udp_is_never_active) {
  Farm farm({}, "a", kUdp);
  farm.world.in(Build::udp(from(1), kVirtual));
  BOOST_TEST(counts(*farm.servers[0]) == "0/1");
  farm.world.pass(seconds(299));
  farm.world.in(Build::udp(kServer, from(1)));
  farm.world.pass(seconds(299));
  BOOST_TEST(counts(*farm.servers[0]) == "0/1");
  farm.world.pass(seconds(2));
  BOOST_TEST(counts(*farm.servers[0]) == "0/0");
}

// A SYN from the same port: what it does by state and mode. "o" opens, "x" is the same SYN again;
// what is printed are the servers of those two.
BOOST_AUTO_TEST_CASE(reuse) {
  struct Case {
    const char* description;
    uint8_t mode;
    Method method;
    const char* packets;  // Between the SYNs; "o:" from the server, which is b.
    const char* servers;
  };
  const Case cases[] = {
      {"while open", 1, Method::kNat, "i:A", "bb"},
      {"after a reset", 1, Method::kNat, "i:A i:R", "ba"},
      {"after both FINs", 1, Method::kNat, "i:A i:FA o:FA", "ba"},
      {"after one FIN", 1, Method::kNat, "i:A i:FA", "bb"},
      {"mode 0", 0, Method::kNat, "i:A i:R", "bb"},
      {"after the FIN of a DR client", 1, Method::kDirect, "i:A i:FA", "bb"},
      {"mode 3", 3, Method::kDirect, "i:A i:FA", "ba"},
      {"mode 3, NAT", 3, Method::kNat, "i:A i:FA", "bb"},
  };
  for (const Case& row : cases) {
    ServiceSpec spec;
    spec.connection_reuse = row.mode;
    spec.method = row.method;
    Farm farm(spec);
    std::string servers = farm.open(1);
    std::istringstream packets(row.packets);
    for (std::string packet; packets >> packet;) {
      const bool reply = packet[0] == 'o';
      farm.world.in(reply ? Build::tcp("10.1.0.2:8080", from(1), packet.substr(2))
                          : Build::tcp(from(1), kVirtual, packet.substr(2)));
    }
    servers += farm.open(1);
    BOOST_TEST(servers == row.servers, row.description);
    BOOST_TEST(farm.world.director->connections().size() == 1u, row.description);
    BOOST_TEST(counts(*farm.servers[0]) == (servers[1] == 'a' ? "1/0" : "0/0"), row.description);
  }
}

// A SYN with RST ends a closed connection, and begins none.
BOOST_AUTO_TEST_CASE(resets_begin_nothing) {
  Farm farm;
  farm.open(1);
  farm.say(1, "A");
  farm.say(1, "R");
  BOOST_TEST(farm.world.in(Build::tcp(from(1), kVirtual, "SR")) == "!no_connection");
  BOOST_TEST(farm.world.director->connections().size() == 0u);
  BOOST_TEST(counts(*farm.servers[1]) == "0/0");
}

// However many connections end at once, no call takes long.
BOOST_AUTO_TEST_CASE(ends_bit_by_bit) {
  DirectorSpec director;
  director.connections = 20000;
  Farm farm({}, "a", kTcp, director);
  for (int port = 1001; port <= 11000; ++port) farm.open(port);
  const ConnectionTable& table = farm.world.director->connections();
  farm.world.pass(seconds(59));
  farm.world.now += seconds(2);
  int calls = 1;
  for (uint32_t before = table.size(); farm.world.director->advance(farm.world.now); ++calls) {
    BOOST_REQUIRE(before - table.size() <= 2000u);
    before = table.size();
    BOOST_TEST(farm.open(calls) != "-", "packets pass meanwhile");
    ++before;
  }
  BOOST_TEST(calls > 4);
  BOOST_TEST(table.size() < 100u);
}

BOOST_AUTO_TEST_CASE(quiescence) {
  Farm farm;
  BOOST_TEST(farm.open(1) == "b");
  farm.world.quiesce(*farm.servers[1]);
  BOOST_TEST(farm.open(2) == "a");
  BOOST_TEST(farm.open(3) == "a");
  BOOST_TEST(to(farm.world, Build::tcp(from(1), kVirtual, "A")) == "b");
  BOOST_TEST(farm.open(1) == "b", "a SYN of a connection that is there");
  farm.world.weigh(*farm.servers[1], 1);
  BOOST_TEST(farm.open(4) == "b", "takes part again");
  BOOST_TEST(farm.open(5) == "a");
}

BOOST_AUTO_TEST_CASE(quiescence_with_expire_no_destination) {
  ServiceSpec spec;
  spec.expire_no_destination = true;
  Farm farm(spec);
  BOOST_TEST(farm.open(1) == "b");
  farm.world.quiesce(*farm.servers[1]);
  BOOST_TEST(to(farm.world, Build::tcp(from(1), kVirtual, "A")) == "b");
  BOOST_TEST(farm.open(1) == "a");
  BOOST_TEST(counts(*farm.servers[1]) == "0/0");
}

BOOST_AUTO_TEST_CASE(removal) {
  for (const bool expire : {false, true}) {
    ServiceSpec spec;
    spec.expire_no_destination = expire;
    Farm farm(spec);
    RealServer* removed = farm.servers[1];
    BOOST_TEST(farm.open(1) == "b");
    farm.world.remove(*removed);
    BOOST_TEST(farm.world.in(Build::tcp(from(1), kVirtual, "A")) == "!server_gone");
    BOOST_TEST(farm.world.director->connections().size() == (expire ? 0u : 1u));
    BOOST_TEST(farm.open(2) == "a");
    BOOST_TEST(farm.open(1) == (expire ? "a" : "-"), "the client tries again");
    farm.world.server(*farm.service, "b", {.port = 8080});
    BOOST_TEST(to(farm.world, Build::tcp(from(1), kVirtual, "A")) == (expire ? "a" : "b"));
  }
}

// With expire_nodest_conn nobody waits for a client to speak: the connections are looked for, with
// the templates that stand for nothing any more.
BOOST_AUTO_TEST_CASE(connections_of_removed_servers_are_looked_for) {
  for (const bool expire : {false, true}) {
    DirectorSpec director;
    director.connections = 20000;
    ServiceSpec spec;
    spec.persistence = seconds(300);
    spec.expire_no_destination = expire;
    Farm farm(spec, "ab", kTcp, director);
    for (int host = 0; host < 5000; ++host)
      farm.open("10.9." + std::to_string(host / 250) + "." + std::to_string(host % 250 + 1) + ":1");
    BOOST_TEST(farm.world.director->connections().size() == 10000u);
    farm.world.remove(*farm.servers[1]);
    farm.world.pass(seconds(1));
    BOOST_TEST(farm.world.director->connections().size() == (expire ? 5000u : 10000u));
  }
}

// Removed and never back: the server goes with its last connection.
BOOST_AUTO_TEST_CASE(removal_of_service_and_servers) {
  Farm farm;
  farm.open(1);
  farm.open(2);
  farm.world.director->remove_service(*farm.service);
  BOOST_TEST(farm.world.in(Build::tcp(from(1), kVirtual, "A")) == "!server_gone");
  BOOST_TEST(farm.world.in(Build::tcp(from(3), kVirtual)) == "ignored");
  farm.world.pass(seconds(901));
  BOOST_TEST(farm.world.director->connections().size() == 0u);
}

// "1.2:3": client 192.0.1.2, port 3; the servers of each in turn.
BOOST_AUTO_TEST_CASE(persistence) {
  struct Case {
    const char* description;
    uint8_t prefix;
    const char* clients;
    const char* servers;
  };
  const Case cases[] = {
      {"a client stays", 128, "2.7:1 2.7:2 2.7:3", "bbb"},
      {"another goes on", 128, "2.7:1 2.8:1 2.7:2 2.8:2", "baba"},
      {"a network stays", 120, "2.7:1 2.8:1 3.1:1 2.9:1", "bbab"},
      {"everybody is one", 96, "2.7:1 3.8:1 4.1:1", "bbb"},
  };
  for (const Case& row : cases) {
    ServiceSpec spec;
    spec.persistence = seconds(300);
    spec.persistence_prefix = row.prefix;
    Farm farm(spec);
    std::string servers;
    std::istringstream clients(row.clients);
    for (std::string client; clients >> client;) servers += farm.open("192.0." + client);
    BOOST_TEST(servers == row.servers, row.description);
  }
}

BOOST_AUTO_TEST_CASE(templates_live_and_end) {
  ServiceSpec spec;
  spec.persistence = seconds(100);
  Farm farm(spec);
  BOOST_TEST(farm.open(1) == "b");
  BOOST_TEST(farm.servers[1]->templates == 1u);
  farm.world.quiesce(*farm.servers[1]);
  BOOST_TEST(farm.open(2) == "b", "on a quiesced server too");
  farm.say(1, "A");
  farm.say(1, "R");
  farm.say(2, "A");
  farm.world.pass(seconds(200));
  BOOST_TEST(farm.open(3) == "b", "longer than its timeout while a connection lives");
  farm.say(2, "R");
  farm.say(3, "R");
  farm.world.pass(seconds(300));
  BOOST_TEST(farm.world.director->connections().size() == 0u);
  BOOST_TEST(farm.servers[1]->templates == 0u);
  BOOST_TEST(farm.open(4) == "a", "and then it is forgotten");
}

BOOST_AUTO_TEST_CASE(templates_of_servers_that_go) {
  ServiceSpec spec;
  spec.persistence = seconds(100);
  Farm removed(spec);
  BOOST_TEST(removed.open(1) == "b");
  removed.world.remove(*removed.servers[1]);
  BOOST_TEST(removed.open(2) == "a");
  BOOST_TEST(removed.open(3) == "a");

  spec.expire_quiescent_template = true;
  Farm quiesced(spec);
  BOOST_TEST(quiesced.open(1) == "b");
  quiesced.world.quiesce(*quiesced.servers[1]);
  BOOST_TEST(quiesced.open(2) == "a");

  Farm back(spec);
  BOOST_TEST(back.open(1) == "b");
  back.world.remove(*back.servers[1]);
  back.world.server(*back.service, "b", {.port = 8080});
  BOOST_TEST(back.open(2) == "b");
}

BOOST_AUTO_TEST_CASE(a_group_persists_over_its_ports) {
  for (const bool group : {true, false}) {
    World world;
    ServiceSpec spec{.group = group, .persistence = seconds(300), .scheduler = "rr"};
    for (const char* address : {"198.51.100.1:80", "198.51.100.2:443"}) {
      const SocketAddress parsed = *SocketAddress::parse(address);
      spec.ranges.push_back(VirtualRange::of(parsed.ip(), parsed.port(), kTcp));
    }
    Service& service = world.add(spec);
    world.server(service, "a");
    world.server(service, "b");
    BOOST_TEST(to(world, Build::tcp(from(1), "198.51.100.1:80")) == "b");
    BOOST_TEST(to(world, Build::tcp(from(2), "198.51.100.2:443")) == (group ? "b" : "a"));
  }
}

BOOST_AUTO_TEST_CASE(persistent_connections_are_not_reused) {
  ServiceSpec spec;
  spec.persistence = seconds(100);
  Farm farm(spec);
  farm.open(1);
  farm.say(1, "R");
  farm.say(1, "A");
  BOOST_TEST(farm.open(1) == "b");
  BOOST_TEST(counts(*farm.servers[1]) == "1/0");
  BOOST_TEST(farm.world.director->connections().size() == 2u);
}

BOOST_AUTO_TEST_CASE(one_packet_scheduling) {
  ServiceSpec spec;
  spec.one_packet = true;
  Farm farm(spec, "ab", kUdp);
  std::string servers;
  for (int i = 0; i < 4; ++i) servers += to(farm.world, Build::udp(kClient, kVirtual));
  BOOST_TEST(servers == "baba");
  BOOST_TEST(farm.world.director->connections().size() == 0u);
  BOOST_TEST(counts(*farm.servers[0]) == "0/0");
  BOOST_TEST(farm.servers[0]->traffic.connections.value() == 2u);
  BOOST_TEST(farm.world.in(Build::udp(kServer, kClient)) == "ignored");

  spec.persistence = seconds(300);
  Farm sticky(spec, "ab", kUdp);
  servers.clear();
  for (int i = 0; i < 4; ++i) servers += to(sticky.world, Build::udp(kClient, kVirtual));
  BOOST_TEST(servers == "bbbb");
}

BOOST_AUTO_TEST_CASE(thresholds) {
  World world;
  Service& service = world.add(kVirtual, kTcp, {.scheduler = "rr"});
  world.server(service, "a", {.port = 8080}, 2, 1);
  const auto open = [&](int port) { return to(world, Build::tcp(from(port), kVirtual)); };
  BOOST_TEST(open(1) == "a");
  BOOST_TEST(open(2) == "a");
  BOOST_TEST(open(3) == "-");
  world.in(Build::tcp(from(1), kVirtual, "A"));
  world.in(Build::tcp(from(1), kVirtual, "R"));
  BOOST_TEST(open(4) == "-", "a closed connection counts until it is gone");
  world.pass(seconds(11));
  BOOST_TEST(open(5) == "-", "one left is not below the lower threshold");
  world.pass(seconds(51));
  BOOST_TEST(open(6) == "a");
}

BOOST_AUTO_TEST_CASE(sloppy_tcp) {
  ServiceSpec spec;
  spec.sloppy_tcp = true;
  Farm farm(spec);
  BOOST_TEST(to(farm.world, Build::tcp(from(1), kVirtual, "A")) == "b");
  BOOST_TEST(counts(*farm.servers[1]) == "1/0");
  BOOST_TEST(to(farm.world, Build::tcp(from(1), kVirtual, "A")) == "b");
  BOOST_TEST(farm.world.in(Build::tcp(from(2), kVirtual, "R")) == "!no_connection");
}

// A table that is full forgets nobody and refuses nobody: what it cannot hold is placed by hash, in
// both directions, and each client's packets stay together.
BOOST_AUTO_TEST_CASE(a_full_table) {
  DirectorSpec director;
  director.connections = 20;
  director.defence = {.secure_percent = 101, .hash_percent = 100};
  Farm farm({}, "abcd", kTcp, director);
  for (int port = 1; port <= 20; ++port) BOOST_TEST(farm.open(port + 100) != "-");
  BOOST_TEST(farm.world.director->connections().size() == 20u);
  std::string servers;
  for (int port = 21; port <= 60; ++port) {
    const std::string server = farm.open(port);
    servers += server;
    const std::string address = "10.1.0." + std::to_string(server[0] - 'a' + 1) + ":8080";
    BOOST_TEST(farm.world.in(Build::tcp(address, from(port), "SA")) ==
               "198.51.100.1:80 > " + from(port) + " tcp SA ttl 63 @gw");
    BOOST_TEST(to(farm.world, Build::tcp(from(port), kVirtual, "A")) == server);
    BOOST_TEST(farm.world
                   .in(Build::icmp("203.0.113.9", "198.51.100.1", 3, 4, 1400,
                                   Build::tcp(kVirtual, from(port), "A")))
                   .ends_with("@" + server));
  }
  for (const char* name : {"a", "b", "c", "d"})
    BOOST_TEST(servers.find(name) != std::string::npos, name);
  BOOST_TEST(farm.world.director->connections().size() == 20u);
  BOOST_TEST(farm.world.director->hashed.value() == 120u);
  BOOST_TEST(counts(*farm.servers[0]) == "5/0", "the hashed are not counted");
}

BOOST_AUTO_TEST_CASE(a_cap_on_new_connections) {
  DirectorSpec director;
  director.defence = {.new_connections = 10, .burst = 5};
  Farm farm({}, "a", kTcp, director);
  for (int port = 1; port <= 20; ++port) BOOST_TEST(farm.open(port + 100) == "a");
  BOOST_TEST(farm.world.director->connections().size() == 5u);
  farm.world.pass(seconds(1));
  for (int port = 221; port <= 240; ++port) farm.open(port);
  BOOST_TEST(farm.world.director->connections().size() == 10u);
}

// Half-open connections make room when the table is three quarters full, whole ones stay.
BOOST_AUTO_TEST_CASE(a_flood_of_handshakes) {
  DirectorSpec director;
  director.connections = 320;
  Farm farm({}, "a", kTcp, director);
  for (int port = 101; port <= 200; ++port) {
    farm.open(port);
    farm.answer(port, "SA");
    farm.say(port, "A");
  }
  for (int port = 1000; port < 1200; ++port) farm.open(port);
  BOOST_TEST(farm.world.director->connections().size() == 300u);
  for (int i = 0; i < 60; ++i) farm.world.pass(std::chrono::milliseconds(500));
  BOOST_TEST(farm.world.director->evicted.value() > 0u);
  BOOST_TEST(farm.world.director->connections().size() < 240u);
  for (int port = 101; port <= 200; ++port)
    BOOST_TEST(to(farm.world, Build::tcp(from(port), kVirtual, "A")) == "a");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
