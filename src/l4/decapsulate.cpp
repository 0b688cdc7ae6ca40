// Outer header off, inner header checked, congestion mark carried over.
#include "l4/decapsulate.h"

#include <algorithm>

#include "core/assert.h"
#include "l4/checksum.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kGueHeader = 4;
constexpr uint8_t kEcnMask = 3;
constexpr uint8_t kNotCapable = 0;
constexpr uint8_t kEcnCapable0 = 2;  // ECT(0).
constexpr uint8_t kEcnCapable1 = 1;  // ECT(1).
constexpr uint8_t kCongested = 3;    // CE.

uint8_t inner_mark(const Inner& inner) {
  return kEcnMask & (inner.headers.v6 ? inner.data[1] >> 4 : inner.data[1]);
}

void set_mark(Inner& inner, uint8_t mark) {
  uint8_t* const at = inner.data + 1;
  if (inner.headers.v6) {
    *at = static_cast<uint8_t>((*at & ~(kEcnMask << 4)) | mark << 4);
    return;
  }
  const uint8_t before[2] = {inner.data[0], *at};
  *at = static_cast<uint8_t>((*at & ~kEcnMask) | mark);
  ChecksumChange change;
  change.replace(before, inner.data, sizeof before);
  store_raw16(inner.data + 10, change.applied(load_raw16(inner.data + 10)));
}

// RFC 6040 figure 4. False: the packet is to be dropped.
bool carry_mark(Inner& inner, uint8_t traffic_class) {
  const uint8_t outer = traffic_class & kEcnMask;
  const uint8_t mark = inner_mark(inner);
  if (outer == kCongested) {
    if (mark == kNotCapable) return false;
    if (mark != kCongested) set_mark(inner, kCongested);
  } else if (outer == kEcnCapable1 && mark == kEcnCapable0) {
    set_mark(inner, kEcnCapable1);
  }
  return true;
}

void find_partial_checksum(Inner& inner) {
  const Headers& headers = inner.headers;
  if (!headers.has_ports() || headers.fragment) return;
  const uint32_t offset = checksum_offset(headers.tuple.protocol);
  const uint8_t* field = inner.data + headers.transport + offset;
  // A checksum that is finished has this value once in 65536 packets; finishing it again gives the
  // same.
  const uint16_t begun = fold(pseudo_sum(inner.data, headers, headers.payload()));
  if (load_raw16(field) != begun || begun == 0) return;
  inner.partial = true;
  inner.checksum_start = headers.transport;
  inner.checksum_offset = static_cast<uint16_t>(offset);
}

}  // namespace

Decapsulated decapsulate_ip(std::span<uint8_t> payload, uint8_t protocol, uint8_t traffic_class,
                            Inner& inner) {
  inner = {};
  if (protocol != kIpInIp && protocol != kIpv6) return Decapsulated::kNotTunnel;
  if (parse(payload, inner.headers) != Drop::kNone) return Decapsulated::kMalformed;
  if (inner.headers.v6 != (protocol == kIpv6)) return Decapsulated::kMalformed;
  if (check_addresses(inner.headers) != Drop::kNone) return Decapsulated::kMalformed;
  inner.data = payload.data();
  inner.size = inner.headers.size;
  if (!carry_mark(inner, traffic_class)) return Decapsulated::kCongestion;
  find_partial_checksum(inner);
  return Decapsulated::kTaken;
}

Decapsulated decapsulate_gue(std::span<uint8_t> payload, uint8_t traffic_class, Inner& inner) {
  inner = {};
  if (payload.empty()) return Decapsulated::kMalformed;
  // Version 1 has no header: the packet inside begins at once, and its version begins with 01.
  if (payload[0] >> 6 == 1)
    return decapsulate_ip(payload, payload[0] >> 4 == 6 ? kIpv6 : kIpInIp, traffic_class, inner);
  if (payload.size() < kGueHeader) return Decapsulated::kMalformed;
  // No control message, no options, no flags.
  if (payload[0] != 0 || load_be16(payload.data() + 2) != 0) return Decapsulated::kNotTunnel;
  return decapsulate_ip(payload.subspan(kGueHeader), payload[1], traffic_class, inner);
}

std::span<uint8_t> behind_ipv4(std::span<uint8_t> packet) {
  if (packet.size() < kIpv4Header || packet[0] >> 4 != 4) return {};
  const size_t header = size_t{packet[0] & 0xfu} * 4;
  if (header < kIpv4Header || header >= packet.size()) return {};
  return packet.subspan(header);
}

}  // namespace shunt::l4
