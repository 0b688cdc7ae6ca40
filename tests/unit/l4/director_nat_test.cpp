// NAT, bytes in and bytes out: both directions, checksums of every kind, sizes, hops.
#include <boost/test/unit_test.hpp>

#include "unit/l4/world.h"

namespace shunt::l4::test {
namespace {

constexpr const char* kServer = "10.1.0.1:8080";
constexpr const char* kServer6 = "[2001:db8:2::1]:8080";

struct Row {
  const char* description;
  bool v6;
  std::vector<Bytes> before;
  Bytes packet;
  const char* result;
};

void check(const Row& row, Method method) {
  World world;
  add_default(world, method, row.v6);
  for (const Bytes& packet : row.before) world.in(packet);
  const std::string line = world.in(row.packet);
  BOOST_TEST(line == row.result, row.description << ": " << line);
}

Bytes open4() {
  return Build::tcp(kClient, kVirtual);
}

Bytes open6() {
  return Build::tcp(kClient6, kVirtual6);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(director_nat)

BOOST_AUTO_TEST_CASE(both_directions) {
  const Row rows[] = {
      {"SYN", false, {}, open4(), "192.0.2.7:1000 > 10.1.0.1:8080 tcp S ttl 63 @a"},
      {"its answer",
       false,
       {open4()},
       Build::tcp(kServer, kClient, "SA"),
       "198.51.100.1:80 > 192.0.2.7:1000 tcp SA ttl 63 @gw"},
      {"data",
       false,
       {open4()},
       Build::tcp(kClient, kVirtual, "PA").payload(100),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp PA data 100 ttl 63 @a"},
      {"data of odd length",
       false,
       {open4()},
       Build::tcp(kClient, kVirtual, "PA").payload(101),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp PA data 101 ttl 63 @a"},
      {"data back",
       false,
       {open4()},
       Build::tcp(kServer, kClient, "A").payload(1460).df(),
       "198.51.100.1:80 > 192.0.2.7:1000 tcp A data 1460 ttl 63 df @gw"},
      {"reset back",
       false,
       {open4()},
       Build::tcp(kServer, kClient, "RA"),
       "198.51.100.1:80 > 192.0.2.7:1000 tcp RA ttl 63 @gw"},
      {"DSCP and ECN stay",
       false,
       {},
       Build::tcp(kClient, kVirtual).tos(0xbb),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp S ttl 63 tos 187 @a"},
      {"IPv4 options stay",
       false,
       {},
       Build::tcp(kClient, kVirtual).options({7, 3, 4, 0}),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp S ttl 63 opt 07030400 @a"},
      {"identification, sequence and what is acknowledged stay",
       false,
       {},
       Build::tcp(kClient, kVirtual).id(0xfedc).sequence(0x80000000, 77),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp S seq 2147483648/77 ttl 63 id 65244 @a"},
      {"padding goes",
       false,
       {},
       [] {
         Bytes padded = Build::tcp(kClient, kVirtual);
         padded.resize(46);
         return padded;
       }(),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp S ttl 63 @a"},
      {"the last hop but one",
       false,
       {},
       Build::tcp(kClient, kVirtual).ttl(2),
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp S ttl 1 @a"},
      {"UDP",
       false,
       {},
       Build::udp(kClient, kVirtual),
       "192.0.2.7:1000 > 10.1.0.1:8080 udp data 4 ttl 63 @a"},
      {"UDP back",
       false,
       {Build::udp(kClient, kVirtual)},
       Build::udp(kServer, kClient, "answer"),
       "198.51.100.1:80 > 192.0.2.7:1000 udp data 6 'answer' ttl 63 @gw"},
      {"UDP without a checksum keeps none",
       false,
       {},
       Build::udp(kClient, kVirtual).no_checksum(),
       "192.0.2.7:1000 > 10.1.0.1:8080 udp NO-SUM data 4 ttl 63 @a"},
      {"UDP without data",
       false,
       {},
       Build::udp(kClient, kVirtual, ""),
       "192.0.2.7:1000 > 10.1.0.1:8080 udp ttl 63 @a"},
      {"IPv6 SYN", true, {}, open6(), "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 tcp S ttl 63 @a"},
      {"IPv6 answer",
       true,
       {open6()},
       Build::tcp(kServer6, kClient6, "SA"),
       "[2001:db8:1::1]:80 > [2001:db8::7]:1000 tcp SA ttl 63 @gw"},
      {"IPv6 UDP",
       true,
       {},
       Build::udp(kClient6, kVirtual6),
       "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 udp data 4 ttl 63 @a"},
      {"IPv6 UDP back",
       true,
       {Build::udp(kClient6, kVirtual6)},
       Build::udp(kServer6, kClient6),
       "[2001:db8:1::1]:80 > [2001:db8::7]:1000 udp data 4 ttl 63 @gw"},
      {"IPv6 with extension headers",
       true,
       {},
       Build::tcp(kClient6, kVirtual6).extension(0).extension(60, 16),
       "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 tcp S ttl 63 ext 0 000000000000 ext 60 "
       "0000000000000000000000000000 @a"},
      {"IPv6 traffic class and flow label stay",
       true,
       {},
       Build::tcp(kClient6, kVirtual6).tos(0xbb).flow(0xabcde),
       "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 tcp S ttl 63 tos 187 flow 703710 @a"},
      {"IPv6 atomic fragment",
       true,
       {},
       Build::tcp(kClient6, kVirtual6).extension(44),
       "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 tcp S ttl 63 frag 0 id 0 @a"},
      {"a server's own traffic is not ours",
       false,
       {open4()},
       Build::tcp("10.1.0.1:22", "192.0.2.7:1000", "A"),
       "ignored"},
      {"other hosts' traffic is not ours",
       false,
       {},
       Build::tcp("10.9.0.1:1", "10.9.0.2:2"),
       "ignored"},
      {"broadcasts are not ours",
       false,
       {},
       Build::udp("10.9.0.1:67", "255.255.255.255:68"),
       "ignored"},
  };
  for (const Row& row : rows) check(row, Method::kNat);
}

// Whatever addresses and ports there are, the checksums hold (the printer says if not).
BOOST_AUTO_TEST_CASE(checksums_of_many_flows) {
  World world;
  add_default(world, Method::kNat);
  for (int i = 0; i < 3000; ++i) {
    const std::string from = "192.0." + std::to_string(i % 256) + "." +
                             std::to_string(i / 256 + 1) + ":" + std::to_string(1 + i * 21);
    const std::string forward = world.in(Build::udp(from, kVirtual));
    BOOST_REQUIRE(forward == from + " > 10.1.0.1:8080 udp data 4 ttl 63 @a");
    const std::string reply = world.in(Build::udp(kServer, from));
    BOOST_REQUIRE(reply == "198.51.100.1:80 > " + from + " udp data 4 ttl 63 @gw");
    world.pass(std::chrono::seconds(301));
  }
}

// A UDP checksum that becomes 0 is sent as 0xffff, not as "none".
BOOST_AUTO_TEST_CASE(a_udp_checksum_of_zero) {
  World world;
  add_default(world, Method::kNat);
  int minus_zero = 0;
  for (int i = 0; i < 70000; ++i) {
    const char data[2] = {static_cast<char>(i >> 8), static_cast<char>(i)};
    const std::string line = world.in(Build::udp(kClient, kVirtual, {data, 2}));
    BOOST_REQUIRE(line.starts_with("192.0.2.7:1000 > 10.1.0.1:8080 udp data 2 "));
    minus_zero += world.out[0][26] == 0xff && world.out[0][27] == 0xff;
  }
  BOOST_TEST(minus_zero > 0);
}

// Checksum left to the hardware: only the pseudo header's sum is carried over.
BOOST_AUTO_TEST_CASE(partial_checksums) {
  struct Case {
    const char* description;
    bool v6;
    Bytes packet;
    uint16_t start;
    uint16_t offset;
    const char* result;
  };
  const Case cases[] = {
      {"TCP", false, Build::tcp(kClient, kVirtual, "S").payload(3000).partial_sum(), 20, 16,
       "192.0.2.7:1000 > 10.1.0.1:8080 tcp S data 3000 ttl 63 @a"},
      {"UDP", false, Build::udp(kClient, kVirtual).partial_sum(), 20, 6,
       "192.0.2.7:1000 > 10.1.0.1:8080 udp data 4 ttl 63 @a"},
      {"TCP over IPv6", true, Build::tcp(kClient6, kVirtual6).payload(9).partial_sum(), 40, 16,
       "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 tcp S data 9 ttl 63 @a"},
      {"TCP behind an extension header", true,
       Build::tcp(kClient6, kVirtual6).extension(60).partial_sum(), 48, 16,
       "[2001:db8::7]:1000 > [2001:db8:2::1]:8080 tcp S ttl 63 ext 60 000000000000 @a"},
      {"an offset that points nowhere", false, Build::tcp(kClient, kVirtual).partial_sum(), 30000,
       16, "!bad_offload"},
      {"the header of IP", false, Build::tcp(kClient, kVirtual).partial_sum(), 0, 0,
       "!bad_offload"},
      {"the ports", false, Build::udp(kClient, kVirtual).partial_sum(), 20, 0, "!bad_offload"},
      {"UDP's checksum in TCP", false, Build::tcp(kClient, kVirtual).partial_sum(), 20, 6,
       "!bad_offload"},
      {"options of TCP", false, Build::tcp(kClient, kVirtual).partial_sum(), 39, 0, "!bad_offload"},
      {"an extension header", true, Build::tcp(kClient6, kVirtual6).extension(60).partial_sum(), 40,
       4, "!bad_offload"},
      {"a first fragment", false, fragments_of(Build::udp(kClient, kVirtual).payload(96), 56)[0],
       20, 6, "!bad_offload"},
      {"a later fragment", false, fragments_of(Build::udp(kClient, kVirtual).payload(96), 56)[1], 0,
       0, "!bad_offload"},
  };
  for (const Case& row : cases) {
    World world;
    world.server_mtu = 9000;
    add_default(world, Method::kNat, row.v6);
    const Offload offload{.partial = true, .start = row.start, .offset = row.offset};
    const std::string line = world.in(row.packet, offload);
    BOOST_TEST(line == row.result, row.description << ": " << line);
    if (row.result[0] != '!') BOOST_TEST(world.offload.at(0).partial, row.description);
  }
}

// A checksum inside the payload, as a tunnel's packet has it: it is completed, and the outer one,
// which was reckoned with that, holds.
BOOST_AUTO_TEST_CASE(partial_checksum_inside) {
  World world;
  add_default(world, Method::kNat);
  Bytes packet = Build::udp(kClient, kVirtual, std::string(12, '\0')).no_checksum();
  packet[20 + 8 + 6] = 0x12;
  packet[20 + 8 + 7] = 0x34;
  const std::string line = world.in(packet, {.partial = true, .start = 30, .offset = 4});
  BOOST_TEST(line == "192.0.2.7:1000 > 10.1.0.1:8080 udp NO-SUM data 12 #3a21d211 ttl 63 @a");
  BOOST_TEST(!world.offload.at(0).partial);
  BOOST_TEST(static_cast<int>(world.out[0][34]) == 0xed);
  BOOST_TEST(static_cast<int>(world.out[0][35]) == 0xcb);
}

// A packet that stands for many segments passes whole, as long as each of them would.
BOOST_AUTO_TEST_CASE(large_segments) {
  World world;
  add_default(world, Method::kNat);
  const Bytes large = Build::tcp(kClient, kVirtual, "S").payload(60000).df().partial_sum();
  Offload offload{.partial = true, .start = 20, .offset = 16, .segment_size = 1460};
  BOOST_TEST(world.in(large, offload) ==
             "192.0.2.7:1000 > 10.1.0.1:8080 tcp S data 60000 ttl 63 df @a");
  BOOST_TEST(world.offload.at(0).segment_size == 1460);
  offload.segment_size = 1461;
  BOOST_TEST(world.in(large, offload).starts_with("198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1500 {"));
}

BOOST_AUTO_TEST_CASE(sizes_and_hops) {
  const Row rows[] = {
      {"as large as the path takes",
       false,
       {},
       Build::udp(kClient, kVirtual).payload(1472).df(),
       "192.0.2.7:1000 > 10.1.0.1:8080 udp data 1472 ttl 63 df @a"},
      {"larger, with DF",
       false,
       {},
       Build::udp(kClient, kVirtual).payload(1473).df(),
       "198.51.100.1 > 192.0.2.7 icmp 3/4 rest 1500 {192.0.2.7:1000 > 198.51.100.1:80 udp data "
       "1473 ttl 64 df} ttl 64 id 0 @gw | !too_big"},
      {"larger, without DF",
       false,
       {},
       Build::udp(kClient, kVirtual).payload(1473).id(5),
       "192.0.2.7:1000 > 10.1.0.1:8080 udp data 1472 ttl 63 frag 0+ id 5 @a | 192.0.2.7 > 10.1.0.1 "
       "proto 17 data 1 ttl 63 frag 1480 id 5 @a"},
      {"larger, IPv6",
       true,
       {},
       Build::udp(kClient6, kVirtual6).payload(1453),
       "2001:db8:1::1 > 2001:db8::7 icmp6 2/0 rest 1500 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 "
       "udp "
       "data 1453 ttl 64} ttl 64 @gw | !too_big"},
      {"too large for the client, from the server",
       false,
       {Build::udp(kClient, kVirtual)},
       Build::udp(kServer, kClient).payload(1473).df(),
       "10.1.0.254 > 10.1.0.1 icmp 3/4 rest 1500 {10.1.0.1:8080 > 192.0.2.7:1000 udp data 1473 ttl "
       "64 df} ttl 64 id 0 @a | !too_big"},
      {"no hops left",
       false,
       {},
       Build::tcp(kClient, kVirtual).ttl(1),
       "198.51.100.1 > 192.0.2.7 icmp 11/0 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 1} ttl 64 "
       "id 0 @gw | !time_exceeded"},
      {"none to begin with",
       false,
       {},
       Build::tcp(kClient, kVirtual).ttl(0),
       "198.51.100.1 > 192.0.2.7 icmp 11/0 {192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 0} ttl 64 "
       "id 0 @gw | !time_exceeded"},
      {"no hops left, IPv6",
       true,
       {},
       Build::tcp(kClient6, kVirtual6).ttl(1),
       "2001:db8:1::1 > 2001:db8::7 icmp6 3/0 {[2001:db8::7]:1000 > [2001:db8:1::1]:80 tcp S ttl "
       "1} "
       "ttl 64 @gw | !time_exceeded"},
      {"no hops left, from the server",
       false,
       {open4()},
       Build::tcp(kServer, kClient, "A").ttl(1),
       "10.1.0.254 > 10.1.0.1 icmp 11/0 {10.1.0.1:8080 > 192.0.2.7:1000 tcp A ttl 1} ttl 64 id 0 "
       "@a | !time_exceeded"},
  };
  for (const Row& row : rows) check(row, Method::kNat);
}

// Options that are not for later fragments become NOPs there.
BOOST_AUTO_TEST_CASE(options_in_fragments) {
  World world;
  add_default(world, Method::kNat);
  world.in(Build::udp(kClient, kVirtual).options({7, 3, 4, 0x94, 4, 0, 0, 0}).payload(2000));
  BOOST_REQUIRE(world.out.size() == 2u);
  const auto options = [&](size_t i) {
    return Bytes(world.out[i].begin() + 20, world.out[i].begin() + 28);
  };
  BOOST_TEST((options(0) == Bytes{7, 3, 4, 0x94, 4, 0, 0, 0}));
  BOOST_TEST((options(1) == Bytes{1, 1, 1, 0x94, 4, 0, 0, 0}));
  BOOST_TEST(payload_of(world.out[0]).size() + payload_of(world.out[1]).size() == 2000u);
}

BOOST_AUTO_TEST_CASE(nowhere_to_send_it) {
  World world;
  add_default(world, Method::kNat);
  world.missing = "10.1.0.1";
  BOOST_TEST(world.in(open4()) == "!no_route");
  world.missing = "192.0.2.7";
  BOOST_TEST(world.in(open4()) == "192.0.2.7:1000 > 10.1.0.1:8080 tcp S ttl 63 @a");
  BOOST_TEST(world.in(Build::tcp(kServer, kClient, "SA")) == "!no_route");
}

// Two clients' connections that NAT cannot tell apart: one client, two virtual addresses, one port.
BOOST_AUTO_TEST_CASE(addresses_that_clash_at_the_server) {
  World world;
  Service& one = world.add("198.51.100.1:80", kUdp);
  Service& two = world.add("198.51.100.2:80", kUdp);
  world.server(one, "a", {.port = 8080});
  world.server(two, "a", {.port = 8080});
  BOOST_TEST(world.in(Build::udp(kClient, "198.51.100.1:80")) ==
             "192.0.2.7:1000 > 10.1.0.1:8080 udp data 4 ttl 63 @a");
  BOOST_TEST(world.in(Build::udp(kClient, "198.51.100.2:80")) == "!clash");
  BOOST_TEST(two.listed()[0]->handle->inactive.load() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
