// What the parser reads, and for what it refuses a packet.
#include "l4/packet.h"

#include <boost/test/unit_test.hpp>

#include "unit/l4/packet_builder.h"

namespace shunt::l4::test {
namespace {

constexpr const char* kA = "192.0.2.7:1000";
constexpr const char* kB = "198.51.100.1:80";
constexpr const char* kA6 = "[2001:db8::7]:1000";
constexpr const char* kB6 = "[2001:db8:1::1]:80";

Bytes cut(Bytes bytes, size_t size) {
  bytes.resize(size);
  return bytes;
}

// A fragment of something large, by its own data only.
Bytes piece(const char* from, const char* to, size_t offset, bool more, size_t size) {
  return fragment(Build::tcp(from, to), offset, more, Bytes(size, 7));
}

std::string verdict_of(const Bytes& bytes) {
  Headers headers;
  Drop drop = parse(bytes, headers);
  if (drop == Drop::kNone) drop = check_addresses(headers);
  Bytes copy = bytes;
  if (drop == Drop::kNone && !transport_checksum_holds({.data = copy.data()}, headers))
    drop = Drop::kBadChecksum;
  return std::string(info(drop).name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(packet)

BOOST_AUTO_TEST_CASE(verdicts) {
  struct Row {
    const char* description;
    Bytes packet;
    const char* verdict;
  };
  const Row rows[] = {
      {"TCP over IPv4", Build::tcp(kA, kB), "none"},
      {"TCP over IPv6", Build::tcp(kA6, kB6), "none"},
      {"UDP over IPv4", Build::udp(kA, kB), "none"},
      {"UDP over IPv6", Build::udp(kA6, kB6), "none"},
      {"UDP without data", Build::udp(kA, kB, ""), "none"},
      {"UDP without checksum over IPv4", Build::udp(kA, kB).no_checksum(), "none"},
      {"UDP without checksum over IPv6", Build::udp(kA6, kB6).no_checksum(), "bad_checksum"},
      {"odd length", Build::udp(kA, kB, "odd"), "none"},
      {"echo", Build::icmp(kA, kB, 8, 0, 1), "none"},
      {"echo of IPv6", Build::icmp(kA6, kB6, 128, 0, 1), "none"},
      {"padding behind it", cut(Build::udp(kA, kB, ""), 46), "none"},
      {"nothing", {}, "truncated"},
      {"one byte", {0x45}, "truncated"},
      {"19 bytes", cut(Build::tcp(kA, kB), 19), "truncated"},
      {"only the IP header", cut(Build::tcp(kA, kB), 20), "truncated"},
      {"a byte short", cut(Build::tcp(kA, kB), 39), "truncated"},
      {"IPv6, 39 bytes", cut(Build::tcp(kA6, kB6), 39), "truncated"},
      {"IPv6, a byte short", cut(Build::tcp(kA6, kB6), 59), "truncated"},
      {"version 0", Build::tcp(kA, kB).poke(0, 0x05), "bad_version"},
      {"version 5", Build::tcp(kA, kB).poke(0, 0x55), "bad_version"},
      {"a header of 16 bytes", Build::tcp(kA, kB).poke(0, 0x44), "bad_length"},
      {"a header beyond the packet", Build::tcp(kA, kB).poke(0, 0x4f), "bad_length"},
      {"shorter than its header", Build::tcp(kA, kB).poke(3, 19), "bad_length"},
      {"longer than the frame", Build::tcp(kA, kB).poke(3, 41), "truncated"},
      {"wrong header checksum", Build::tcp(kA, kB).poke(10, 0), "bad_header_checksum"},
      {"wrong TCP checksum", Build::tcp(kA, kB).poke(36, 0), "bad_checksum"},
      {"wrong TCP data", Build::tcp(kA, kB).payload(9).poke(48, 99), "bad_checksum"},
      {"wrong UDP checksum", Build::udp(kA, kB).poke(26, 1), "bad_checksum"},
      {"wrong ICMP checksum", Build::icmp(kA, kB, 8, 0, 1).poke(22, 1), "bad_checksum"},
      {"wrong ICMPv6 checksum", Build::icmp(kA6, kB6, 128, 0, 1).poke(42, 1), "bad_checksum"},
      {"TCP header of 16 bytes", Build::tcp(kA, kB).poke(32, 0x40), "bad_length"},
      {"TCP header beyond the packet", Build::tcp(kA, kB).poke(32, 0x60), "bad_length"},
      {"TCP without room for a header", Build::other(kA, kB, 6, Bytes(19)), "truncated"},
      {"UDP without room for a header", Build::other(kA, kB, 17, Bytes(7)), "truncated"},
      {"ICMP without room for a header", Build::other(kA, kB, 1, Bytes(7)), "truncated"},
      {"UDP length below its header", Build::udp(kA, kB).poke(25, 7), "bad_length"},
      {"UDP length beyond the packet", Build::udp(kA, kB).poke(25, 13), "bad_length"},
      {"options", Build::tcp(kA, kB).options({1, 1, 1, 0}), "none"},
      {"an option with a length", Build::tcp(kA, kB).options({7, 3, 4, 0}), "none"},
      {"an option that runs over", Build::tcp(kA, kB).options({7, 5, 4, 0}), "bad_option"},
      {"an option of length 0", Build::tcp(kA, kB).options({7, 0, 0, 0}), "bad_option"},
      {"an option of length 1", Build::tcp(kA, kB).options({7, 1, 0, 0}), "bad_option"},
      {"an option without a length", Build::tcp(kA, kB).options({1, 1, 1, 7}), "bad_option"},
      {"behind the end of options", Build::tcp(kA, kB).options({0, 7, 0, 0}), "none"},
      {"loose source route", Build::tcp(kA, kB).options({131, 3, 4, 0}), "source_route"},
      {"strict source route", Build::tcp(kA, kB).options({1, 137, 3, 4}), "source_route"},
      {"extension headers", Build::tcp(kA6, kB6).extension(0).extension(60, 16), "none"},
      {"an atomic fragment", Build::tcp(kA6, kB6).extension(44), "none"},
      {"hop-by-hop not first", Build::tcp(kA6, kB6).extension(60).extension(0), "bad_option"},
      {"routing, travelled", Build::tcp(kA6, kB6).extension(43), "none"},
      {"routing, type 0", Build::tcp(kA6, kB6).extension(43).poke(42, 0), "source_route"},
      {"routing, not travelled", Build::tcp(kA6, kB6).extension(43).poke(43, 1), "source_route"},
      {"an extension beyond the packet", Build::tcp(kA6, kB6).extension(60).poke(41, 9),
       "truncated"},
      {"two fragment headers", Build::tcp(kA6, kB6).extension(44).extension(44), "bad_fragment"},
      {"first fragment", piece(kA, kB, 0, true, 24), "bad_length"},
      {"first fragment without the TCP header", piece(kA, kB, 0, true, 16), "tiny_fragment"},
      {"fragment that begins in the TCP header", piece(kA, kB, 8, true, 16), "tiny_fragment"},
      {"later fragment", piece(kA, kB, 24, true, 16), "none"},
      {"last fragment of odd size", piece(kA, kB, 24, false, 3), "none"},
      {"middle fragment of odd size", piece(kA, kB, 24, true, 15), "bad_fragment"},
      {"empty fragment", piece(kA, kB, 24, true, 0), "bad_fragment"},
      {"fragment beyond 64 KiB", piece(kA, kB, 65528, false, 8), "bad_fragment"},
      {"IPv6 later fragment", piece(kA6, kB6, 24, false, 3), "none"},
      {"IPv6 fragment beyond 64 KiB", piece(kA6, kB6, 65528, false, 8), "bad_fragment"},
      {"from this host", Build::udp("0.0.0.0:1", kB), "martian_source"},
      {"from loopback", Build::udp("127.0.0.1:1", kB), "martian_source"},
      {"from a group", Build::udp("224.0.0.1:1", kB), "martian_source"},
      {"from class E", Build::udp("240.0.0.1:1", kB), "martian_source"},
      {"from broadcast", Build::udp("255.255.255.255:1", kB), "martian_source"},
      {"to loopback", Build::udp(kA, "127.0.0.1:1"), "martian_destination"},
      {"to 0.0.0.0", Build::udp(kA, "0.0.0.0:1"), "martian_destination"},
      {"from IPv6 loopback", Build::udp("[::1]:1", kB6), "martian_source"},
      {"from ::", Build::udp("[::]:1", kB6), "martian_source"},
      {"from an IPv6 group", Build::udp("[ff02::1]:1", kB6), "martian_source"},
      {"from a mapped address", Build::udp("[::ffff:1.2.3.4]:1", kB6), "martian_source"},
      {"to a mapped address", Build::udp(kA6, "[::ffff:1.2.3.4]:1"), "martian_destination"},
      {"to IPv6 loopback", Build::udp(kA6, "[::1]:1"), "martian_destination"},
      {"land", Build::tcp(kB, kB), "land"},
      {"land, IPv6", Build::tcp(kB6, kB6), "land"},
  };
  for (const Row& row : rows) BOOST_TEST(verdict_of(row.packet) == row.verdict, row.description);
}

// Whatever its beginning is cut to, a packet is read within its bytes (the sanitizers watch) and
// refused.
BOOST_AUTO_TEST_CASE(every_cut) {
  const Bytes packets[] = {Build::tcp(kA, kB).options({7, 3, 4, 0}).payload(5),
                           Build::tcp(kA6, kB6).extension(0).extension(44).payload(5),
                           Build::icmp(kA, kB, 3, 4, 1400, Build::udp(kB, kA))};
  for (const Bytes& packet : packets) {
    for (size_t size = 0; size < packet.size(); ++size) {
      const Bytes part(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
      Headers headers;
      BOOST_TEST((parse(part, headers) != Drop::kNone));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_read) {
  Headers headers;
  const Bytes v4 = Build::tcp(kA, kB, "SA").options({1, 1, 1, 0}).ttl(9).df().id(77).payload(3);
  BOOST_REQUIRE((parse(v4, headers) == Drop::kNone));
  BOOST_TEST(headers.tuple.source.to_string() == "192.0.2.7");
  BOOST_TEST(headers.tuple.destination.to_string() == "198.51.100.1");
  BOOST_TEST(headers.tuple.source_port == 1000);
  BOOST_TEST(headers.tuple.destination_port == 80);
  BOOST_TEST(headers.tcp_flags == (kSyn | kAck));
  BOOST_TEST(headers.hops == 9);
  BOOST_TEST(headers.dont_fragment);
  BOOST_TEST(headers.transport == 24);
  BOOST_TEST(headers.payload() == 23u);
  BOOST_TEST(!headers.fragment);

  const Bytes v6 = fragments_of(Build::udp(kA6, kB6).payload(100), 56)[1];
  BOOST_REQUIRE((parse(v6, headers) == Drop::kNone));
  BOOST_TEST(headers.tuple.destination.to_string() == "2001:db8:1::1");
  BOOST_TEST(headers.tuple.protocol == kUdp);
  BOOST_TEST(headers.tuple.source_port == 0);
  BOOST_TEST(headers.later_fragment());
  BOOST_TEST(!headers.more);
  BOOST_TEST(headers.fragment_offset == 56);
  BOOST_TEST(headers.fragment_id == 0xabcdu);
  BOOST_TEST(headers.transport == 48);
}

BOOST_AUTO_TEST_CASE(quoted_packets) {
  struct Row {
    const char* description;
    Bytes packet;
    bool read;
  };
  const Row rows[] = {
      {"whole", Build::tcp(kA, kB), true},
      {"8 bytes of TCP", cut(Build::tcp(kA, kB), 28), true},
      {"the ports", cut(Build::tcp(kA, kB), 24), true},
      {"half the ports", cut(Build::tcp(kA, kB), 22), false},
      {"no header", cut(Build::tcp(kA, kB), 10), false},
      {"IPv6", cut(Build::udp(kA6, kB6), 48), true},
      {"IPv6 without ports", cut(Build::udp(kA6, kB6), 40), false},
      {"a later fragment", piece(kA, kB, 24, true, 16), false},
      {"a wrong header checksum does not matter", Build::tcp(kA, kB).poke(10, 0), true},
      {"nothing", {}, false},
      {"rubbish", {1, 2, 3, 4}, false},
  };
  for (const Row& row : rows) {
    Headers headers;
    BOOST_TEST(parse_quoted(row.packet, headers) == row.read, row.description);
    if (row.read) BOOST_TEST(headers.tuple.destination_port == 80, row.description);
  }
}

// A partial checksum is the sender's affair, a verified one has been looked at.
BOOST_AUTO_TEST_CASE(offloaded_checksums) {
  Bytes bytes = Build::tcp(kA, kB).partial_sum();
  Headers headers;
  BOOST_REQUIRE((parse(bytes, headers) == Drop::kNone));
  const auto holds = [&](Offload offload) {
    return transport_checksum_holds({.data = bytes.data(), .offload = offload}, headers);
  };
  BOOST_TEST(!holds({}));
  BOOST_TEST(holds({.partial = true}));
  BOOST_TEST(holds({.verified = true}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
