// The seams of the layer: packets as a ring or a test hands them in and takes them back, the links
// they leave by, and who knows the way. Nothing here copies; whoever hands in a packet owns its
// bytes. One worker's thread.
#pragma once

#include <array>
#include <cstdint>

#include "core/address.h"

namespace shunt::l4 {

using MacAddress = std::array<uint8_t, 6>;

// What the packet's sender has left to the hardware: struct virtio_net_hdr of a PACKET_VNET_HDR
// socket. Offsets count from Packet::data.
struct Offload {
  bool partial = false;       // The transport checksum holds the pseudo header's sum only…
  bool verified = false;      // …or has been checked already.
  uint16_t start = 0;         // Of what the transport checksum covers; `partial`.
  uint16_t offset = 0;        // Of the checksum field, from `start`; `partial`.
  uint8_t segment_type = 0;   // As it came; `segment_size` > 0.
  uint16_t segment_size = 0;  // Payload bytes of each segment that this packet stands for; 0: one.

  friend bool operator==(const Offload&, const Offload&) = default;
};

// A packet from its IP header on, to be rewritten in place.
struct Packet {
  uint8_t* data = nullptr;
  uint32_t size = 0;      // Bytes from `data` on. Behind the IP packet there may be padding.
  uint32_t headroom = 0;  // Bytes before `data` that may be written: link and tunnel headers.
  uint16_t interface = 0;
  Offload offload{};
};

// The headroom that every method and link header is content with.
inline constexpr uint32_t kHeadroom = 128;

// The next hop towards an address.
struct Hop {
  MacAddress source{};  // Of the interface.
  MacAddress destination{};
  uint16_t interface = 0;
  uint32_t mtu = 1500;  // Of the route, in bytes of IP packet.
  IpAddress own{};      // The director's address on that side, of the asked-for family.
  IpAddress next{};     // The neighbour's address.
  bool known = true;    // False: the neighbour is still being asked for; Output may keep packets.
};

// Who knows routes and neighbours.
class Links {
 public:
  virtual ~Links() = default;
  // Null if there is no route. Good until the next call.
  virtual const Hop* hop_to(const IpAddress& address) = 0;
};

// Where packets go. The bytes are the callee's until it returns.
class Output {
 public:
  virtual ~Output() = default;
  virtual void transmit(const Packet& packet, const Hop& hop) = 0;
  // To the director's own stack: the method "local".
  virtual void deliver(const Packet& packet) = 0;
};

}  // namespace shunt::l4
