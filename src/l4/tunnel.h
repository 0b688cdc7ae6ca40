// Putting a packet into a tunnel to a real server: IPv4 or IPv6 in IPv4 or IPv6, bare (RFC 2003,
// RFC 2473, RFC 4213) or behind GUE's UDP header. The outer header takes over TTL, DSCP and ECN as
// IPVS does it: a congestion mark inside becomes ECT(0) outside, and survives inside. Pure.
#pragma once

#include <cstdint>

#include "l4/packet.h"
#include "l4/service.h"

namespace shunt::l4 {

struct TunnelHeader {
  TunnelKind kind = TunnelKind::kIpIp;
  IpAddress source;
  IpAddress destination;  // Of the same family.
  uint16_t port = 0;      // GUE's.
  bool checksum = false;  // GUE over IPv4.
  bool dont_fragment = false;
  uint16_t id = 0;  // Of the outer IPv4 header.
};

// What the tunnel adds to each packet, in bytes.
uint32_t tunnel_overhead(TunnelKind kind, bool outer_v6);

// Puts the headers before the packet; requires that much headroom, and a whole checksum where the
// outer UDP header needs one over it. `headers` stay those of the packet inside.
void encapsulate(Packet& packet, const Headers& headers, const TunnelHeader& tunnel);

}  // namespace shunt::l4
