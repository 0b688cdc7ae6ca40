// DR, TUN, the local node, and services that mix methods, families and ports.
#include <boost/test/unit_test.hpp>
#include <set>

#include "l4/byte_order.h"
#include "unit/l4/world.h"

namespace shunt::l4::test {
namespace {

struct Row {
  const char* description;
  bool v6;       // The service.
  bool tunnel6;  // The server, for tunnels.
  RealServerSpec server;
  Bytes packet;
  const char* result;
};

void check(const Row& row, Method method) {
  World world;
  RealServerSpec server = row.server;
  if (server.address == IpAddress{})
    server.address = *IpAddress::parse(row.tunnel6 ? "2001:db8:2::1" : "10.1.0.1");
  add_default(world, method, row.v6, {}, server);
  const std::string line = world.in(row.packet);
  BOOST_TEST(line == row.result, row.description << ": " << line);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(director_route)

BOOST_AUTO_TEST_CASE(direct) {
  const Row rows[] = {
      {"only the hop count changes",
       false,
       false,
       {},
       Build::tcp(kClient, kVirtual),
       "192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 @a"},
      {"the port stays, whatever the server's",
       false,
       false,
       {.port = 8080},
       Build::tcp(kClient, kVirtual),
       "192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 @a"},
      {"UDP",
       false,
       false,
       {},
       Build::udp(kClient, kVirtual),
       "192.0.2.7:1000 > 198.51.100.1:80 udp data 4 ttl 63 @a"},
      {"IPv6",
       true,
       true,
       {},
       Build::tcp(kClient6, kVirtual6),
       "[2001:db8::7]:1000 > [2001:db8:1::1]:80 tcp S ttl 63 @a"},
      {"too large",
       false,
       false,
       {},
       Build::udp(kClient, kVirtual).payload(1473).df(),
       "198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1500 {192.0.2.7:1000 > 198.51.100.1:80 udp data "
       "1473 ttl 64 df} ttl 64 id 0 @gw | !too_big"},
      {"no hops left",
       false,
       false,
       {},
       Build::udp(kClient, kVirtual).ttl(1),
       "198.51.100.1 > 192.0.2.7 icmp 11/0 {192.0.2.7:1000 > 198.51.100.1:80 udp data 4 ttl 1} ttl "
       "64 id 0 @gw | !time_exceeded"},
      {"IPv6 to an IPv4 server", true, false, {}, Build::tcp(kClient6, kVirtual6), "!unreachable"},
  };
  for (const Row& row : rows) check(row, Method::kDirect);
}

BOOST_AUTO_TEST_CASE(tunnels) {
  const RealServerSpec gue{.tunnel = TunnelKind::kGue};
  const Row rows[] = {
      {"IPv4 in IPv4",
       false,
       false,
       {},
       Build::tcp(kClient, kVirtual),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63} ttl 63 id 0 @a"},
      {"IPv6 in IPv6",
       true,
       true,
       {},
       Build::tcp(kClient6, kVirtual6),
       "2001:db8:2::fe > 2001:db8:2::1 ip41 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 tcp S ttl 63} "
       "ttl 63 @a"},
      {"IPv4 in IPv6",
       false,
       true,
       {},
       Build::tcp(kClient, kVirtual),
       "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63} ttl 63 "
       "@a"},
      {"IPv6 in IPv4",
       true,
       false,
       {},
       Build::udp(kClient6, kVirtual6),
       "10.1.0.254 > 10.1.0.1 ip41 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 udp data 4 ttl 63} ttl "
       "63 df id 0 @a"},
      {"DF comes from inside",
       false,
       false,
       {},
       Build::tcp(kClient, kVirtual).df(),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 df} ttl 63 df id "
       "0 @a"},
      {"hops come from inside",
       false,
       false,
       {},
       Build::tcp(kClient, kVirtual).ttl(5),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 4} ttl 4 id 0 @a"},
      {"DSCP and ECT come from inside",
       false,
       false,
       {},
       Build::tcp(kClient, kVirtual).tos(0xb9),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 tos 185} ttl 63 "
       "tos 185 id 0 @a"},
      {"a congestion mark becomes ECT(0) outside",
       false,
       false,
       {},
       Build::tcp(kClient, kVirtual).tos(0xbb),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 tos 187} ttl 63 "
       "tos 186 id 0 @a"},
      {"traffic class from IPv6 to IPv4",
       true,
       false,
       {},
       Build::tcp(kClient6, kVirtual6).tos(0x29),
       "10.1.0.254 > 10.1.0.1 ip41 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 tcp S ttl 63 tos 41} "
       "ttl 63 tos 41 df id 0 @a"},
      {"traffic class from IPv4 to IPv6",
       false,
       true,
       {},
       Build::tcp(kClient, kVirtual).tos(0x2b),
       "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 tos 43} "
       "ttl "
       "63 tos 42 @a"},
      {"exactly what fits",
       false,
       false,
       {},
       Build::udp(kClient, kVirtual).payload(1452).df(),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 1452 ttl 63 df} ttl "
       "63 df id 0 @a"},
      {"more, with DF",
       false,
       false,
       {},
       Build::udp(kClient, kVirtual).payload(1453).df(),
       "198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1480 {192.0.2.7:1000 > 198.51.100.1:80 udp data "
       "1453 ttl 64 df} ttl 64 id 0 @gw | !too_big"},
      {"more, IPv6",
       true,
       true,
       {},
       Build::udp(kClient6, kVirtual6).payload(1413),
       "2001:db8:1::1 > 2001:db8::7 icmp6 2/0 rest 1460 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 "
       "udp "
       "data 1413 ttl 64} ttl 64 @gw | !too_big"},
      {"more than fits in GUE", false, false, gue, Build::udp(kClient, kVirtual).payload(1441).df(),
       "198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1468 {192.0.2.7:1000 > 198.51.100.1:80 udp data "
       "1441 ttl 64 df} ttl 64 id 0 @gw | !too_big"},
      {"UDP without a checksum inside",
       false,
       false,
       {},
       Build::udp(kClient, kVirtual).no_checksum(),
       "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp NO-SUM data 4 ttl 63} ttl "
       "63 id 0 @a"},
  };
  for (const Row& row : rows) check(row, Method::kTunnel);
}

