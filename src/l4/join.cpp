// What must be alike is compared as bytes: of the IP header all but lengths, identification and
// checksums, of the TCP header all but sequence number, checksum, FIN and PSH.
#include "l4/join.h"

#include <algorithm>
#include <cstring>

#include "core/assert.h"
#include "l4/checksum.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kWholeMost = 65535;
constexpr uint32_t kSegmentLargest = 16384;  // Of a link; what is larger has been joined already.
constexpr uint8_t kEce = 0x40;
constexpr uint8_t kAllowed = kAck | kPsh | kFin | kCwr | kEce;
constexpr uint8_t kSegmentsTcpV4 = 1;
constexpr uint8_t kSegmentsTcpV6 = 4;
constexpr uint8_t kSegmentsEcn = 0x80;
constexpr uint32_t kUrgent = 18;  // In the TCP header, as the offsets below.
constexpr uint32_t kFlags = 13;
constexpr uint32_t kSequence = 4;
constexpr uint32_t kAcknowledged = 8;

uint32_t tcp_header(const Inner& packet) {
  return (packet.data[packet.headers.transport + 12] >> 4) * 4u;
}

const uint8_t* tcp_of(const Inner& packet) {
  return packet.data + packet.headers.transport;
}

// One with data, and without IP options or extension headers.
bool is_plain_segment(const Inner& packet) {
  const Headers& headers = packet.headers;
  if (headers.tuple.protocol != kTcp || headers.fragment) return false;
  if (headers.transport != (headers.v6 ? kIpv6Header : kIpv4Header)) return false;
  if ((headers.tcp_flags & kAck) == 0 || (headers.tcp_flags & ~kAllowed) != 0) return false;
  return tcp_header(packet) >= kTcpHeader && headers.payload() > tcp_header(packet) &&
         packet.size <= kSegmentLargest;
}

bool checksum_holds(const Inner& packet) {
  return packet.partial ||
         transport_checksum_holds({.data = packet.data, .size = packet.size}, packet.headers);
}

bool same(const uint8_t* a, const uint8_t* b, uint32_t begin, uint32_t end) {
  return std::memcmp(a + begin, b + begin, end - begin) == 0;
}

// All but the identification, which counts up or, where it says nothing (RFC 6864 §4.1), may stay.
bool ip_follows(const uint8_t* first, const uint8_t* next, uint16_t step) {
  return same(first, next, 0, 2) && same(first, next, 6, 10) &&
         load_be16(next + 4) == static_cast<uint16_t>(load_be16(first + 4) + step);
}

}  // namespace

void Join::begin(const Inner& first) {
  SHUNT_ASSERT(count_ == 0);
  first_ = first;
  count_ = 1;
  parts_[0] = {first.data, first.size};
  last_flags_ = first.headers.tcp_flags;
  open_ = (last_flags_ & (kPsh | kFin)) == 0 && is_plain_segment(first);
  if (!open_) return;
  header_ = first.headers.transport + tcp_header(first);
  segment_ = payload_ = first.size - header_;
}

bool Join::is_of_flow(const Inner& packet) const {
  return count_ > 0 && packet.headers.tuple == first_.headers.tuple;
}

bool Join::add(const Inner& next) {
  SHUNT_ASSERT(count_ > 0);
  if (!open_ || count_ == kSegmentsMost || !is_of_flow(next)) return false;
  if (next.partial != first_.partial || next.size <= header_) return false;
  const uint32_t payload = next.size - header_;
  if (payload > segment_ || header_ + payload_ + payload > kWholeMost) return false;
  const uint8_t* const from = tcp_of(first_);
  const uint8_t* const tcp = tcp_of(next);
  const uint8_t flags = next.headers.tcp_flags;
  if (tcp_header(next) != tcp_header(first_) || from[12] != tcp[12]) return false;
  // Of segments with CWR only the first has it.
  if ((flags & kCwr) != 0 || ((flags ^ from[kFlags]) & ~(kCwr | kFin | kPsh)) != 0) return false;
  if (load_be32(tcp + kSequence) != load_be32(from + kSequence) + payload_) return false;
  if (!same(from, tcp, kAcknowledged, 12) || !same(from, tcp, 14, 16)) return false;
  if (!same(from, tcp, kUrgent, tcp_header(first_))) return false;
  if (count_ == 1)
    id_step_ = (next.headers.dont_fragment && same(first_.data, next.data, 4, 6)) ? 0 : 1;
  const bool follows =
      next.headers.v6
          ? same(first_.data, next.data, 0, 4) && same(first_.data, next.data, 6, 8)
          : ip_follows(first_.data, next.data, static_cast<uint16_t>(id_step_ * count_));
  if (!follows || !is_plain_segment(next)) return false;
  // The whole says that they are right. The first is looked at only when there is something to add.
  if (count_ == 1 && !checksum_holds(first_)) open_ = false;
  if (!open_ || !checksum_holds(next)) return false;
  parts_[count_++] = {next.data + header_, payload};
  payload_ += payload;
  last_flags_ = flags;
  open_ = payload == segment_ && (flags & (kPsh | kFin)) == 0;
  return true;
}

Join::Whole Join::finish() {
  SHUNT_ASSERT(count_ > 0);
  Whole whole{.parts = std::span(parts_).first(count_), .offload = {}, .segments = count_};
  Offload& offload = whole.offload;
  if (count_ == 1) {
    offload.partial = first_.partial;
    offload.start = first_.checksum_start;
    offload.offset = first_.checksum_offset;
    count_ = 0;
    return whole;
  }
  const Headers& headers = first_.headers;
  const uint32_t size = header_ + payload_;
  uint8_t* const ip = first_.data;
  uint8_t* const tcp = ip + headers.transport;
  tcp[kFlags] = static_cast<uint8_t>(tcp[kFlags] | (last_flags_ & (kFin | kPsh)));
  if (headers.v6) {
    store_be16(ip + 4, static_cast<uint16_t>(size - kIpv6Header));
  } else {
    store_be16(ip + 2, static_cast<uint16_t>(size));
    store_raw16(ip + 10, 0);
    store_raw16(ip + 10, l4::finish(add_bytes({ip, kIpv4Header})));
  }
  const uint32_t field = checksum_offset(kTcp);
  store_raw16(tcp + field, fold(pseudo_sum(ip, headers, size - headers.transport)));
  offload = {.partial = true,
             .start = headers.transport,
             .offset = static_cast<uint16_t>(field),
             .segment_type = headers.v6 ? kSegmentsTcpV6 : kSegmentsTcpV4,
             .segment_size = static_cast<uint16_t>(segment_)};
  if ((tcp[kFlags] & kCwr) != 0) offload.segment_type |= kSegmentsEcn;
  whole.header_size = header_;
  count_ = 0;
  return whole;
}

}  // namespace shunt::l4
