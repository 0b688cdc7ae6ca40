// The kernel's programs, run by an interpreter over packets of every kind, and taken by the kernel
// itself. That the filter lets through all that the director does not ignore is checked by every
// test of the director (World::in).
#include "l4/frame_filter.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <set>
#include <string>

#include "unit/l4/bpf_interpreter.h"
#include "unit/l4/packet_builder.h"

namespace shunt::l4::test {
namespace {

constexpr MacAddress kMac = {2, 0, 0, 0, 0, 1};
constexpr uint16_t kIpv4 = 0x0800;
constexpr uint16_t kIpv6Type = 0x86dd;
constexpr uint16_t kArp = 0x0806;

const Interest kInterest{
    .virtual_addresses = {*IpAddress::parse("198.51.100.1"), *IpAddress::parse("2001:db8:1::1")},
    .nat_servers = {*IpAddress::parse("10.1.0.1"), *IpAddress::parse("2001:db8:2::1")},
    .tunnel_servers = {*IpAddress::parse("10.1.0.3"), *IpAddress::parse("2001:db8:2::3")}};

uint16_t type_of(const Bytes& packet) {
  return packet[0] >> 4 == 6 ? kIpv6Type : kIpv4;
}

Bytes frame(const Bytes& packet, uint16_t type, MacAddress to = kMac) {
  Bytes bytes(to.begin(), to.end());
  bytes.insert(bytes.end(), {2, 0, 0, 0, 0, 9});
  bytes.push_back(static_cast<uint8_t>(type >> 8));
  bytes.push_back(static_cast<uint8_t>(type));
  bytes.insert(bytes.end(), packet.begin(), packet.end());
  return bytes;
}

// The same, with `inner` in it.
Bytes ip_in_ip(const char* from, const char* to, const Bytes& inner) {
  return Build::other(from, to, inner[0] >> 4 == 6 ? 41 : 4, inner);
}

Bytes gue(const char* from, const char* to, const Bytes& inner) {
  std::string payload = {0, static_cast<char>(inner[0] >> 4 == 6 ? 41 : 4), 0, 0};
  payload.append(inner.begin(), inner.end());
  return Build::udp(from, to, payload);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(frame_filter_programs)

BOOST_AUTO_TEST_CASE(frames_worth_receiving) {
  struct Row {
    const char* description;
    Bytes packet;
    bool accepted;
  };
  const Bytes request = Build::tcp("192.0.2.7:1000", "198.51.100.1:80");
  const Bytes long_datagram = Build::udp("192.0.2.7:1000", "198.51.100.1:53").payload(3000);
  const Bytes long_answer = Build::udp("10.1.0.1:53", "192.0.2.7:1000").payload(3000);
  const Row rows[] = {
      {"to a virtual address", request, true},
      {"to a virtual address, UDP", Build::udp("192.0.2.7:1000", "198.51.100.1:53"), true},
      {"a protocol that is none of ours", Build::other("192.0.2.7", "198.51.100.1", 47, {1, 2}),
       true},
      {"with options", Build::tcp("192.0.2.7:1", "198.51.100.1:80").options({1, 1, 1, 1}), true},
      {"a later fragment", fragments_of(long_datagram, 1480).back(), true},
      {"to the address next to it", Build::tcp("192.0.2.7:1000", "198.51.100.2:80"), false},
      {"from a NAT server", Build::tcp("10.1.0.1:80", "192.0.2.7:1000", "SA"), true},
      {"a later fragment from it", fragments_of(long_answer, 1480).back(), true},
      {"from a server in a tunnel", Build::tcp("10.1.0.3:80", "192.0.2.7:1000", "SA"), false},
      {"between others", Build::tcp("192.0.2.7:1000", "203.0.113.1:80"), false},
      {"ICMP about what may be ours",
       Build::icmp("203.0.113.9", "192.0.2.7", 3, 4, 1400,
                   Build::tcp("192.0.2.7:1000", "10.1.0.1:80")),
       true},
      {"to a virtual address, IPv6", Build::tcp("[2001:db8::7]:1000", "[2001:db8:1::1]:80"), true},
      {"behind an extension header",
       Build::tcp("[2001:db8::7]:1000", "[2001:db8:1::1]:80").extension(60), true},
      {"ICMPv6 behind an extension header",
       Build::icmp("2001:db8::9", "2001:db8::7", 1, 0, 0, {1}).extension(60), true},
      {"from a NAT server, IPv6", Build::udp("[2001:db8:2::1]:53", "[2001:db8::7]:1000"), true},
      {"a neighbour's solicitation", Build::icmp("fe80::1", "ff02::1:ff00:1", 135, 0, 0, {1}),
       true},
      {"between others, IPv6", Build::tcp("[2001:db8::7]:1000", "[2001:db8:9::1]:80"), false},
  };
  const auto program = frame_filter(kInterest, kMac);
  for (const Row& row : rows) {
    BOOST_TEST_CONTEXT(row.description) {
      const uint16_t type = type_of(row.packet);
      const Bytes bytes = frame(row.packet, type);
      BOOST_TEST((run_bpf(program, {bytes, type}) != 0) == row.accepted);
      BOOST_TEST((run_bpf(program, {bytes, type, true, 0x2000}) != 0) == row.accepted, "priority");
      BOOST_TEST(run_bpf(program, {bytes, type, true, 5}) == 0u, "another VLAN");
    }
  }
  const Bytes flooded = frame(request, kIpv4, {2, 0, 0, 0, 0, 2});
  BOOST_TEST(run_bpf(program, {flooded, kIpv4}) == 0u, "for another host");
  const Bytes other_type = frame(request, 0x88cc);
  BOOST_TEST(run_bpf(program, {other_type, 0x88cc}) == 0u, "another protocol");
  const Bytes arp = frame({0, 1, 8, 0}, kArp, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
  BOOST_TEST(run_bpf(program, {arp, kArp}) == UINT32_MAX, "ARP");
}

// Who is asked about by every packet: one client, of one of two families.
BOOST_AUTO_TEST_CASE(both_directions_and_errors_meet) {
  const Bytes request = Build::tcp("192.0.2.7:1000", "198.51.100.1:80");
  const Bytes request6 = Build::tcp("[2001:db8::7]:1000", "[2001:db8:1::1]:80");
  const Bytes request_of_6 = Build::udp("[2001:db8::7]:1000", "[2001:db8:1::1]:53");
  const Bytes long_answer = Build::udp("10.1.0.1:53", "192.0.2.7:1000").payload(3000);
  struct Row {
    const char* description;
    Bytes packet;
    const Bytes& like;
  };
  const Row rows[] = {
      {"another connection", Build::udp("192.0.2.7:7", "198.51.100.1:53"), request},
      {"a NAT server's answer", Build::tcp("10.1.0.1:80", "192.0.2.7:1000", "SA"), request},
      {"its later fragment", fragments_of(long_answer, 1480).back(), request},
      {"an echo request", Build::icmp("192.0.2.7", "198.51.100.1", 8, 0, 1, {1}), request},
      {"an error about an answer",
       Build::icmp("203.0.113.9", "198.51.100.1", 3, 4, 1400,
                   Build::tcp("198.51.100.1:80", "192.0.2.7:1000", "A")),
       request},
      {"the same, with options before it",
       Build::icmp("203.0.113.9", "198.51.100.1", 11, 0, 0,
                   Build::tcp("198.51.100.1:80", "192.0.2.7:1000", "A"))
           .options({1, 1, 1, 1}),
       request},
      {"an error about a packet to a NAT server",
       Build::icmp("10.1.0.1", "192.0.2.7", 3, 3, 0, Build::udp("192.0.2.7:1000", "10.1.0.1:53")),
       request},
      {"an error about a packet in a tunnel",
       Build::icmp("203.0.113.9", "10.1.0.254", 3, 4, 1400,
                   ip_in_ip("10.1.0.254", "10.1.0.3", request)),
       request},
      {"an error about IPv6 in a tunnel over IPv4",
       Build::icmp("203.0.113.9", "10.1.0.254", 3, 4, 1400,
                   ip_in_ip("10.1.0.254", "10.1.0.3", request6)),
       request6},
      {"an error about a packet in GUE",
       Build::icmp("203.0.113.9", "10.1.0.254", 3, 4, 1400,
                   gue("10.1.0.254:50000", "10.1.0.3:6080", request)),
       request},
      {"an error about UDP to a server that has tunnels too",
       Build::icmp("203.0.113.9", "192.0.2.7", 3, 3, 0,
                   Build::udp("192.0.2.7:1000", "10.1.0.3:53")),
       request},
      {"IPv6", request_of_6, request6},
      {"a NAT server's answer, IPv6", Build::tcp("[2001:db8:2::1]:80", "[2001:db8::7]:1000", "SA"),
       request6},
      {"an error about an answer, IPv6",
       Build::icmp("2001:db8::9", "2001:db8:1::1", 2, 0, 1400,
                   Build::tcp("[2001:db8:1::1]:80", "[2001:db8::7]:1000", "A")),
       request6},
      {"an error about a packet to a NAT server, IPv6",
       Build::icmp("2001:db8:2::1", "2001:db8::7", 1, 4, 0,
                   Build::udp("[2001:db8::7]:1000", "[2001:db8:2::1]:53")),
       request6},
      {"an error about a packet in a tunnel over IPv6",
       Build::icmp("2001:db8::9", "2001:db8:2::fe", 2, 0, 1400,
                   ip_in_ip("2001:db8:2::fe", "2001:db8:2::3", request6)),
       request6},
      {"an error about IPv4 in GUE over IPv6",
       Build::icmp("2001:db8::9", "2001:db8:2::fe", 2, 0, 1400,
                   gue("[2001:db8:2::fe]:50000", "[2001:db8:2::3]:6080", request)),
       request},
  };
  const auto program = client_fanout(kInterest, {.key = 0x9e3779b1});
  for (const Row& row : rows) {
    BOOST_TEST_CONTEXT(row.description) {
      BOOST_TEST(run_bpf(program, {row.packet, type_of(row.packet)}) ==
                 run_bpf(program, {row.like, type_of(row.like)}));
    }
  }
  BOOST_TEST(run_bpf(program, {request, kIpv4}) != run_bpf(program, {request6, kIpv6Type}));
  const Bytes solicitation = Build::icmp("fe80::1", "ff02::1:ff00:1", 135, 0, 0, {1});
  BOOST_TEST(run_bpf(program, {solicitation, kIpv6Type}) == 0u);
  const Bytes arp = {0, 1, 8, 0};
  BOOST_TEST(run_bpf(program, {arp, kArp}) == 0u);
}

BOOST_AUTO_TEST_CASE(clients_are_shared_out_by_networks) {
  const auto shares = [](ClientShares spec, const char* pattern) {
    const auto program = client_fanout(kInterest, spec);
    std::set<uint32_t> seen;
    for (int i = 0; i < 256; ++i) {
      std::string from(pattern);
      from.replace(from.find('*'), 1, std::to_string(i));
      const bool v6 = from[0] == '[';
      const Bytes packet = Build::tcp(from, v6 ? "[2001:db8:1::1]:80" : "198.51.100.1:80");
      seen.insert(run_bpf(program, {packet, type_of(packet)}) % 4);
    }
    return seen.size();
  };
  for (const uint32_t key : {0u, 1u, 0x10000u, 0x9e3779b1u})
    BOOST_TEST(shares({.key = key}, "192.0.2.*:1000") == 4u, key);
  constexpr uint32_t kKey = 0x9e3779b1;
  BOOST_TEST(shares({.key = kKey}, "192.0.2.*:1000") == 4u);
  BOOST_TEST(shares({.prefix_v4 = 120, .key = kKey}, "192.0.2.*:1000") == 1u);
  BOOST_TEST(shares({.prefix_v4 = 120, .key = kKey}, "192.0.*.2:1000") == 4u);
  BOOST_TEST(shares({.key = kKey}, "[2001:db8::*]:1000") == 4u);
  BOOST_TEST(shares({.prefix_v6 = 64, .key = kKey}, "[2001:db8::*]:1000") == 1u);
  BOOST_TEST(shares({.prefix_v6 = 64, .key = kKey}, "[2001:db8:0:*::1]:1000") == 4u);
}

BOOST_AUTO_TEST_CASE(many_addresses) {
  Interest many;
  for (uint32_t i = 0; i < 3000; ++i)
    many.virtual_addresses.push_back(IpAddress::from_v4(0xc6330000 + 2 * i));
  const auto filter = frame_filter(many, kMac);
  for (const uint32_t i : {0u, 249u, 250u, 251u, 1500u, 2999u}) {
    const std::string address = many.virtual_addresses[i].to_string();
    const Bytes bytes = frame(Build::tcp("192.0.2.7:1000", address + ":80"), kIpv4);
    BOOST_TEST(run_bpf(filter, {bytes, kIpv4}) != 0u, address);
  }
  const Bytes other = frame(Build::tcp("192.0.2.7:1000", "198.51.0.1:80"), kIpv4);
  BOOST_TEST(run_bpf(filter, {other, kIpv4}) == 0u);
  for (uint32_t i = 0; i < 2000; ++i)
    many.nat_servers.push_back(IpAddress::from_v4(0x0a000000 + i));
  BOOST_TEST(frame_filter(many, kMac).empty());
}

BOOST_AUTO_TEST_CASE(the_kernel_takes_them) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  BOOST_REQUIRE(fd >= 0);
  for (auto program : {frame_filter(kInterest, kMac), client_fanout(kInterest, {}),
                       frame_filter({}, kMac), client_fanout({}, {})}) {
    const sock_fprog all{.len = static_cast<unsigned short>(program.size()),
                         .filter = program.data()};
    BOOST_TEST(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) == 0);
  }
  ::close(fd);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