// GUE's source port is the flow's; the rest of the line is fixed.
BOOST_AUTO_TEST_CASE(gue) {
  struct Case {
    const char* description;
    bool v6;
    bool tunnel6;
    bool checksum;
    Bytes packet;
    const char* begins;
    const char* ends;
  };
  const Case cases[] = {
      {"IPv4 in IPv4", false, false, false, Build::tcp(kClient, kVirtual), "10.1.0.254:",
       " > 10.1.0.1:6080 udp NO-SUM gue 262144 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63} ttl "
       "63 "
       "id 0 @a"},
      {"with a checksum", false, false, true, Build::tcp(kClient, kVirtual), "10.1.0.254:",
       " > 10.1.0.1:6080 udp gue 262144 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63} ttl 63 id "
       "0 @a"},
      {"IPv6 in IPv6 always has one", true, true, false, Build::tcp(kClient6, kVirtual6),
       "[2001:db8:2::fe]:",
       " > [2001:db8:2::1]:6080 udp gue 2686976 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 tcp S ttl "
       "63} "
       "ttl 63 @a"},
      {"IPv4 in IPv6", false, true, false, Build::udp(kClient, kVirtual), "[2001:db8:2::fe]:",
       " > [2001:db8:2::1]:6080 udp gue 262144 {192.0.2.7:1000 > 198.51.100.1:80 udp data 4 ttl "
       "63} "
       "ttl 63 @a"},
  };
  for (const Case& row : cases) {
    World world;
    RealServerSpec server{.tunnel = TunnelKind::kGue, .tunnel_checksum = row.checksum};
    server.address = *IpAddress::parse(row.tunnel6 ? "2001:db8:2::1" : "10.1.0.1");
    add_default(world, Method::kTunnel, row.v6, {}, server);
    const std::string line = world.in(row.packet);
    BOOST_TEST(line.starts_with(row.begins), row.description << ": " << line);
    BOOST_TEST(line.ends_with(row.ends), row.description << ": " << line);
    const std::string again = world.in(row.packet);
    const auto port = [](const std::string& text) { return text.substr(0, text.find(" > ")); };
    BOOST_TEST(port(again) == port(line), "the same flow has the same port");
  }
}

