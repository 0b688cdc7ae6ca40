// The other end of a tunnel (l4/tunnel.h): takes the outer header off, on a real server. IPIP and
// GUE (version 0 without options, or version 1), strict. The congestion mark of the outer header is
// carried inside (RFC 6040 §4.2). Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/address.h"
#include "l4/packet.h"

namespace shunt::l4 {

enum class Decapsulated : uint8_t {
  kTaken,
  kMalformed,   // No whole IP packet inside, or one that parse() refuses.
  kNotTunnel,   // Another protocol inside, or a GUE header that says more than we know.
  kCongestion,  // Marked outside, and inside the sender does not know such marks: it is to be lost.
};

// What is inside, from its IP header on.
struct Inner {
  uint8_t* data = nullptr;
  uint32_t size = 0;
  Headers headers;
  // The transport checksum is only begun, as senders on the same host leave it to hardware: the
  // sum of the pseudo header stands in its field.
  bool partial = false;
  uint16_t checksum_start = 0;   // From `data`; `partial`.
  uint16_t checksum_offset = 0;  // From `checksum_start`; `partial`.
};

// `payload`: what follows the outer IP header (IPIP), or its UDP header (GUE). `protocol`: kIpInIp
// or kIpv6 as the outer header says it. `traffic_class`: of the outer header. Edits the inner
// header's congestion mark.
Decapsulated decapsulate_ip(std::span<uint8_t> payload, uint8_t protocol, uint8_t traffic_class,
                            Inner& inner);
Decapsulated decapsulate_gue(std::span<uint8_t> payload, uint8_t traffic_class, Inner& inner);

// The payload of an IPv4 packet with its header, as raw sockets deliver it; empty if there is none.
std::span<uint8_t> behind_ipv4(std::span<uint8_t> packet);

}  // namespace shunt::l4
