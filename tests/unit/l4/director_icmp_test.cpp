// ICMP through the director: errors about connections in both directions, errors about tunnels,
// echo, and what is not believed.
#include <boost/test/unit_test.hpp>

#include "unit/l4/world.h"

namespace shunt::l4::test {
namespace {

constexpr const char* kRouter = "203.0.113.9";
constexpr const char* kServer = "10.1.0.1:8080";

Bytes first(Bytes bytes, size_t size) {
  bytes.resize(size);
  return bytes;
}

struct Row {
  const char* description;
  Method method;
  bool v6;
  Bytes before;
  Bytes packet;
  const char* result;
};

void check(const Row& row) {
  World world;
  add_default(world, row.method, row.v6);
  world.in(row.before);
  const std::string line = world.in(row.packet);
  BOOST_TEST(line == row.result, row.description << ": " << line);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(director_icmp)

BOOST_AUTO_TEST_CASE(errors_about_connections) {
  const Bytes open = Build::tcp(kClient, kVirtual);
  const Bytes udp = Build::udp(kClient, kVirtual);
  const Bytes open6 = Build::tcp(kClient6, kVirtual6);
  const Bytes reply = Build::tcp(kVirtual, kClient, "A").payload(1400).df();
  const Row rows[] = {
      {"frag needed on the way to the client, NAT", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, first(reply, 28)),
       "203.0.113.9 > 10.1.0.1 icmp 3/4 rest 1400 {10.1.0.1:8080 > 192.0.2.7:1000 tcp ttl 64 df} "
       "ttl "
       "63 @a"},
      {"the same with a whole packet quoted", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A")),
       "203.0.113.9 > 10.1.0.1 icmp 3/4 rest 1400 {10.1.0.1:8080 > 192.0.2.7:1000 tcp A ttl 64} "
       "ttl 63 "
       "@a"},
      {"about UDP", Method::kNat, false, udp,
       Build::icmp(kRouter, "198.51.100.1", 3, 3, 0, Build::udp(kVirtual, kClient)),
       "203.0.113.9 > 10.1.0.1 icmp 3/3 {10.1.0.1:8080 > 192.0.2.7:1000 udp data 4 ttl 64} ttl 63 "
       "@a"},
      {"about UDP without a checksum", Method::kNat, false, udp,
       Build::icmp(kRouter, "198.51.100.1", 3, 3, 0, Build::udp(kVirtual, kClient).no_checksum()),
       "203.0.113.9 > 10.1.0.1 icmp 3/3 {10.1.0.1:8080 > 192.0.2.7:1000 udp NO-SUM data 4 ttl 64} "
       "ttl "
       "63 @a"},
      {"time exceeded", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 11, 0, 0, Build::tcp(kVirtual, kClient, "A")),
       "203.0.113.9 > 10.1.0.1 icmp 11/0 {10.1.0.1:8080 > 192.0.2.7:1000 tcp A ttl 64} ttl 63 @a"},
      {"DR passes it on as it is", Method::kDirect, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A")),
       "203.0.113.9 > 198.51.100.1 icmp 3/4 rest 1400 {198.51.100.1:80 > 192.0.2.7:1000 tcp A ttl "
       "64} "
       "ttl 63 @a"},
      {"TUN wraps it", Method::kTunnel, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A")),
       "10.1.0.254 > 10.1.0.1 ip4 {203.0.113.9 > 198.51.100.1 icmp 3/4 rest 1400 {198.51.100.1:80 "
       "> 192.0.2.7:1000 tcp A ttl 64} ttl 63} ttl 63 id 1 @a"},
      {"the server's error about the client's packet", Method::kNat, false, udp,
       Build::icmp("10.1.0.1", "192.0.2.7", 3, 3, 0, Build::udp(kClient, kServer)),
       "198.51.100.1 > 192.0.2.7 icmp 3/3 {192.0.2.7:1000 > 198.51.100.1:80 udp data 4 ttl 64} ttl "
       "63 "
       "@gw"},
      {"a router's before the server", Method::kNat, false, open,
       Build::icmp("10.1.0.9", "192.0.2.7", 3, 1, 0, Build::tcp(kClient, kServer)),
       "198.51.100.1 > 192.0.2.7 icmp 3/1 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 64} ttl 63 "
       "@gw"},
      {"too big, IPv6", Method::kNat, true, open6,
       Build::icmp("2001:db8:9::9", "2001:db8:1::1", 2, 0, 1300,
                   Build::tcp(kVirtual6, kClient6, "A").payload(100)),
       "2001:db8:9::9 > 2001:db8:2::1 icmp6 2/0 rest 1300 {[2001:db8:2::1]:8080 > "
       "[2001:db8::7]:1000 "
       "tcp A data 100 ttl 64} ttl 63 @a"},
      {"the server's, IPv6", Method::kNat, true, open6,
       Build::icmp("2001:db8:2::1", "2001:db8::7", 1, 4, 0,
                   Build::tcp(kClient6, "[2001:db8:2::1]:8080")),
       "2001:db8:1::1 > 2001:db8::7 icmp6 1/4 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 tcp S ttl "
       "64} "
       "ttl 63 @gw"},
      {"about an unknown connection", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400,
                   Build::tcp("198.51.100.1:81", kClient, "A")),
       "!unrelated"},
      {"to another than it is about", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.2", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A")),
       "!unrelated"},
      {"with a wrong checksum", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A"))
           .poke(23, 1),
       "!bad_checksum"},
      {"that quotes too little", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, first(reply, 22)), "!unrelated"},
      {"that quotes nothing", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400), "!unrelated"},
      {"that quotes another family", Method::kNat, false, open,
       Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual6, kClient6)),
       "!unrelated"},
      {"from nowhere", Method::kNat, false, open,
       Build::icmp("127.0.0.1", "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A")),
       "!martian_source"},
      {"from a broadcast address", Method::kNat, false, open,
       Build::icmp("255.255.255.255", "198.51.100.1", 3, 4, 1400,
                   Build::tcp(kVirtual, kClient, "A")),
       "!martian_source"},
      {"from whom it is to", Method::kNat, false, open,
       Build::icmp("198.51.100.1", "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A")),
       "!land"},
      {"about others", Method::kNat, false, open,
       Build::icmp(kRouter, "203.0.113.1", 3, 4, 1400, Build::tcp("203.0.113.1:1", kClient, "A")),
       "ignored"},
  };
  for (const Row& row : rows) check(row);
}