// Without path MTU discovery the tunnel's packet is fragmented instead.
BOOST_AUTO_TEST_CASE(tunnel_without_path_mtu_discovery) {
  World world;
  ServiceSpec spec;
  spec.path_mtu_discovery = false;
  add_default(world, Method::kTunnel, false, spec);
  world.in(Build::udp(kClient, kVirtual).payload(1472).df());
  BOOST_REQUIRE(world.out.size() == 2u);
  BOOST_TEST(describe(world.out[1]) ==
             "10.1.0.254 > 10.1.0.1 proto 4 data 20 from 172 ttl 63 frag 1480 id 0");
  BOOST_TEST(world.out[0].size() == 1500u);
}

// The tunnel's packet is cut where the one inside may be: an IPv6 one at its origin, which is here.
BOOST_AUTO_TEST_CASE(fragments_of_a_tunnel_over_ipv6) {
  struct Case {
    const char* description;
    TunnelKind tunnel;
    bool path_mtu_discovery;
    uint32_t mtu;
    Bytes packet;
    std::vector<size_t> sizes;  // Of the packets that leave; empty: none does.
    const char* lines;
  };
  const auto large = [](size_t size) { return Build::udp(kClient, kVirtual).payload(size); };
  const Case cases[] = {
      {"exactly what fits",
       TunnelKind::kIpIp,
       true,
       1500,
       large(1432),
       {1500},
       "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 1432 ttl 63} "
       "ttl 63 @a"},
      {"a byte more",
       TunnelKind::kIpIp,
       true,
       1500,
       large(1433),
       {1496, 61},
       "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 1433 ttl 63} "
       "ttl 63 frag 0+ id 0 @a | "
       "2001:db8:2::fe > 2001:db8:2::1 proto 4 data 13 from 140 ttl 63 frag 1448 id 0 @a"},
      {"several",
       TunnelKind::kIpIp,
       true,
       1280,
       large(3000),
       {1280, 1280, 612},
       "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 3000 ttl 63} "
       "ttl 63 frag 0+ id 0 @a | "
       "2001:db8:2::fe > 2001:db8:2::1 proto 4 data 1232 from 180 ttl 63 frag 1232+ id 0 @a | "
       "2001:db8:2::fe > 2001:db8:2::1 proto 4 data 564 from 132 ttl 63 frag 2464 id 0 @a"},
      {"GUE",
       TunnelKind::kGue,
       true,
       1500,
       large(1440),
       {1496, 80},
       "[2001:db8:2::fe]:54214 > [2001:db8:2::1]:6080 udp gue 262144 "
       "{192.0.2.7:1000 > 198.51.100.1:80 udp data 1440 ttl 63} ttl 63 frag 0+ id 0 @a | "
       "2001:db8:2::fe > 2001:db8:2::1 proto 17 data 32 from 128 ttl 63 frag 1448 id 0 @a"},
      {"DF is not looked at without path MTU discovery",
       TunnelKind::kIpIp,
       false,
       1500,
       large(1433).df(),
       {1496, 61},
       "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 1433 ttl 63 "
       "df} "
       "ttl 63 frag 0+ id 0 @a | "
       "2001:db8:2::fe > 2001:db8:2::1 proto 4 data 13 from 140 ttl 63 frag 1448 id 0 @a"},
      {"with DF its sender is told",
       TunnelKind::kIpIp,
       true,
       1500,
       large(1433).df(),
       {576},
       "198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1460 {192.0.2.7:1000 > 198.51.100.1:80 udp data "
       "1433 ttl 64 df} ttl 64 id 0 @gw | !too_big"},
      {"a link that cannot have IPv6",
       TunnelKind::kIpIp,
       true,
       1279,
       large(1000),
       {},
       "!unreachable"},
  };
  for (const Case& row : cases) {
    World world;
    world.server_mtu = row.mtu;
    ServiceSpec spec;
    spec.path_mtu_discovery = row.path_mtu_discovery;
    add_default(world, Method::kTunnel, false, spec,
                {.address = *IpAddress::parse("2001:db8:2::1"), .tunnel = row.tunnel});
    const std::string lines = world.in(row.packet);
    BOOST_TEST(lines == row.lines, row.description << ": " << lines);
    std::vector<size_t> sizes;
    for (const Bytes& packet : world.out) sizes.push_back(packet.size());
    BOOST_TEST(sizes == row.sizes, boost::test_tools::per_element());
  }
}

