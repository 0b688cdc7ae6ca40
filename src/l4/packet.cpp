// Parsing by offsets, each checked before it is read. IPv4 addresses become IPv4-mapped ones, so
// that one tuple serves both families; an IPv6 packet must therefore not carry a mapped address
// (check_addresses).
#include "l4/packet.h"

#include <algorithm>

#include "l4/checksum.h"

namespace shunt::l4 {
namespace {

constexpr uint16_t kDontFragment = 0x4000;
constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kFragmentOffset = 0x1fff;
constexpr uint32_t kDatagramMax = 65535;

constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionLooseRoute = 131;
constexpr uint8_t kOptionStrictRoute = 137;

constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kFragment = 44;
constexpr uint8_t kDestinationOptions = 60;
constexpr int kExtensionsMax = 8;

IpAddress mapped(const uint8_t* raw) {
  IpAddress address;
  address.bytes[10] = address.bytes[11] = 0xff;
  std::memcpy(address.bytes.data() + 12, raw, 4);
  return address;
}

Drop check_options(std::span<const uint8_t> options) {
  for (size_t at = 0; at < options.size();) {
    const uint8_t kind = options[at];
    if (kind == kOptionEnd) return Drop::kNone;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    if (kind == kOptionLooseRoute || kind == kOptionStrictRoute) return Drop::kSourceRoute;
    if (at + 1 >= options.size() || options[at + 1] < 2) return Drop::kBadOption;
    at += options[at + 1];
    if (at > options.size()) return Drop::kBadOption;
  }
  return Drop::kNone;
}

// Reads the fixed part and the fragment fields; the packet's end is for the caller to check.
Drop read_v4(std::span<const uint8_t> packet, Headers& headers) {
  if (packet.size() < kIpv4Header) return Drop::kTruncated;
  const uint8_t* ip = packet.data();
  const uint32_t header = (ip[0] & 0x0fu) * 4;
  headers.size = load_be16(ip + 2);
  if (header < kIpv4Header || headers.size < header) return Drop::kBadLength;
  if (packet.size() < header) return Drop::kTruncated;
  headers.v6 = false;
  headers.transport = static_cast<uint16_t>(header);
  headers.hops = ip[8];
  headers.tuple.protocol = ip[9];
  headers.tuple.source = mapped(ip + 12);
  headers.tuple.destination = mapped(ip + 16);
  const uint16_t fragment = load_be16(ip + 6);
  headers.dont_fragment = (fragment & kDontFragment) != 0;
  headers.more = (fragment & kMoreFragments) != 0;
  headers.fragment_offset = static_cast<uint16_t>((fragment & kFragmentOffset) * 8);
  headers.fragment = headers.more || headers.fragment_offset != 0;
  headers.fragment_id = load_be16(ip + 4);
  return Drop::kNone;
}

Drop read_fragment_header(const uint8_t* at, uint32_t offset, Headers& headers) {
  const uint16_t fragment = load_be16(at + 2);
  headers.fragment_offset = fragment & 0xfff8;
  headers.more = (fragment & 1) != 0;
  // An atomic fragment (RFC 6946) is a whole packet.
  headers.fragment = headers.more || headers.fragment_offset != 0;
  headers.fragment_header = static_cast<uint16_t>(offset);
  headers.fragment_id = load_be32(at + 4);
  return Drop::kNone;
}

// Walks the extension headers to the transport header, or to a later fragment's data.
Drop read_extensions(std::span<const uint8_t> packet, Headers& headers) {
  uint8_t next = packet[6];
  uint32_t offset = kIpv6Header;
  for (int count = 0;; ++count) {
    const bool known =
        next == kHopByHop || next == kRouting || next == kFragment || next == kDestinationOptions;
    if (!known || headers.later_fragment()) break;
    if (count == kExtensionsMax || (next == kHopByHop && count > 0)) return Drop::kBadOption;
    if (packet.size() < offset + kFragmentHeader) return Drop::kTruncated;
    const uint8_t* at = packet.data() + offset;
    // Type 0 is forbidden (RFC 5095); of the others only one that has been travelled is harmless.
    if (next == kRouting && (at[2] == 0 || at[3] != 0)) return Drop::kSourceRoute;
    if (next == kFragment) {
      if (headers.fragment_header != 0) return Drop::kBadFragment;
      read_fragment_header(at, offset, headers);
    }
    offset += next == kFragment ? kFragmentHeader : (at[1] + 1u) * 8;
    next = at[0];
    if (offset > packet.size()) return Drop::kTruncated;
  }
  headers.transport = static_cast<uint16_t>(offset);
  headers.tuple.protocol = next;
  return Drop::kNone;
}

Drop read_v6(std::span<const uint8_t> packet, Headers& headers) {
  if (packet.size() < kIpv6Header) return Drop::kTruncated;
  const uint8_t* ip = packet.data();
  headers.v6 = true;
  headers.size = kIpv6Header + load_be16(ip + 4);
  headers.hops = ip[7];
  headers.dont_fragment = true;
  std::memcpy(headers.tuple.source.bytes.data(), ip + 8, 16);
  std::memcpy(headers.tuple.destination.bytes.data(), ip + 24, 16);
  return Drop::kNone;
}

Drop check_fragment(const Headers& headers) {
  const uint32_t size = headers.payload();
  if (size == 0 || (headers.more && size % 8 != 0)) return Drop::kBadFragment;
  if (headers.fragment_offset + size > kDatagramMax) return Drop::kBadFragment;
  // A TCP fragment of which the first holds no flags (RFC 3128).
  if (headers.tuple.protocol == kTcp && headers.fragment_offset == 8) return Drop::kTinyFragment;
  return Drop::kNone;
}

Drop read_transport(std::span<const uint8_t> packet, Headers& headers) {
  const uint8_t* at = packet.data() + headers.transport;
  const uint32_t size = headers.payload();
  const Drop short_of = headers.fragment ? Drop::kTinyFragment : Drop::kTruncated;
  if (headers.tuple.protocol == kTcp) {
    if (size < kTcpHeader) return short_of;
    const uint32_t header = (at[12] >> 4) * 4u;
    if (header < kTcpHeader) return Drop::kBadLength;
    if (header > size) return headers.fragment ? Drop::kTinyFragment : Drop::kBadLength;
    headers.tcp_flags = at[13];
  } else if (headers.tuple.protocol == kUdp) {
    if (size < kUdpHeader) return short_of;
    const uint16_t length = load_be16(at + 4);
    if (length < kUdpHeader || (!headers.fragment && length > size)) return Drop::kBadLength;
  } else {
    return headers.is_icmp() && size < kIcmpHeader ? short_of : Drop::kNone;
  }
  headers.tuple.source_port = load_be16(at);
  headers.tuple.destination_port = load_be16(at + 2);
  return Drop::kNone;
}

bool is_bad_v4(const uint8_t* raw) {
  return raw[0] == 0 || raw[0] == 127 || raw[0] >= 240;
}

bool is_bad_v6(const IpAddress& address) {
  const auto zeros = [&](size_t count) {
    return std::all_of(address.bytes.begin(), address.bytes.begin() + static_cast<ptrdiff_t>(count),
                       [](uint8_t byte) { return byte == 0; });
  };
  if (address.is_v4()) return true;
  return zeros(15) && address.bytes[15] <= 1;  // "::" and "::1".
}

}  // namespace

Drop parse(std::span<const uint8_t> packet, Headers& headers) {
  headers = Headers{};
  if (packet.empty()) return Drop::kTruncated;
  const unsigned version = packet[0] >> 4;
  if (version != 4 && version != 6) return Drop::kBadVersion;
  const bool v4 = version == 4;
  if (const Drop drop = v4 ? read_v4(packet, headers) : read_v6(packet, headers);
      drop != Drop::kNone)
    return drop;
  if (packet.size() < headers.size) return Drop::kTruncated;
  const auto exact = packet.first(headers.size);
  if (v4) {
    const auto header = exact.first(headers.transport);
    if (fold(add_bytes(header)) != 0xffff) return Drop::kBadHeaderChecksum;
    if (headers.transport > kIpv4Header) {
      const Drop drop = check_options(header.subspan(kIpv4Header));
      if (drop != Drop::kNone) return drop;
    }
  } else if (const Drop drop = read_extensions(exact, headers); drop != Drop::kNone) {
    return drop;
  }
  if (headers.fragment) {
    const Drop drop = check_fragment(headers);
    if (drop != Drop::kNone) return drop;
    if (headers.later_fragment()) return Drop::kNone;
  }
  return read_transport(exact, headers);
}

bool peek(std::span<const uint8_t> packet, Tuple& tuple) {
  if (packet.size() < kIpv4Header + 4) return false;
  const uint8_t* ip = packet.data();
  const uint8_t* ports = ip + kIpv4Header;
  if (ip[0] == 0x45) {
    if ((load_be16(ip + 6) & (kMoreFragments | kFragmentOffset)) != 0) return false;
    tuple.protocol = ip[9];
    tuple.source = mapped(ip + 12);
    tuple.destination = mapped(ip + 16);
  } else {
    if (ip[0] >> 4 != 6 || packet.size() < kIpv6Header + 4) return false;
    ports = ip + kIpv6Header;
    tuple.protocol = ip[6];
    std::memcpy(tuple.source.bytes.data(), ip + 8, 16);
    std::memcpy(tuple.destination.bytes.data(), ip + 24, 16);
  }
  tuple.source_port = load_be16(ports);
  tuple.destination_port = load_be16(ports + 2);
  return tuple.protocol == kTcp || tuple.protocol == kUdp;
}

bool parse_quoted(std::span<const uint8_t> quoted, Headers& headers) {
  headers = Headers{};
  if (quoted.empty()) return false;
  const unsigned version = quoted[0] >> 4;
  if (version == 4) {
    if (read_v4(quoted, headers) != Drop::kNone) return false;
  } else if (version == 6) {
    if (read_v6(quoted, headers) != Drop::kNone) return false;
    if (read_extensions(quoted, headers) != Drop::kNone) return false;
  } else {
    return false;
  }
  if (headers.later_fragment()) return false;
  if (!headers.has_ports()) return true;
  if (quoted.size() < headers.transport + 4u) return false;
  headers.tuple.source_port = load_be16(quoted.data() + headers.transport);
  headers.tuple.destination_port = load_be16(quoted.data() + headers.transport + 2);
  return true;
}

uint32_t transport_size(const Packet& packet, const Headers& headers) {
  if (headers.tuple.protocol == kTcp) return (packet.data[headers.transport + 12] >> 4) * 4u;
  if (headers.tuple.protocol == kUdp) return kUdpHeader;
  return headers.is_icmp() ? kIcmpHeader : 0;
}

Drop check_addresses(const Headers& headers) {
  const IpAddress& source = headers.tuple.source;
  const IpAddress& destination = headers.tuple.destination;
  if (is_multicast(source)) return Drop::kMartianSource;
  if (headers.v6) {
    if (is_bad_v6(source)) return Drop::kMartianSource;
    if (is_bad_v6(destination)) return Drop::kMartianDestination;
  } else {
    if (is_bad_v4(source.bytes.data() + 12)) return Drop::kMartianSource;
    if (is_bad_v4(destination.bytes.data() + 12)) return Drop::kMartianDestination;
  }
  return source == destination ? Drop::kLand : Drop::kNone;
}

bool is_multicast(const IpAddress& address) {
  if (!address.is_v4()) return address.bytes[0] == 0xff;
  const uint8_t first = address.bytes[12];
  return (first >= 224 && first < 240) || address.v4() == 0xffffffff;
}

uint64_t pseudo_sum(const uint8_t* packet, const Headers& headers, uint32_t length) {
  uint64_t sum = headers.v6 ? add_bytes({packet + 8, 32}) : add_bytes({packet + 12, 8});
  // The length and the protocol, each a word of 32 bits in network order.
  return sum + __builtin_bswap32(length) + __builtin_bswap32(headers.tuple.protocol);
}

bool transport_checksum_holds(const Packet& packet, const Headers& headers) {
  const uint32_t field = checksum_offset(headers.tuple.protocol);
  if (field == 0 || headers.fragment || packet.offload.partial || packet.offload.verified)
    return true;
  const uint8_t* transport = packet.data + headers.transport;
  uint32_t length = headers.payload();
  if (headers.tuple.protocol == kUdp) {
    if (load_raw16(transport + field) == 0) return !headers.v6;  // RFC 8200 §8.1 demands one.
    length = load_be16(transport + 4);
  }
  const uint64_t pseudo =
      headers.tuple.protocol == kIcmp ? 0 : pseudo_sum(packet.data, headers, length);
  return fold(add_bytes({transport, length}, pseudo)) == 0xffff;
}

}  // namespace shunt::l4
