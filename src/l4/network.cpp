// Ethernet to IP and back, and the way to each address: route, then neighbour, kept for a moment.
#include "l4/network.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "core/assert.h"
#include "core/hash.h"
#include "l4/byte_order.h"
#include "l4/director.h"
#include "l4/vnet_header.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kEthernetHeader = 14;
constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint16_t kTypeArp = 0x0806;
constexpr uint16_t kTypeIpv6 = 0x86dd;
constexpr uint16_t kVlanIdentifier = 0x0fff;
constexpr uint32_t kNextHeaderOffset = 6;  // Of IPv6.
constexpr Duration kHopKept = std::chrono::milliseconds(100);

bool is_link_local(const IpAddress& address) {
  return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

// Whom to speak as: the first address of the family, of IPv6's rather not a link-local one.
IpAddress own_address(const io::NetworkInterface& interface, bool v4) {
  IpAddress found;
  for (const IpAddress& address : interface.addresses) {
    if (address.is_v4() != v4) continue;
    if (!is_link_local(address)) return address;
    found = address;
  }
  return found;
}

}  // namespace

Network::Network(Instant start) : neighbours_({}, *this, start), hops_(kCachedHops), now_(start) {}

Network::~Network() = default;

size_t Network::number_of(std::string_view name) const {
  const auto at = std::ranges::find(
      links_, name, [](const auto& link) -> std::string_view { return link->interface.name; });
  return static_cast<size_t>(at - links_.begin());
}

bool Network::has_link(std::string_view name) const {
  return number_of(name) != links_.size();
}

Network::Link* Network::link_by_index(int index) {
  const auto at =
      std::ranges::find(links_, index, [](const auto& link) { return link->interface.index; });
  return at == links_.end() ? nullptr : at->get();
}

Result<void> Network::open_link(const io::NetworkInterface& interface) {
  SHUNT_ASSERT(!has_link(interface.name));
  auto ring = io::PacketRing::open(interface, {});
  if (!ring) return std::unexpected(ring.error());
  links_.push_back(std::make_unique<Link>(Link{interface, std::move(*ring)}));
  describe(links_.size() - 1);
  forget_hops();
  return {};
}

void Network::describe(size_t link) {
  const io::NetworkInterface& interface = links_[link]->interface;
  neighbours_.add_link(static_cast<uint16_t>(link), interface.mac, own_address(interface, true),
                       own_address(interface, false));
}

Result<void> Network::refresh(Instant now) {
  now_ = now;
  auto interfaces = io::list_interfaces();
  if (!interfaces) return std::unexpected(interfaces.error());
  auto routes = io::read_routes();
  if (!routes) return std::unexpected(routes.error());
  interfaces_ = std::move(*interfaces);
  routes_ = io::RouteTable(*routes);
  forget_hops();
  Result<void> outcome;
  bool came_up = false;
  for (size_t i = 0; i < links_.size(); ++i) {
    Link& link = *links_[i];
    const auto current =
        std::ranges::find(interfaces_, link.interface.name, &io::NetworkInterface::name);
    if (current == interfaces_.end()) continue;
    came_up |= current->up && !link.interface.up;
    const bool replaced =
        current->index != link.interface.index || current->mtu != link.interface.mtu;
    link.interface = *current;
    describe(i);
    if (!replaced) continue;
    auto ring = io::PacketRing::open(*current, {});
    if (!ring) {
      outcome = std::unexpected(ring.error());
      continue;
    }
    link.ring = std::move(*ring);
    for (const ServedAddress& served : served_) {
      if (served.interface != current->name || served.address.is_v4()) continue;
      const auto joined = link.ring->join_group(solicited_node_group(served.address));
      if (!joined) outcome = joined;
    }
    came_up = true;
  }
  if (came_up) neighbours_.announce(now);
  return outcome;
}

void Network::serve(std::span<const ServedAddress> addresses, Instant now) {
  now_ = now;
  for (const ServedAddress& old : served_) {
    if (std::ranges::find(addresses, old) == addresses.end())
      neighbours_.withdraw(static_cast<uint16_t>(number_of(old.interface)), old.address);
  }
  std::vector<ServedAddress> before = std::move(served_);
  served_.assign(addresses.begin(), addresses.end());
  for (const ServedAddress& served : served_) {
    if (std::ranges::find(before, served) != before.end()) continue;
    const size_t link = number_of(served.interface);
    SHUNT_ASSERT(link != links_.size());
    if (!served.address.is_v4())
      // Where the interface does not filter groups it makes no difference.
      static_cast<void>(links_[link]->ring->join_group(solicited_node_group(served.address)));
    neighbours_.serve(static_cast<uint16_t>(link), served.address, now);
  }
  flush();
}

std::string Network::interface_to(const IpAddress& address) const {
  const io::Route* route = routes_.find(address);
  if (route == nullptr) return {};
  const auto at = std::ranges::find(interfaces_, route->interface, &io::NetworkInterface::index);
  return at == interfaces_.end() ? std::string() : at->name;
}

void Network::clear_error(size_t link) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd(link), SOL_SOCKET, SO_ERROR, &error, &size);
}