// Put together, they are the packet that the tunnel would have had; another packet's differ by id.
BOOST_AUTO_TEST_CASE(fragments_of_a_tunnel_over_ipv6_are_the_whole) {
  World world;
  add_default(world, Method::kTunnel, false, {}, {.address = *IpAddress::parse("2001:db8:2::1")});
  std::vector<Bytes> ids;
  for (int i = 0; i < 2; ++i) {
    const Bytes packet = Build::udp(kClient, kVirtual).payload(4000).partial_sum();
    world.in(packet, {.partial = true, .start = 20, .offset = 6});
    Bytes whole(world.out.at(0).begin(), world.out.at(0).begin() + 40);
    for (const Bytes& piece : world.out) whole.insert(whole.end(), piece.begin() + 48, piece.end());
    whole[4] = static_cast<uint8_t>((whole.size() - 40) >> 8);
    whole[5] = static_cast<uint8_t>(whole.size() - 40);
    whole[6] = kIpInIp;
    BOOST_TEST(describe(whole) ==
               "2001:db8:2::fe > 2001:db8:2::1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 4000 "
               "ttl 63} ttl 63");
    BOOST_TEST((payload_of(Bytes(whole.begin() + 40, whole.end())) == payload_of(packet)));
    ids.emplace_back(world.out[0].begin() + 44, world.out[0].begin() + 48);
    for (const Bytes& piece : world.out)
      BOOST_TEST(Bytes(piece.begin() + 44, piece.begin() + 48) == ids.back(),
                 boost::test_tools::per_element());
  }
  BOOST_TEST((ids[0] != ids[1]));
}

// What the hardware would cut for the link is cut here: it knows nothing of the tunnel.
BOOST_AUTO_TEST_CASE(large_segments_in_a_tunnel) {
  World world;
  add_default(world, Method::kTunnel);
  const Bytes large =
      Build::tcp(kClient, kVirtual, "SPA").payload(3500).df().sequence(100, 7).partial_sum();
  world.in(large, {.partial = true, .start = 20, .offset = 16, .segment_size = 1400});
  BOOST_REQUIRE(world.out.size() == 3u);
  const char* inside[] = {"tcp SA seq 100/7 data 1400 ttl 63 df} ttl 63 df id 0",
                          "tcp SA seq 1500/7 data 1400 from 120 ttl 63 df id 4661} ttl 63 df id 1",
                          "tcp SPA seq 2900/7 data 700 from 240 ttl 63 df id 4662} ttl 63 df id 2"};
  Bytes whole;
  for (size_t i = 0; i < 3; ++i) {
    BOOST_TEST(describe(world.out[i]) ==
               "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 " +
                   std::string(inside[i]));
    const Bytes inner(world.out[i].begin() + 20, world.out[i].end());
    BOOST_TEST(inner[27] == (100 + whole.size()) % 256);
    const Bytes data = payload_of(inner);
    whole.insert(whole.end(), data.begin(), data.end());
  }
  BOOST_TEST((whole == payload_of(large)));
  // Nothing to cut: one packet.
  BOOST_TEST(world.in(Build::tcp(kClient, kVirtual, "A"), {.segment_size = 1400}).ends_with("@a"));
}

BOOST_AUTO_TEST_CASE(local_node) {
  World world;
  add_default(world, Method::kLocal);
  BOOST_TEST(world.in(Build::tcp(kClient, kVirtual).ttl(1)) ==
             "192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 1 @local");
}

// Fragments of one director's packets must not be put together with those of another's: threads of
// one host send to the same servers from the same address. And services share servers.
BOOST_AUTO_TEST_CASE(outer_identifications_are_used_once) {
  constexpr uint32_t kParts = 3;
  constexpr uint16_t kPackets = 50;
  std::set<uint16_t> seen;
  for (uint32_t part = 0; part < kParts; ++part) {
    World world({.part = part, .parts = kParts, .first_id = 0xffffffa1});
    for (const char* address : {"198.51.100.1:80", "198.51.100.2:80"})
      world.server(world.add(address, kUdp, {.method = Method::kTunnel}), "a");
    for (uint16_t i = 0; i < kPackets; ++i) {
      const std::string number = std::to_string(1 + i % 2);
      world.in(Build::udp(kClient, "198.51.100." + number + ":80"));
      BOOST_REQUIRE(world.out.size() == 1u);
      seen.insert(load_be16(world.out[0].data() + 4));
    }
  }
  BOOST_TEST(seen.size() == size_t{kParts} * kPackets);
}

