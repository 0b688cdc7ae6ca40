// What changes is summed up once and applied to each checksum that covers it.
#include "l4/nat.h"

#include <algorithm>
#include <utility>

#include "core/assert.h"
#include "l4/checksum.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kV4Checksum = 10;

struct AddressPlace {
  uint32_t offset;
  uint32_t size;
};

AddressPlace place_of(bool v6, Side side) {
  if (v6) return {side == Side::kSource ? 8u : 24u, 16};
  return {side == Side::kSource ? 12u : 16u, 4};
}

const uint8_t* raw_address(bool v6, const IpAddress& address) {
  return address.bytes.data() + (v6 ? 0 : 12);
}

void apply(uint8_t* field, const ChecksumChange& change) {
  store_raw16(field, change.applied(load_raw16(field)));
}

// The address in the IP header at `ip`, with its header checksum.
ChecksumChange set_address(uint8_t* ip, bool v6, Side side, const IpAddress& address) {
  const AddressPlace place = place_of(v6, side);
  ChecksumChange change;
  change.replace(ip + place.offset, raw_address(v6, address), place.size);
  std::memcpy(ip + place.offset, raw_address(v6, address), place.size);
  if (!v6) apply(ip + kV4Checksum, change);
  return change;
}

void set_port(uint8_t* transport, Side side, uint16_t port, ChecksumChange& change) {
  uint8_t* at = transport + (side == Side::kSource ? 0 : 2);
  uint8_t raw[2];
  store_be16(raw, port);
  change.replace(at, raw, sizeof(raw));
  std::memcpy(at, raw, sizeof(raw));
}

// UDP's 0 means that there is no checksum: it stays, and never comes about.
void apply_transport(uint8_t* field, uint8_t protocol, const ChecksumChange& change) {
  const uint16_t before = load_raw16(field);
  if (protocol == kUdp && before == 0) return;
  uint16_t after = change.applied(before);
  if (protocol == kUdp && after == 0) after = 0xffff;
  store_raw16(field, after);
}

void follow(Tuple& tuple, Side side, const IpAddress& address, uint16_t port, bool with_port) {
  (side == Side::kSource ? tuple.source : tuple.destination) = address;
  if (with_port) (side == Side::kSource ? tuple.source_port : tuple.destination_port) = port;
}

}  // namespace

void rewrite(Packet& packet, Headers& headers, Side side, const IpAddress& address, uint16_t port) {
  SHUNT_ASSERT(address.is_v4() != headers.v6);
  ChecksumChange change = set_address(packet.data, headers.v6, side, address);
  const bool with_port = headers.has_ports() && !headers.later_fragment();
  follow(headers.tuple, side, address, port, with_port);
  if (headers.later_fragment()) return;
  uint8_t* transport = packet.data + headers.transport;
  uint8_t* field = transport + checksum_offset(headers.tuple.protocol);
  if (packet.offload.partial) {
    // Only the pseudo header is in it so far, and the ports are not in that.
    store_raw16(field, change.applied_to_partial(load_raw16(field)));
    if (with_port) {
      ChecksumChange unused;
      set_port(transport, side, port, unused);
    }
    return;
  }
  if (!with_port) return;
  set_port(transport, side, port, change);
  apply_transport(field, headers.tuple.protocol, change);
}

void rewrite_error(Packet& packet, Headers& headers, Side side, const IpAddress& address,
                   uint16_t port) {
  SHUNT_ASSERT(headers.is_icmp());
  set_address(packet.data, headers.v6, side, address);
  follow(headers.tuple, side, address, 0, false);

  uint8_t* icmp = packet.data + headers.transport;
  uint8_t* quoted = icmp + kIcmpHeader;
  const uint32_t size = headers.payload() - kIcmpHeader;
  Headers inner;
  const bool read = parse_quoted({quoted, size}, inner);
  SHUNT_ASSERT(read);
  const Side opposite = side == Side::kSource ? Side::kDestination : Side::kSource;
  ChecksumChange change = set_address(quoted, inner.v6, opposite, address);
  uint8_t* transport = quoted + inner.transport;
  if (inner.has_ports()) {
    set_port(transport, opposite, port, change);
    const uint32_t field = checksum_offset(inner.tuple.protocol);
    if (size >= inner.transport + field + 2u)
      apply_transport(transport + field, inner.tuple.protocol, change);
  }
  store_raw16(icmp + 2, 0);
  const uint64_t pseudo =
      headers.v6 ? pseudo_sum(packet.data, headers, headers.payload()) : uint64_t{0};
  store_raw16(icmp + 2, finish(add_bytes({icmp, headers.payload()}, pseudo)));
}

void decrement_hops(Packet& packet, Headers& headers) {
  SHUNT_ASSERT(headers.hops > 0);
  --headers.hops;
  if (headers.v6) {
    packet.data[7] = headers.hops;
    return;
  }
  const uint8_t after[2] = {headers.hops, packet.data[9]};
  ChecksumChange change;
  change.replace(packet.data + 8, after, sizeof(after));
  packet.data[8] = headers.hops;
  apply(packet.data + kV4Checksum, change);
}

void complete_checksum(Packet& packet) {
  if (!packet.offload.partial) return;
  const Offload& offload = packet.offload;
  SHUNT_ASSERT(offload.start <= packet.size);
  SHUNT_ASSERT(offload.start + offload.offset + 2u <= packet.size);
  uint8_t* field = packet.data + offload.start + offload.offset;
  // The field's partial sum takes part in the sum, as the pseudo header would.
  const uint16_t sum =
      finish(add_bytes({packet.data + offload.start, packet.size - offload.start}));
  // Of the two zeros UDP has only this one, and to the others they are the same.
  store_raw16(field, sum == 0 ? uint16_t{0xffff} : sum);
  packet.offload.partial = false;
}

}  // namespace shunt::l4
