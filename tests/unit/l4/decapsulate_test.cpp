// What is taken out of a tunnel, and what is not: against tunnels that l4/tunnel.h writes.
#include "l4/decapsulate.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "l4/tunnel.h"
#include "unit/l4/packet_builder.h"

namespace shunt::l4::test {
namespace {

constexpr const char* kA = "192.0.2.7:1000";
constexpr const char* kB = "198.51.100.1:80";
constexpr const char* kA6 = "[2001:db8::7]:1000";
constexpr const char* kB6 = "[2001:db8:1::1]:80";
constexpr const char* kTcp4 = "192.0.2.7:1000 > 198.51.100.1:80 tcp S ttl 64";

std::string verdict(Decapsulated result, const Inner& inner) {
  switch (result) {
    case Decapsulated::kMalformed:
      return "malformed";
    case Decapsulated::kNotTunnel:
      return "no tunnel";
    case Decapsulated::kCongestion:
      return "congestion";
    case Decapsulated::kTaken:
      break;
  }
  return describe({inner.data, inner.data + inner.size}, inner.partial);
}

std::string from_ip(Bytes bytes, uint8_t protocol = kIpInIp, uint8_t traffic_class = 0) {
  Inner inner;
  const Decapsulated result = decapsulate_ip(bytes, protocol, traffic_class, inner);
  return verdict(result, inner);
}

std::string from_gue(Bytes bytes) {
  Inner inner;
  const Decapsulated result = decapsulate_gue(bytes, 0, inner);
  return verdict(result, inner);
}

Bytes joined(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Through the tunnel and out again.
std::string there_and_back(const Bytes& packet, TunnelKind kind, const char* from, const char* to) {
  Bytes room(kHeadroom);
  room = joined(room, packet);
  Packet at{.data = room.data() + kHeadroom,
            .size = static_cast<uint32_t>(packet.size()),
            .headroom = kHeadroom};
  Headers headers;
  if (parse({at.data, at.size}, headers) != Drop::kNone) return "unparsed";
  encapsulate(at, headers,
              {.kind = kind,
               .source = *IpAddress::parse(from),
               .destination = *IpAddress::parse(to),
               .port = 6080});
  const std::span<uint8_t> outer(at.data, at.size);
  const bool v6 = outer[0] >> 4 == 6;
  const uint8_t protocol = outer[v6 ? 6 : 9];
  const std::span<uint8_t> payload = v6 ? outer.subspan(kIpv6Header) : behind_ipv4(outer);
  Inner inner;
  const Decapsulated result = kind == TunnelKind::kGue
                                  ? decapsulate_gue(payload.subspan(kUdpHeader), 0, inner)
                                  : decapsulate_ip(payload, protocol, 0, inner);
  return verdict(result, inner);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decapsulate)

BOOST_AUTO_TEST_CASE(what_goes_in_comes_out) {
  const Bytes packets[] = {
      Build::tcp(kA, kB).payload(100), Build::udp(kA, kB),
      Build::tcp(kA6, kB6).payload(7), Build::udp(kA6, kB6),
      Build::icmp(kA, kB, 8, 0, 1),    fragments_of(Build::udp(kA, kB).payload(99), 48)[1]};
  for (const Bytes& packet : packets) {
    for (const TunnelKind kind : {TunnelKind::kIpIp, TunnelKind::kGue}) {
      BOOST_TEST(there_and_back(packet, kind, "10.0.0.1", "10.0.0.9") == describe(packet));
      BOOST_TEST(there_and_back(packet, kind, "fd00::1", "fd00::9") == describe(packet));
    }
  }
}

BOOST_AUTO_TEST_CASE(verdicts) {
  const Bytes tcp = Build::tcp(kA, kB);
  const Bytes tcp6 = Build::tcp(kA6, kB6);
  BOOST_TEST(from_ip(tcp) == kTcp4);
  BOOST_TEST(from_ip(joined(tcp, {1, 2, 3})) == kTcp4);  // Padding stays behind.
  BOOST_TEST(from_ip(tcp, kIpv6) == "malformed");
  BOOST_TEST(from_ip(tcp6, kIpInIp) == "malformed");
  BOOST_TEST(from_ip(tcp, kTcp) == "no tunnel");
  BOOST_TEST(from_ip({}) == "malformed");
  BOOST_TEST(from_ip(Build::tcp(kA, kB).poke(10, 0)) == "malformed");
  BOOST_TEST(from_ip(Build::tcp("127.0.0.1:1", kB)) == "malformed");
  BOOST_TEST(from_ip(Build::tcp(kB, kB)) == "malformed");

  BOOST_TEST(from_gue(joined({0, kIpInIp, 0, 0}, tcp)) == kTcp4);
  BOOST_TEST(from_gue(joined({0, kIpv6, 0, 0}, tcp6)) == describe(tcp6));
  BOOST_TEST(from_gue(tcp) == kTcp4);  // Version 1.
  BOOST_TEST(from_gue(tcp6) == describe(tcp6));
  BOOST_TEST(from_gue({}) == "malformed");
  BOOST_TEST(from_gue({0, 4, 0}) == "malformed");
  BOOST_TEST(from_gue({0, 4, 0, 0}) == "malformed");
  BOOST_TEST(from_gue(joined({0x20, kIpInIp, 0, 0}, tcp)) == "no tunnel");  // Control.
  BOOST_TEST(from_gue(joined({0x01, kIpInIp, 0, 0}, tcp)) == "no tunnel");  // Options.
  BOOST_TEST(from_gue(joined({0, kIpInIp, 0x80, 0}, tcp)) == "no tunnel");  // Flags.
  BOOST_TEST(from_gue(joined({0, 47, 0, 0}, tcp)) == "no tunnel");
  BOOST_TEST(from_gue(joined({0x80, kIpInIp, 0, 0}, tcp)) == "no tunnel");  // Version 2.
}

BOOST_AUTO_TEST_CASE(congestion_marks) {
  struct Row {
    uint8_t outer, inner;
    const char* result;
  };
  const Row rows[] = {
      {0, 0, "tcp S ttl 64"},       {0, 2, "tcp S ttl 64 tos 2"}, {3, 0, "congestion"},
      {3, 1, "tcp S ttl 64 tos 3"}, {3, 2, "tcp S ttl 64 tos 3"}, {3, 3, "tcp S ttl 64 tos 3"},
      {2, 2, "tcp S ttl 64 tos 2"}, {2, 3, "tcp S ttl 64 tos 3"}, {1, 2, "tcp S ttl 64 tos 1"},
      {1, 0, "tcp S ttl 64"},
  };
  for (const Row& row : rows) {
    BOOST_TEST_CONTEXT(int{row.outer} << " outside, " << int{row.inner} << " inside") {
      for (const bool v6 : {false, true}) {
        const std::string got = from_ip(Build::tcp(v6 ? kA6 : kA, v6 ? kB6 : kB).tos(row.inner),
                                        v6 ? kIpv6 : kIpInIp, row.outer);
        const size_t protocol = got.find("tcp");
        BOOST_TEST((protocol == std::string::npos ? got : got.substr(protocol)) == row.result);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(unfinished_checksums_are_seen) {
  for (Bytes bytes : {Build::tcp(kA, kB).payload(50).partial_sum().bytes(),
                      Build::udp(kA6, kB6).partial_sum().bytes()}) {
    const bool v6 = bytes[0] >> 4 == 6;
    Inner inner;
    BOOST_TEST((decapsulate_ip(bytes, v6 ? kIpv6 : kIpInIp, 0, inner) == Decapsulated::kTaken));
    BOOST_TEST(inner.partial);
    BOOST_TEST(inner.checksum_start == (v6 ? 40 : 20));
    BOOST_TEST(inner.checksum_offset == (v6 ? 6 : 16));
  }
  Bytes finished = Build::tcp(kA, kB).payload(50);
  Inner inner;
  BOOST_TEST((decapsulate_ip(finished, kIpInIp, 0, inner) == Decapsulated::kTaken));
  BOOST_TEST(!inner.partial);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
