// One packet into several: fragments of IPv4 (RFC 791) and IPv6 (RFC 8200 §4.5), and the segments
// that a packet left to the hardware's segmentation stands for. Each piece is built in a buffer of
// the caller's. Pure.
#pragma once

#include <cstdint>

#include "l4/packet.h"

namespace shunt::l4 {

// Room for a piece with its headroom.
inline constexpr uint32_t kPieceMax = kHeadroom + 65536;

// Both are asked for pieces until they have none left. `packet` must stay as it is meanwhile.
class Fragments {
 public:
  // Of an IPv4 packet without the DF bit, itself a fragment perhaps (`mtu` >= 68), or of an IPv6
  // packet whose origin we are, without extension headers (`mtu` >= 1280). `id`: of IPv6 fragments.
  Fragments(const Packet& packet, uint32_t mtu, uint32_t id, uint8_t* buffer);
  bool next(Packet& piece);

 private:
  void finish_v4(uint8_t* ip, uint32_t data) const;
  void finish_v6(uint8_t* ip, uint32_t data) const;

  const Packet& packet_;
  uint8_t* const buffer_;
  const bool v6_;
  const uint32_t header_;  // Of the whole.
  const uint16_t place_;   // The fragment field of the whole; IPv4.
  const uint32_t id_;
  const uint32_t data_max_;
  uint32_t done_ = 0;  // Bytes of data handed out.
};

class Segments {
 public:
  // Of TCP or UDP over IPv4 or IPv6; the packet's offload says how many bytes each carries.
  Segments(const Packet& packet, const Headers& headers, uint8_t* buffer);
  bool next(Packet& piece);

 private:
  void finish_ip(uint8_t* ip, uint32_t size, uint32_t number) const;

  const Packet& packet_;
  const Headers& headers_;
  uint8_t* const buffer_;
  const uint32_t header_;  // Up to the payload.
  uint32_t done_ = 0;
  uint32_t count_ = 0;
};

// The size of the largest packet that this one becomes on the wire.
uint32_t wire_size(const Packet& packet, const Headers& headers);

}  // namespace shunt::l4