BOOST_AUTO_TEST_CASE(echo) {
  const Bytes none = Build::udp(kClient, kVirtual);
  const Row rows[] = {
      {"of a virtual address", Method::kNat, false, none,
       Build::icmp("192.0.2.7", "198.51.100.1", 8, 0, 0x10002, {1, 2, 3}),
       "198.51.100.1 > 192.0.2.7 icmp 0/0 rest 65538 data 3 from 1 ttl 64 id 0 @gw | !consumed"},
      {"of IPv6", Method::kNat, true, none, Build::icmp("2001:db8::7", "2001:db8:1::1", 128, 0, 7),
       "2001:db8:1::1 > 2001:db8::7 icmp6 129/0 rest 7 ttl 64 @gw | !consumed"},
      {"of another address", Method::kNat, false, none,
       Build::icmp("192.0.2.7", "198.51.100.9", 8, 0, 1), "ignored"},
      {"with a wrong checksum", Method::kNat, false, none,
       Build::icmp("192.0.2.7", "198.51.100.1", 8, 0, 1).poke(23, 9), "!bad_checksum"},
      {"from nobody", Method::kNat, false, none, Build::icmp("127.0.0.1", "198.51.100.1", 8, 0, 1),
       "!martian_source"},
      {"a reply is not answered", Method::kNat, false, none,
       Build::icmp("192.0.2.7", "198.51.100.1", 0, 0, 1), "!consumed"},
  };
  for (const Row& row : rows) check(row);
}

// A router in the tunnel's way says what it takes: the client hears what then fits inside, and
// later packets are held to it, for ten minutes.
BOOST_AUTO_TEST_CASE(tunnels_path_mtu) {
  struct Case {
    const char* description;
    TunnelKind kind;
    uint32_t fits;
  };
  for (const Case& row :
       {Case{"IPIP", TunnelKind::kIpIp, 1380}, Case{"GUE", TunnelKind::kGue, 1368}}) {
    World world;
    add_default(world, Method::kTunnel, false, {}, {.tunnel = row.kind});
    const Bytes large = Build::udp(kClient, kVirtual).payload(1420).df();
    world.in(large);
    const Bytes sent = world.out.at(0);
    BOOST_REQUIRE(sent.size() > 1400u);
    const std::string told = "198.51.100.1 > 192.0.2.7 icmp 3/4 rest " + std::to_string(row.fits);
    const std::string error = world.in(Build::icmp("10.9.9.9", "10.1.0.254", 3, 4, 1400, sent));
    BOOST_TEST(error.starts_with(told), row.description << ": " << error);
    BOOST_TEST(error.ends_with("!consumed"), row.description);
    const std::string again = world.in(large);
    BOOST_TEST(again.starts_with(told), row.description << ": " << again);
    BOOST_TEST(again.ends_with("!too_big"), row.description);
    const auto fitting = static_cast<size_t>(row.fits - 28);
    BOOST_TEST(world.in(Build::udp(kClient, kVirtual).payload(fitting).df()).ends_with("@a"));
    world.pass(std::chrono::minutes(11));
    BOOST_TEST(world.in(large).ends_with("@a"), row.description);
  }
}