bool Network::pump(size_t link, Director& director, Instant now) {
  now_ = now;
  io::PacketRing& ring = *links_[link]->ring;
  io::Frame frame;
  for (size_t i = 0; i < kBatch; ++i) {
    if (!ring.receive(frame)) return false;
    take(link, frame, director);
  }
  return true;
}

void Network::flush() {
  for (const auto& link : links_) link->ring->flush();
}

void Network::take(size_t link, io::Frame& frame, Director& director) {
  if ((frame.vlan & kVlanIdentifier) != 0) return;  // Of another interface, on top of this one.
  const uint16_t type = load_be16(frame.data + kEthernetHeader - 2);
  const auto number = static_cast<uint16_t>(link);
  const bool v6 = type == kTypeIpv6;
  const bool maybe_neighbour =
      type == kTypeArp || (v6 && frame.size > kEthernetHeader + kIpv6Header &&
                           frame.data[kEthernetHeader + kNextHeaderOffset] == kIcmpV6);
  if (maybe_neighbour && neighbours_.receive(number, {frame.data, frame.size}, now_)) return;
  if (type != kTypeIpv4 && !v6) return;
  // Groups, and what a bridge floods or a card in promiscuous mode lets in.
  if (std::memcmp(frame.data, links_[link]->interface.mac.data(), sizeof(MacAddress)) != 0) return;
  uint8_t raw[kVnetHeader];
  std::memcpy(raw, &frame.offload, sizeof raw);
  Packet packet{.data = frame.data + kEthernetHeader,
                .size = frame.size - kEthernetHeader,
                .headroom = frame.headroom + kEthernetHeader,
                .interface = number};
  if (!read_vnet_header(raw, kEthernetHeader, packet.offload)) return;
  counters.frames.add();
  director.forward(packet, now_);
}

void Network::forget_hops() {
  for (CachedHop& hop : hops_) hop.until = Instant{};
}

const Hop* Network::hop_to(const IpAddress& address) {
  static_assert((kCachedHops & (kCachedHops - 1)) == 0);
  constexpr uint8_t kBits = 10;
  static_assert(size_t{1} << kBits == kCachedHops);
  CachedHop& cached = hops_[hash_32(address.folded(), kBits)];
  if (now_ < cached.until && cached.address == address) return &cached.hop;
  Hop hop;
  if (!find_hop(address, hop)) return nullptr;
  if (!hop.known) {
    asking_ = hop;
    return &asking_;
  }
  cached = {.address = address, .hop = hop, .until = now_ + kHopKept};
  return &cached.hop;
}

bool Network::find_hop(const IpAddress& address, Hop& hop) {
  const io::Route* route = routes_.find(address);
  if (route == nullptr) return false;
  const auto at = std::ranges::find(links_, route->interface,
                                    [](const auto& link) { return link->interface.index; });
  if (at == links_.end()) return false;
  const io::NetworkInterface& interface = (*at)->interface;
  hop.interface = static_cast<uint16_t>(at - links_.begin());
  hop.source = interface.mac;
  hop.mtu = route->mtu != 0 ? std::min(route->mtu, interface.mtu) : interface.mtu;
  hop.own = own_address(interface, address.is_v4());
  hop.next = route->on_link() ? address : route->gateway;
  const MacAddress* mac = neighbours_.find(hop.interface, hop.next, now_);
  hop.known = mac != nullptr;
  if (mac != nullptr) hop.destination = *mac;
  return true;
}

void Network::transmit(const Packet& packet, const Hop& hop) {
  if (hop.known) return send(packet, hop.source, hop.destination, hop.interface);
  Packet held = packet;
  held.interface = hop.interface;
  if (!neighbours_.hold(held, hop.next)) counters.unresolved.add();
}

void Network::resolved(const Packet& packet, const MacAddress& mac) {
  send(packet, links_[packet.interface]->interface.mac, mac, packet.interface);
}

void Network::send(const Packet& packet, const MacAddress& source, const MacAddress& destination,
                   uint16_t link) {
  SHUNT_ASSERT(packet.headroom >= kEthernetHeader);
  uint8_t* const header = packet.data - kEthernetHeader;
  std::ranges::copy(destination, header);
  std::ranges::copy(source, header + sizeof(MacAddress));
  store_be16(header + 2 * sizeof(MacAddress), packet.data[0] >> 4 == 6 ? kTypeIpv6 : kTypeIpv4);
  io::Frame frame{.data = header, .size = packet.size + kEthernetHeader};
  uint8_t raw[kVnetHeader];
  write_vnet_header(raw, packet, kEthernetHeader);
  std::memcpy(&frame.offload, raw, sizeof raw);
  (links_[link]->ring->send(frame) ? counters.transmitted : counters.not_sent).add();
}

void Network::send_frame(uint16_t interface, std::span<const uint8_t> bytes) {
  io::Frame frame{.data = const_cast<uint8_t*>(bytes.data()),
                  .size = static_cast<uint32_t>(bytes.size())};
  links_[interface]->ring->send(frame);
}

// The method "local" is in no configuration.
void Network::deliver(const Packet& packet) {
  SHUNT_ASSERT(packet.size == 0);
}

void Network::advance(Instant now) {
  now_ = now;
  neighbours_.advance(now);
}

void Network::read_statistics() {
  for (const auto& link : links_) link->ring->read_statistics();
}

}  // namespace shunt::l4
