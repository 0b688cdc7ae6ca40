// Field by field, by the layout that <linux/virtio_net.h> fixes: flags, segmentation type, header
// length, segment size, checksum start and offset.
#include "l4/vnet_header.h"

#include <cstring>

#include "core/assert.h"
#include "l4/byte_order.h"

namespace shunt::l4 {
namespace {

constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kDataValid = 2;
constexpr uint8_t kSegmentsTcpV4 = 1;
constexpr uint8_t kSegmentsTcpV6 = 4;
constexpr uint8_t kSegmentsUdp = 5;
constexpr uint8_t kSegmentsEcn = 0x80;  // A flag beside the type: the first segment has CWR.

}  // namespace

bool read_vnet_header(const uint8_t* raw, uint32_t link_header, Offload& offload) {
  offload = Offload{};
  const uint8_t type = raw[1] & static_cast<uint8_t>(~kSegmentsEcn);
  if (type != 0) {
    if (type != kSegmentsTcpV4 && type != kSegmentsTcpV6 && type != kSegmentsUdp) return false;
    offload.segment_type = raw[1];
    offload.segment_size = load_raw16(raw + 4);
    if (offload.segment_size == 0) return false;
  }
  offload.verified = (raw[0] & kDataValid) != 0;
  if ((raw[0] & kNeedsChecksum) == 0) return true;
  const uint16_t start = load_raw16(raw + 6);
  if (start < link_header) return false;
  offload.partial = true;
  offload.start = static_cast<uint16_t>(start - link_header);
  offload.offset = load_raw16(raw + 8);
  return true;
}

void write_vnet_header(uint8_t* raw, const Packet& packet, uint32_t link_header) {
  const Offload& offload = packet.offload;
  std::memset(raw, 0, kVnetHeader);
  if (offload.partial) {
    const uint32_t start = link_header + offload.start;
    SHUNT_ASSERT(start + offload.offset + 2u <= link_header + packet.size);
    raw[0] = kNeedsChecksum;
    store_raw16(raw + 6, static_cast<uint16_t>(start));
    store_raw16(raw + 8, offload.offset);
  }
  if (offload.segment_size == 0) return;
  raw[1] = offload.segment_type;
  // A hint; the kernel lengthens it to what it needs.
  store_raw16(raw + 2, static_cast<uint16_t>(link_header + offload.start + offload.offset + 2));
  store_raw16(raw + 4, offload.segment_size);
}

}  // namespace shunt::l4