// What anybody could have made up is not believed: the packet inside must be of a connection that
// is known, or of a flow that may be without one. The largest packet that a path takes never grows
// by a report, and never gets so small that nothing fits.
BOOST_AUTO_TEST_CASE(tunnels_path_mtu_is_not_for_anybody_to_set) {
  const auto wrapped = [](const Bytes& inside) {
    return Build::other("10.1.0.254", "10.1.0.1", 4, inside);
  };
  const auto report = [](const Bytes& quoted, uint32_t mtu) {
    return Build::icmp("10.9.9.9", "10.1.0.254", 3, 4, mtu, quoted).bytes();
  };
  const Bytes known = Build::udp(kClient, kVirtual).payload(1400).df();
  World world;
  const RealServer& server = add_default(world, Method::kTunnel);
  BOOST_TEST(world.in(report(wrapped(known), 600)) == "!unrelated");
  BOOST_TEST(world.in(known).ends_with("@a"));
  BOOST_TEST(world.in(report(wrapped(Build::udp("192.0.2.8:1", kVirtual).df()), 600)) ==
             "!unrelated");
  BOOST_TEST(world.in(report(wrapped(Build::udp(kVirtual, kClient).df()), 600)) == "!unrelated");
  BOOST_TEST(world.in(Build::icmp("127.0.0.1", "10.1.0.254", 3, 4, 600, wrapped(known))) ==
             "!martian_source");
  BOOST_TEST(world.in(Build(Build::icmp("10.9.9.9", "10.1.0.254", 3, 4, 600, wrapped(known)))
                          .poke(23, 1)) == "!bad_checksum");
  BOOST_TEST(server.path_mtu == 0u);
  world.in(report(wrapped(known), 1300));
  BOOST_TEST(server.path_mtu == 1300u);
  world.in(report(wrapped(known), 1400));
  BOOST_TEST(server.path_mtu == 1300u);
  world.in(report(wrapped(known), 100));
  BOOST_TEST(server.path_mtu == 552u);
  world.pass(std::chrono::minutes(11));
  world.in(known);
  world.in(report(wrapped(known), 1400));
  BOOST_TEST(server.path_mtu == 1400u, "once it is forgotten");
  // The client is not told more often than of other errors.
  int told = 0;
  for (int i = 0; i < 100; ++i)
    told += world.in(report(wrapped(known), 1300)) != "!consumed" ? 1 : 0;
  BOOST_TEST(told == 5);

  ServiceSpec spec;
  spec.one_packet = true;
  World single;
  const RealServer& other = add_default(single, Method::kTunnel, false, spec);
  single.in(report(wrapped(Build::tcp(kClient, kVirtual).df()), 1300));
  BOOST_TEST(other.path_mtu == 0u);
  single.in(report(wrapped(known), 1300));
  BOOST_TEST(other.path_mtu == 1300u, "of no connection, but of a service that has none");
}

