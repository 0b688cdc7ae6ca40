// The header that a PACKET_VNET_HDR socket puts before each frame (struct virtio_net_hdr, in the
// machine's byte order) as an Offload, and back. Pure; any thread.
#pragma once

#include <cstdint>

#include "l4/port.h"

namespace shunt::l4 {

inline constexpr uint32_t kVnetHeader = 10;

// `link_header`: bytes of the frame before the IP header, from which the offload counts. False for
// what this layer does not know (UDP fragmentation by the card) and for offsets into the link
// header: such a frame must go.
bool read_vnet_header(const uint8_t* raw, uint32_t link_header, Offload& offload);

// Of a packet that is about to leave behind a link header of that size.
void write_vnet_header(uint8_t* raw, const Packet& packet, uint32_t link_header);

}  // namespace shunt::l4
