// Copies into a batch of fixed size. A sighting that does not fit is taken back as a whole.
#include "l4/watch.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/assert.h"
#include "l4/byte_order.h"

namespace shunt::l4 {
namespace {

constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint16_t kTypeIpv6 = 0x86dd;

}  // namespace

WatchBatch WatchBatch::with_room(size_t packets, size_t bytes) {
  constexpr size_t kFramesPerPacket = 2;
  WatchBatch batch;
  batch.sightings.reserve(packets);
  batch.frames.reserve(packets * kFramesPerPacket);
  batch.bytes.reserve(bytes);
  return batch;
}

void WatchBatch::clear() {
  sightings.clear();
  frames.clear();
  bytes.clear();
  lost = 0;
}

void Watch::take(WatchBatch& spare) {
  SHUNT_ASSERT(!open_);
  SHUNT_ASSERT(spare.sightings.empty());
  std::swap(batch_, spare);
}

bool Watch::add_bytes(const uint8_t* bytes, uint32_t size) {
  if (batch_.bytes.capacity() - batch_.bytes.size() < size) {
    complete_ = false;
    return false;
  }
  batch_.bytes.insert(batch_.bytes.end(), bytes, bytes + size);
  return true;
}

Kept Watch::keep(std::string_view text) {
  const Kept kept{static_cast<uint32_t>(batch_.bytes.size()), static_cast<uint32_t>(text.size())};
  return add_bytes(reinterpret_cast<const uint8_t*>(text.data()), kept.size) ? kept : Kept{};
}

void Watch::begin(const Packet& packet, const Headers& headers, bool readable, Instant now) {
  SHUNT_ASSERT(!open_);
  open_ = true;
  complete_ = batch_.sightings.size() < batch_.sightings.capacity();
  bytes_before_ = batch_.bytes.size();
  sighting_ = {.at = now, .first_frame = static_cast<uint32_t>(batch_.frames.size())};
  // Before the packet stands the link header that it came with.
  constexpr std::array<uint8_t, kLinkHeader> kNone{};
  const bool has_link = packet.headroom >= kLinkHeader;
  add_frame(has_link ? packet.data - kLinkHeader : kNone.data(), packet,
            {.interface = packet.interface, .headers = headers, .readable = readable});
}

void Watch::end() {
  SHUNT_ASSERT(open_);
  open_ = false;
  if (complete_) {
    batch_.sightings.push_back(sighting_);
    return;
  }
  batch_.frames.resize(sighting_.first_frame);
  batch_.bytes.resize(bytes_before_);
  ++batch_.lost;
}

void Watch::add_frame(const uint8_t* link, const Packet& packet, SeenFrame frame) {
  if (!complete_ || batch_.frames.size() == batch_.frames.capacity()) {
    complete_ = false;
    return;
  }
  const uint32_t kept = std::min(packet.size, filter_.bytes - std::min(filter_.bytes, kLinkHeader));
  frame.bytes = {static_cast<uint32_t>(batch_.bytes.size()), kLinkHeader + kept};
  frame.size = kLinkHeader + packet.size;
  if (!add_bytes(link, kLinkHeader) || !add_bytes(packet.data, kept)) return;
  batch_.frames.push_back(frame);
  ++sighting_.frames;
}

void Watch::transmit(const Packet& packet, const Hop& hop) {
  if (open_) {
    std::array<uint8_t, kLinkHeader> link{};
    std::ranges::copy(hop.destination, link.begin());
    std::ranges::copy(hop.source, link.begin() + sizeof(MacAddress));
    store_be16(link.data() + 2 * sizeof(MacAddress),
               packet.data[0] >> 4 == 6 ? kTypeIpv6 : kTypeIpv4);
    SeenFrame frame{.interface = hop.interface, .waits = !hop.known};
    frame.readable = parse({packet.data, packet.size}, frame.headers) == Drop::kNone;
    add_frame(link.data(), packet, frame);
  }
  output_->transmit(packet, hop);
}

void Watch::deliver(const Packet& packet) {
  output_->deliver(packet);
}

}  // namespace shunt::l4
