// The outer headers, written from the outside in.
#include "l4/tunnel.h"

#include <cstring>

#include "core/assert.h"
#include "core/hash.h"
#include "l4/checksum.h"
#include "l4/nat.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kGueHeader = 4;
constexpr uint16_t kFirstDynamicPort = 49152;
constexpr uint8_t kEcnMask = 3;
constexpr uint8_t kEcnCapable = 2;  // ECT(0).
constexpr uint8_t kEcnMarked = 3;   // CE.

uint8_t inner_class(const Packet& packet, bool v6) {
  return v6 ? static_cast<uint8_t>(load_be16(packet.data) >> 4) : packet.data[1];
}

uint8_t outer_class(uint8_t inner) {
  if ((inner & kEcnMask) != kEcnMarked) return inner;
  return static_cast<uint8_t>((inner & ~kEcnMask) | kEcnCapable);
}

// The same flow keeps its port, so that networks keep its packets in order.
uint16_t flow_port(const Tuple& tuple) {
  const uint32_t flow = tuple.source.folded() ^ hash_32(tuple.destination.folded(), 32) ^
                        (uint32_t{tuple.source_port} << 16 | tuple.destination_port);
  return static_cast<uint16_t>(kFirstDynamicPort | hash_32(flow, 14));
}

void write_udp(uint8_t* udp, uint8_t inner_protocol, const Tuple& flow, uint16_t port,
               uint32_t size) {
  store_be16(udp, flow_port(flow));
  store_be16(udp + 2, port);
  store_be16(udp + 4, static_cast<uint16_t>(size));
  store_be16(udp + 6, 0);
  uint8_t* gue = udp + kUdpHeader;  // Version 0, no control message, no options, no flags.
  std::memset(gue, 0, kGueHeader);
  gue[1] = inner_protocol;
}

}  // namespace

uint32_t tunnel_overhead(TunnelKind kind, bool outer_v6) {
  return (outer_v6 ? kIpv6Header : kIpv4Header) +
         (kind == TunnelKind::kGue ? kUdpHeader + kGueHeader : 0);
}

void encapsulate(Packet& packet, const Headers& headers, const TunnelHeader& tunnel) {
  const bool v6 = !tunnel.destination.is_v4();
  const bool gue = tunnel.kind == TunnelKind::kGue;
  const bool checksum = gue && (v6 || tunnel.checksum);
  const uint32_t overhead = tunnel_overhead(tunnel.kind, v6);
  SHUNT_ASSERT(packet.headroom >= overhead);
  if (checksum) complete_checksum(packet);

  const uint8_t traffic_class = outer_class(inner_class(packet, headers.v6));
  const uint8_t inner_protocol = headers.v6 ? kIpv6 : kIpInIp;
  const uint8_t protocol = gue ? kUdp : inner_protocol;
  const uint32_t ip_header = v6 ? kIpv6Header : kIpv4Header;
  packet.data -= overhead;
  packet.size = headers.size + overhead;
  packet.headroom -= overhead;
  packet.offload.start = static_cast<uint16_t>(packet.offload.start + overhead);
  packet.offload.verified = false;
  const uint32_t behind = packet.size - ip_header;

  uint8_t* ip = packet.data;
  if (gue) write_udp(ip + ip_header, inner_protocol, headers.tuple, tunnel.port, behind);
  if (v6) {
    store_be32(ip, 6u << 28 | uint32_t{traffic_class} << 20);
    store_be16(ip + 4, static_cast<uint16_t>(behind));
    ip[6] = protocol;
    ip[7] = headers.hops;
    std::memcpy(ip + 8, tunnel.source.bytes.data(), 16);
    std::memcpy(ip + 24, tunnel.destination.bytes.data(), 16);
  } else {
    ip[0] = 0x45;
    ip[1] = traffic_class;
    store_be16(ip + 2, static_cast<uint16_t>(packet.size));
    store_be16(ip + 4, tunnel.id);
    store_be16(ip + 6, tunnel.dont_fragment ? 0x4000 : 0);
    ip[8] = headers.hops;
    ip[9] = protocol;
    store_be16(ip + 10, 0);
    std::memcpy(ip + 12, tunnel.source.bytes.data() + 12, 4);
    std::memcpy(ip + 16, tunnel.destination.bytes.data() + 12, 4);
    store_raw16(ip + 10, finish(add_bytes({ip, kIpv4Header})));
  }
  if (!checksum) return;
  Headers outer;
  outer.v6 = v6;
  outer.tuple.protocol = kUdp;
  uint8_t* udp = ip + ip_header;
  const uint16_t sum = finish(add_bytes({udp, behind}, pseudo_sum(ip, outer, behind)));
  store_raw16(udp + 6, sum == 0 ? uint16_t{0xffff} : sum);
}

}  // namespace shunt::l4
