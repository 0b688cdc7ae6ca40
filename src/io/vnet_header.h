// What a packet's sender has left to the hardware, as packet sockets (PACKET_VNET_HDR) and tun
// devices (IFF_VNET_HDR) pass it on: struct virtio_net_hdr of Linux, in the host's byte order.
// Without it a checksum that is not finished is forwarded as if it were. A value; any thread.
#pragma once

#include <cstdint>

namespace shunt::io {

struct VnetHeader {
  static constexpr uint8_t kNeedsChecksum = 1;  // `flags`: the checksum is only begun.
  static constexpr uint8_t kDataValid = 2;      // `flags`: the checksum has been verified.
  // `segmentation`: what the packet is to be cut into.
  static constexpr uint8_t kNone = 0;
  static constexpr uint8_t kTcpV4 = 1;
  static constexpr uint8_t kTcpV6 = 4;
  static constexpr uint8_t kUdp = 5;     // Linux 6.2.
  static constexpr uint8_t kEcn = 0x80;  // With TCP: the first segment alone keeps CWR.

  uint8_t flags = 0;
  uint8_t segmentation = kNone;
  uint16_t header_size = 0;      // Of all headers; of a packet to be cut.
  uint16_t segment_size = 0;     // Payload bytes of a segment.
  uint16_t checksum_start = 0;   // From the frame's first byte; kNeedsChecksum.
  uint16_t checksum_offset = 0;  // From `checksum_start`; kNeedsChecksum.

  bool needs_checksum() const { return (flags & kNeedsChecksum) != 0; }
  bool checksum_valid() const { return (flags & kDataValid) != 0; }
};
static_assert(sizeof(VnetHeader) == 10);

}  // namespace shunt::io
