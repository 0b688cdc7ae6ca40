// What is read of a packet: IPv4 or IPv6 with options and extension headers, then TCP, UDP or ICMP.
// A pure parser, strict where two readers could disagree; it changes nothing. Any thread.
#pragma once

#include <cstdint>
#include <span>

#include "core/address.h"
#include "l4/drop.h"
#include "l4/port.h"

namespace shunt::l4 {

inline constexpr uint8_t kIcmp = 1;
inline constexpr uint8_t kIpInIp = 4;
inline constexpr uint8_t kTcp = 6;
inline constexpr uint8_t kUdp = 17;
inline constexpr uint8_t kIpv6 = 41;
inline constexpr uint8_t kIcmpV6 = 58;

inline constexpr uint8_t kFin = 0x01;
inline constexpr uint8_t kSyn = 0x02;
inline constexpr uint8_t kRst = 0x04;
inline constexpr uint8_t kPsh = 0x08;
inline constexpr uint8_t kAck = 0x10;
inline constexpr uint8_t kCwr = 0x80;

inline constexpr uint32_t kIpv4Header = 20;
inline constexpr uint32_t kIpv6Header = 40;
inline constexpr uint32_t kFragmentHeader = 8;
inline constexpr uint32_t kTcpHeader = 20;
inline constexpr uint32_t kUdpHeader = 8;
inline constexpr uint32_t kIcmpHeader = 8;

// What a flow is known by, as the packet has it.
struct Tuple {
  IpAddress source;
  IpAddress destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t protocol = 0;  // After the extension headers.

  Tuple reversed() const { return {destination, source, destination_port, source_port, protocol}; }
  friend bool operator==(const Tuple&, const Tuple&) = default;
};

struct Headers {
  Tuple tuple;  // Ports: of TCP and UDP, and not of later fragments; otherwise 0.
  bool v6 = false;
  uint8_t hops = 0;  // TTL or hop limit.
  uint8_t tcp_flags = 0;
  bool dont_fragment = false;  // IPv6: always.
  uint16_t transport = 0;      // Where the transport header, or a later fragment's data, begins.
  uint32_t size = 0;           // Of the IP packet.
  // Fragments.
  bool fragment = false;
  bool more = false;
  uint16_t fragment_offset = 0;  // In bytes.
  uint16_t fragment_header = 0;  // IPv6: where it begins.
  uint32_t fragment_id = 0;

  bool later_fragment() const { return fragment_offset != 0; }
  uint32_t payload() const { return size - transport; }  // Bytes behind the IP headers.
  bool has_ports() const { return tuple.protocol == kTcp || tuple.protocol == kUdp; }
  bool is_icmp() const { return tuple.protocol == (v6 ? kIcmpV6 : kIcmp); }
};

// Reads `packet` up to and with the transport header. kNone, or why it must not go on.
Drop parse(std::span<const uint8_t> packet, Headers& headers);

// A first look: the tuple of whole TCP and UDP packets without options or extension headers, which
// most are. False for all others; nothing is checked.
bool peek(std::span<const uint8_t> packet, Tuple& tuple);

// Reads the packet that an ICMP error quotes: it may end anywhere behind the ports. False if it
// ends before, or is a later fragment.
bool parse_quoted(std::span<const uint8_t> quoted, Headers& headers);

// The transport header's bytes, in a packet that parse() has read and that is no later fragment; 0
// for other protocols than TCP, UDP and ICMP.
uint32_t transport_size(const Packet& packet, const Headers& headers);

// The addresses, whatever the protocol: no loopback, "this host", broadcast or IPv4-mapped one.
Drop check_addresses(const Headers& headers);

// Group and broadcast addresses: never a virtual service, and never answered.
bool is_multicast(const IpAddress& address);

// The sum of the pseudo header over `length` bytes of transport.
uint64_t pseudo_sum(const uint8_t* packet, const Headers& headers, uint32_t length);

// Whether the transport checksum holds. True for what cannot be checked: fragments, partial and
// verified checksums, IPv4's UDP without one.
bool transport_checksum_holds(const Packet& packet, const Headers& headers);

// Where the transport checksum is, counted from the transport header; 0 if it has none.
constexpr uint32_t checksum_offset(uint8_t protocol) {
  switch (protocol) {
    case kTcp:
      return 16;
    case kUdp:
      return 6;
    case kIcmp:
    case kIcmpV6:
      return 2;
    default:
      return 0;
  }
}

}  // namespace shunt::l4