BOOST_AUTO_TEST_CASE(errors_about_tunnels) {
  struct Case {
    const char* description;
    Bytes inside;
    const char* from;
    const char* to;
    uint8_t type;
    uint8_t code;
    uint32_t rest;
    size_t quoted;
    const char* result;
  };
  const Bytes df = Build::tcp(kClient, kVirtual).df();
  const Bytes plain = Build::tcp(kClient, kVirtual);
  const Case cases[] = {
      {"unreachable is relayed", df, "10.9.9.9", "10.1.0.254", 3, 1, 0, 999,
       "198.51.100.1 > 192.0.2.7 icmp 3/1 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 df} ttl "
       "64 id 0 @gw | !consumed"},
      {"time exceeded is relayed", df, "10.9.9.9", "10.1.0.254", 11, 0, 0, 999,
       "198.51.100.1 > 192.0.2.7 icmp 11/0 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 63 df} ttl "
       "64 id 0 @gw | !consumed"},
      {"too big without DF inside stays here", plain, "10.9.9.9", "10.1.0.254", 3, 4, 1400, 999,
       "!consumed"},
      {"too little of the packet inside", df, "10.9.9.9", "10.1.0.254", 3, 4, 1400, 28,
       "!unrelated"},
      {"an MTU that cannot be", df, "10.9.9.9", "10.1.0.254", 3, 4, 20, 999, "!consumed"},
      {"an MTU that is no news", df, "10.9.9.9", "10.1.0.254", 3, 4, 1500, 999, "!consumed"},
      {"not to our end of the tunnel", df, "10.9.9.9", "10.1.0.253", 3, 4, 1400, 999, "ignored"},
  };
  for (const Case& row : cases) {
    World world;
    add_default(world, Method::kTunnel);
    world.in(row.inside);
    const Bytes quoted = first(world.out.at(0), std::min(row.quoted, world.out[0].size()));
    const std::string line =
        world.in(Build::icmp(row.from, row.to, row.type, row.code, row.rest, quoted));
    BOOST_TEST(line == row.result, row.description << ": " << line);
  }
}

BOOST_AUTO_TEST_CASE(errors_about_tunnels_over_ipv6) {
  World world;
  RealServerSpec server;
  server.address = *IpAddress::parse("2001:db8:2::1");
  add_default(world, Method::kTunnel, false, {}, server);
  world.in(Build::udp(kClient, kVirtual).payload(1400).df());
  const Bytes sent = first(world.out.at(0), 120);
  BOOST_TEST(world.in(Build::icmp("2001:db8:9::9", "2001:db8:2::fe", 2, 0, 1400, sent))
                 .starts_with("198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1360 {"));
  BOOST_TEST(world.in(Build::icmp("2001:db8:9::9", "2001:db8:2::fe", 3, 0, 0, sent))
                 .starts_with("198.51.100.1 > 192.0.2.7 icmp 11/0 {"));
  BOOST_TEST(world.in(Build::icmp("2001:db8:9::9", "2001:db8:2::fe", 1, 0, 0, sent))
                 .starts_with("198.51.100.1 > 192.0.2.7 icmp 3/1 {"));
}

// No error about an error, nor about a later fragment, nor more of them than the limits allow.
BOOST_AUTO_TEST_CASE(what_is_not_answered) {
  World world;
  add_default(world, Method::kNat);
  world.in(Build::tcp(kClient, kVirtual));
  BOOST_TEST(
      world.in(Build::icmp(kRouter, "198.51.100.1", 3, 4, 1400, Build::tcp(kVirtual, kClient, "A"))
                   .ttl(1)) == "!time_exceeded");
  const auto parts = fragments_of(Build::udp(kClient, kVirtual).payload(96), 56);
  world.in(parts[0]);
  Bytes last = parts[1];
  last = fragment(Build::udp(kClient, kVirtual).ttl(1), 56, false, Bytes(48));
  BOOST_TEST(world.in(last) == "!time_exceeded");
}

BOOST_AUTO_TEST_CASE(limits_of_answers) {
  World world;
  add_default(world, Method::kNat);
  const auto errors = [&](const std::string& from, int count) {
    int answered = 0;
    for (int i = 0; i < count; ++i)
      answered += world.in(Build::udp(from, "198.51.100.1:9")) != "!no_service";
    return answered;
  };
  BOOST_TEST(errors("192.0.2.7:1", 100) == 6, "to one address");
  world.pass(std::chrono::seconds(2));
  BOOST_TEST(errors("192.0.2.7:1", 100) == 2, "and then one a second");
  world.pass(std::chrono::seconds(60));
  int all = 0;
  for (int i = 1; i < 255; ++i) all += errors("203.0.113." + std::to_string(i) + ":1", 1);
  BOOST_TEST(all == 50, "to all together");
  int resets = 0;
  for (int i = 1; i < 255; ++i)
    resets += world.in(Build::tcp("203.0.113." + std::to_string(i) + ":1", kVirtual, "A")) !=
              "!no_connection";
  BOOST_TEST(resets == 50, "resets");
  world.asked = 0;
  for (int i = 1; i < 255; ++i) {
    const std::string from = "203.0.113." + std::to_string(i);
    world.in(Build::udp(from + ":1", "198.51.100.1:9"));
    world.in(Build::tcp(from + ":1", kVirtual, "A"));
  }
  BOOST_TEST(world.asked == 0u, "who is not answered is not looked for");
  BOOST_TEST(world.director->answers().suppressed.value() == 94u + 98u + 204u + 204u + 2 * 254u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
