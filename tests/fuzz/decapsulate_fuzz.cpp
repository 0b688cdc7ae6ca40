// What comes out of a tunnel, of any bytes: a packet that a strict reader accepts, inside what
// came, with nothing changed but its congestion mark (and the checksum over that); and what is
// refused stays as it was.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "core/assert.h"
#include "l4/checksum.h"
#include "l4/decapsulate.h"

using namespace shunt;
using namespace shunt::l4;

namespace {

constexpr uint8_t kEcnMask = 3;

uint8_t mark_of(std::span<const uint8_t> packet) {
  return kEcnMask & (packet[0] >> 4 == 6 ? packet[1] >> 4 : packet[1]);
}

// RFC 6040 figure 4, cell by cell: [outside][inside], with 4 for "drop".
constexpr uint8_t kDrop = 4;
constexpr uint8_t kMarks[4][4] = {{0, 1, 2, 3}, {0, 1, 1, 3}, {0, 1, 2, 3}, {kDrop, 3, 3, 3}};

// The receiver's offload completes the checksum over all from its start on; then it holds.
void check_partial(const Inner& inner) {
  const uint32_t field = uint32_t{inner.checksum_start} + inner.checksum_offset;
  SHUNT_ASSERT(inner.checksum_start == inner.headers.transport);
  SHUNT_ASSERT(field + 2 <= inner.size);
  std::vector<uint8_t> copy(inner.data, inner.data + inner.size);
  const std::span<const uint8_t> covered(copy.data() + inner.checksum_start,
                                         inner.size - inner.checksum_start);
  const bool udp = inner.headers.tuple.protocol == kUdp;
  if (udp && load_be16(covered.data() + 4) != covered.size()) return;
  uint16_t finished = finish(add_bytes(covered));
  if (udp && finished == 0) finished = 0xffff;
  store_raw16(copy.data() + field, finished);
  const Packet packet{.data = copy.data(), .size = inner.size};
  SHUNT_ASSERT(transport_checksum_holds(packet, inner.headers));
}

void check_taken(std::span<const uint8_t> before, std::span<const uint8_t> after,
                 uint8_t traffic_class, const Inner& inner) {
  SHUNT_ASSERT(inner.data >= after.data());
  SHUNT_ASSERT(inner.data + inner.size <= after.data() + after.size());
  Headers headers;
  SHUNT_ASSERT(parse({inner.data, inner.size}, headers) == Drop::kNone);
  SHUNT_ASSERT(headers.tuple == inner.headers.tuple);
  SHUNT_ASSERT(headers.size == inner.size);
  SHUNT_ASSERT(check_addresses(headers) == Drop::kNone);
  const auto offset = static_cast<size_t>(inner.data - after.data());
  for (size_t i = 0; i < after.size(); ++i) {
    const size_t at = i - offset;  // Wraps around before the packet.
    const bool checksum = !headers.v6 && (at == 10 || at == 11);
    if (at != 1 && !checksum) SHUNT_ASSERT(before[i] == after[i]);
  }
  const uint8_t mark = kMarks[traffic_class & kEcnMask][mark_of(before.subspan(offset))];
  SHUNT_ASSERT(mark_of({inner.data, inner.size}) == mark);
  const uint8_t others = headers.v6 ? 0xcf : 0xfc;
  SHUNT_ASSERT(((before[offset + 1] ^ inner.data[1]) & others) == 0);
  if (inner.partial) check_partial(inner);
}

}  // namespace

// The first byte says how it came, the second is the outer traffic class.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::span<const uint8_t> before(data + 2, size - 2);
  // Room to the byte, so that the sanitizer sees what goes beyond.
  const auto room = std::make_unique<uint8_t[]>(before.size());
  std::ranges::copy(before, room.get());
  const std::span<uint8_t> after(room.get(), before.size());
  Inner inner;
  Decapsulated result = Decapsulated::kNotTunnel;
  switch (data[0] % 4) {
    case 0:
      result = decapsulate_gue(after, data[1], inner);
      break;
    case 1:
      result = decapsulate_ip(after, kIpInIp, data[1], inner);
      break;
    case 2:
      result = decapsulate_ip(after, kIpv6, data[1], inner);
      break;
    default: {  // With its outer header, as raw sockets deliver IPv4.
      const std::span<uint8_t> payload = behind_ipv4(after);
      if (payload.empty()) return 0;
      SHUNT_ASSERT(payload.data() + payload.size() == after.data() + after.size());
      result = decapsulate_ip(payload, after[9], data[1], inner);
    }
  }
  if (result == Decapsulated::kTaken) {
    check_taken(before, after, data[1], inner);
  } else {
    SHUNT_ASSERT(std::ranges::equal(before, after));
  }
  return 0;
}