// Each server its own method, in one service under one scheduler; newest first, as rr has it.
BOOST_AUTO_TEST_CASE(mixed_methods) {
  World world;
  Service& service = world.add(kVirtual, kUdp, {.scheduler = "rr"});
  world.server(service, "a", {.port = 8080});
  world.server(service, "b", {.method = Method::kDirect});
  world.server(service, "c", {.method = Method::kTunnel});
  world.server(service, "d", {.method = Method::kLocal});
  const char* lines[] = {
      "192.0.2.7:1 > 198.51.100.1:80 udp data 4 ttl 64 @local",
      "10.1.0.254 > 10.1.0.3 ip4 {192.0.2.7:2 > 198.51.100.1:80 udp data 4 ttl 63} ttl 63 id 0 @c",
      "192.0.2.7:3 > 198.51.100.1:80 udp data 4 ttl 63 @b",
      "192.0.2.7:4 > 10.1.0.1:8080 udp data 4 ttl 63 @a",
  };
  for (int i = 0; i < 4; ++i)
    BOOST_TEST(world.in(Build::udp("192.0.2.7:" + std::to_string(i + 1), kVirtual)) == lines[i]);
  // And each connection stays with its server.
  for (int i = 3; i >= 0; --i) {
    const std::string line = world.in(Build::udp("192.0.2.7:" + std::to_string(i + 1), kVirtual));
    const auto server = [](const std::string& text) { return text.substr(text.find('@')); };
    BOOST_TEST(server(line) == server(lines[i]));
  }
}

BOOST_AUTO_TEST_CASE(ports_and_groups) {
  World world;
  const auto any = [](std::string_view address, uint16_t first, uint16_t last, uint8_t protocol) {
    return VirtualRange{
        .addresses = *Cidr::parse(address), .first = first, .last = last, .protocol = protocol};
  };
  ServiceSpec all{.name = "all", .ranges = {any("198.51.100.1", 0, 65535, kUdp)}};
  ServiceSpec range{.name = "range", .ranges = {any("198.51.100.1", 5000, 5010, 0)}};
  ServiceSpec web{
      .name = "web",
      .ranges = {any("198.51.100.1", 80, 80, kTcp), any("198.51.100.1", 443, 443, kTcp)},
      .group = true};
  ServiceSpec net{.name = "net", .ranges = {any("203.0.113.0/24", 53, 53, kUdp)}, .group = true};
  world.server(world.add(all), "a");
  world.server(world.add(range), "b", {.port = 9000});
  world.server(world.add(web), "c");
  world.server(world.add(net), "d");
  struct Case {
    const char* description;
    Bytes packet;
    const char* result;
  };
  const Case cases[] = {
      {"any port", Build::udp(kClient, "198.51.100.1:7"),
       "192.0.2.7:1000 > 10.1.0.1:7 udp data 4 ttl 63 @a"},
      {"a range is narrower than all", Build::udp(kClient, "198.51.100.1:5000"),
       "192.0.2.7:1000 > 10.1.0.2:9000 udp data 4 ttl 63 @b"},
      {"the end of the range", Build::tcp(kClient, "198.51.100.1:5010"),
       "192.0.2.7:1000 > 10.1.0.2:9000 tcp S ttl 63 @b"},
      {"behind it", Build::udp(kClient, "198.51.100.1:5011"),
       "192.0.2.7:1000 > 10.1.0.1:5011 udp data 4 ttl 63 @a"},
      {"a group's first port", Build::tcp(kClient, "198.51.100.1:80"),
       "192.0.2.7:1000 > 10.1.0.3:80 tcp S ttl 63 @c"},
      {"a group's second port", Build::tcp(kClient, "198.51.100.1:443"),
       "192.0.2.7:1000 > 10.1.0.3:443 tcp S ttl 63 @c"},
      {"a network", Build::udp(kClient, "203.0.113.200:53"),
       "192.0.2.7:1000 > 10.1.0.4:53 udp data 4 ttl 63 @d"},
      {"another protocol of the port", Build::tcp("192.0.2.8:1", "198.51.100.1:7"),
       "198.51.100.1:7 > 192.0.2.8:1 tcp RA seq 0/1001 ttl 64 id 0 @gw | !no_service"},
  };
  for (const Case& row : cases) {
    const std::string line = world.in(row.packet);
    BOOST_TEST(line == row.result, row.description << ": " << line);
  }
}

