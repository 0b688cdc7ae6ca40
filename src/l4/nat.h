// Rewriting packets in place with their checksums: addresses and ports for NAT, also in the packet
// that an ICMP error quotes; TTL and hop limit. Pure; any thread.
#pragma once

#include "core/address.h"
#include "l4/packet.h"

namespace shunt::l4 {

enum class Side : uint8_t { kSource, kDestination };

// Replaces one side's address and port; a later fragment has no port, and no checksum in it. The
// address is of the packet's family. `headers` follow.
void rewrite(Packet& packet, Headers& headers, Side side, const IpAddress& address, uint16_t port);

// An ICMP error on its way through NAT: its own `side`, and the opposite side of what it quotes,
// become this address and port.
void rewrite_error(Packet& packet, Headers& headers, Side side, const IpAddress& address,
                   uint16_t port);

// One hop less; requires hops > 0.
void decrement_hops(Packet& packet, Headers& headers);

// Computes the transport checksum that an offload has left partial.
void complete_checksum(Packet& packet);

}  // namespace shunt::l4
