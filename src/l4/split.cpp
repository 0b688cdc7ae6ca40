// Headers are copied to each piece and then mended: lengths, identification, sequence numbers,
// flags, checksums.
#include "l4/split.h"

#include <algorithm>
#include <cstring>

#include "core/assert.h"
#include "l4/checksum.h"

namespace shunt::l4 {
namespace {

constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kOffsetMask = 0x1fff;
constexpr uint8_t kFragment = 44;

// Options without the copied flag are for the first fragment alone (RFC 791 §3.1): the others have
// NOPs in their place.
void keep_copied_options(uint8_t* options, uint32_t size) {
  for (uint32_t at = 0; at < size && options[at] != 0;) {
    const uint32_t length = options[at] == 1 ? 1 : options[at + 1];
    if ((options[at] & 0x80) == 0) std::memset(options + at, 1, length);
    at += length;
  }
}

void mend_header_checksum(uint8_t* ip, uint32_t header) {
  store_raw16(ip + 10, 0);
  store_raw16(ip + 10, finish(add_bytes({ip, header})));
}

}  // namespace

Fragments::Fragments(const Packet& packet, uint32_t mtu, uint32_t id, uint8_t* buffer)
    : packet_(packet),
      buffer_(buffer),
      v6_(packet.data[0] >> 4 == 6),
      header_(v6_ ? kIpv6Header : (packet.data[0] & 0x0fu) * 4),
      place_(v6_ ? uint16_t{0} : load_be16(packet.data + 6)),
      id_(id),
      data_max_((mtu - header_ - (v6_ ? kFragmentHeader : 0)) / 8 * 8) {
  SHUNT_ASSERT(mtu >= (v6_ ? 1280u : 68u));
  SHUNT_ASSERT(!packet.offload.partial);
}

bool Fragments::next(Packet& piece) {
  const uint32_t whole = packet_.size - header_;
  if (done_ == whole) return false;
  const uint32_t data = std::min(whole - done_, data_max_);
  const uint32_t header = header_ + (v6_ ? kFragmentHeader : 0);
  uint8_t* ip = buffer_ + kHeadroom;
  std::memcpy(ip, packet_.data, header_);
  std::memcpy(ip + header, packet_.data + header_ + done_, data);
  if (v6_) {
    finish_v6(ip, data);
  } else {
    finish_v4(ip, data);
  }
  done_ += data;
  piece = {
      .data = ip, .size = header + data, .headroom = kHeadroom, .interface = packet_.interface};
  return true;
}

void Fragments::finish_v4(uint8_t* ip, uint32_t data) const {
  if (done_ > 0) keep_copied_options(ip + kIpv4Header, header_ - kIpv4Header);
  const bool last = header_ + done_ + data == packet_.size && (place_ & kMoreFragments) == 0;
  const uint32_t offset = (place_ & kOffsetMask) + done_ / 8;
  store_be16(ip + 2, static_cast<uint16_t>(header_ + data));
  store_be16(ip + 6, static_cast<uint16_t>(offset | (last ? 0 : kMoreFragments)));
  mend_header_checksum(ip, header_);
}

void Fragments::finish_v6(uint8_t* ip, uint32_t data) const {
  const bool last = header_ + done_ + data == packet_.size;
  uint8_t* fragment = ip + kIpv6Header;
  fragment[0] = ip[6];
  fragment[1] = 0;
  store_be16(fragment + 2, static_cast<uint16_t>(done_ | (last ? 0 : 1)));
  store_be32(fragment + 4, id_);
  ip[6] = kFragment;
  store_be16(ip + 4, static_cast<uint16_t>(kFragmentHeader + data));
}

Segments::Segments(const Packet& packet, const Headers& headers, uint8_t* buffer)
    : packet_(packet),
      headers_(headers),
      buffer_(buffer),
      header_(headers.transport + transport_size(packet, headers)) {
  SHUNT_ASSERT(packet.offload.segment_size > 0);
  SHUNT_ASSERT(header_ <= headers.size);
}

bool Segments::next(Packet& piece) {
  const uint32_t whole = headers_.size - header_;
  if (done_ == whole) return false;
  const uint32_t data = std::min<uint32_t>(whole - done_, packet_.offload.segment_size);
  uint8_t* ip = buffer_ + kHeadroom;
  std::memcpy(ip, packet_.data, header_);
  std::memcpy(ip + header_, packet_.data + header_ + done_, data);
  const uint32_t size = header_ + data;
  finish_ip(ip, size, count_);

  uint8_t* transport = ip + headers_.transport;
  const uint32_t length = size - headers_.transport;
  if (headers_.tuple.protocol == kTcp) {
    store_be32(transport + 4, load_be32(transport + 4) + done_);
    if (done_ > 0) transport[13] = static_cast<uint8_t>(transport[13] & ~kCwr);
    if (done_ + data < whole) transport[13] = static_cast<uint8_t>(transport[13] & ~(kFin | kPsh));
  } else {
    store_be16(transport + 4, static_cast<uint16_t>(length));
  }
  uint8_t* field = transport + checksum_offset(headers_.tuple.protocol);
  store_raw16(field, 0);
  const uint16_t sum = finish(add_bytes({transport, length}, pseudo_sum(ip, headers_, length)));
  store_raw16(field, sum == 0 && headers_.tuple.protocol == kUdp ? uint16_t{0xffff} : sum);
  done_ += data;
  ++count_;
  piece = {.data = ip, .size = size, .headroom = kHeadroom, .interface = packet_.interface};
  return true;
}

void Segments::finish_ip(uint8_t* ip, uint32_t size, uint32_t number) const {
  if (headers_.v6) {
    store_be16(ip + 4, static_cast<uint16_t>(size - kIpv6Header));
    return;
  }
  store_be16(ip + 2, static_cast<uint16_t>(size));
  store_be16(ip + 4, static_cast<uint16_t>(load_be16(ip + 4) + number));
  mend_header_checksum(ip, (ip[0] & 0x0fu) * 4);
}

uint32_t wire_size(const Packet& packet, const Headers& headers) {
  if (packet.offload.segment_size == 0) return headers.size;
  const uint32_t header = headers.transport + transport_size(packet, headers);
  return std::min(headers.size, header + packet.offload.segment_size);
}

}  // namespace shunt::l4