// Outer headers to one address never have the same identification for long: not those of two
// services, and not those of two directors that share the work.
BOOST_AUTO_TEST_CASE(identifications_of_tunnels) {
  std::set<int> seen;
  for (const uint32_t part : {0, 1, 2}) {
    World world({.part = part, .parts = 3});
    world.server(world.add(kVirtual, kUdp, {.method = Method::kTunnel}), "a");
    world.server(world.add("198.51.100.2:80", kUdp, {.method = Method::kTunnel}), "a");
    for (int i = 0; i < 8000; ++i) {
      BOOST_REQUIRE(
          world.in(Build::udp(kClient, i % 2 == 0 ? kVirtual : "198.51.100.2:80")).ends_with("@a"));
      BOOST_REQUIRE(seen.insert(world.out[0][4] << 8 | world.out[0][5]).second);
    }
  }
}

// Addresses that change sides between services which are edited one after the other.
BOOST_AUTO_TEST_CASE(services_that_swap_addresses) {
  World world;
  Service& one = world.add(kVirtual, kTcp);
  Service& two = world.add("198.51.100.2:80", kTcp);
  world.server(one, "a");
  world.server(two, "b");
  const ServiceSpec first = one.spec();
  const ServiceSpec second = two.spec();
  BOOST_TEST(world.in(Build::tcp(kClient, kVirtual)).ends_with("@a"));
  world.director->withdraw_service(one);
  world.director->withdraw_service(two);
  BOOST_TEST(world.in(Build::tcp("192.0.2.7:1001", kVirtual)) == "ignored");
  world.director->edit_service(one, second);
  world.director->edit_service(two, first);
  BOOST_TEST(world.in(Build::tcp("192.0.2.7:1002", kVirtual)).ends_with("@b"));
  BOOST_TEST(world.in(Build::tcp("192.0.2.7:1002", "198.51.100.2:80")).ends_with("@a"));
  BOOST_TEST(world.in(Build::tcp(kClient, kVirtual, "A")).ends_with("@a"), "known before");
}

// A server that comes back to be reached in another way is another one: its connections end. Until
// it is taken off, nothing changes for them.
BOOST_AUTO_TEST_CASE(a_changed_method) {
  const Bytes segment = Build::tcp(kClient, kVirtual, "A");
  World world;
  RealServer* server = &add_default(world, Method::kNat);
  Service& service = *server->service;
  ServiceSpec spec = service.spec();
  const RealServerSpec listed = server->spec;
  world.in(Build::tcp(kClient, kVirtual));
  const char* translated = "192.0.2.7:1000 > 10.1.0.1:8080 tcp A ttl 63 @a";
  BOOST_TEST(world.in(segment) == translated);

  spec.method = Method::kDirect;
  world.director->edit_service(service, spec);
  BOOST_TEST(!same_way(*server, listed, spec.method));
  BOOST_TEST(world.in(segment) == translated);
  world.remove(*server);
  server = &world.server(service, "a", listed);
  BOOST_TEST(world.in(segment) == "!server_gone");
  BOOST_TEST(world.in(Build::tcp("192.0.2.7:1001", kVirtual)) ==
             "192.0.2.7:1001 > 198.51.100.1:80 tcp S ttl 63 @a");

  world.remove(*server);
  spec.method = Method::kNat;
  world.director->edit_service(service, spec);
  world.server(service, "a", listed);
  BOOST_TEST(world.in(segment) == translated, "it is the first one again");
  BOOST_TEST(world.in(Build::tcp("192.0.2.7:1001", kVirtual, "A")) == "!server_gone");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
