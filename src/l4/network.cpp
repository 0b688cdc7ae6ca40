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
constexpr uint32_t kMtuMinV4 = 68;         // RFC 791 §3.2.
constexpr uint32_t kMtuMinV6 = 1280;       // RFC 8200 §5.
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

size_t Network::number_of(int interface) const {
  const auto at =
      std::ranges::find(links_, interface, [](const auto& link) { return link->interface.index; });
  return static_cast<size_t>(at - links_.begin());
}

bool Network::has_link(int interface) const {
  return has_number(interface) && is_open(number_of(interface));
}

bool Network::fits(const io::NetworkInterface& interface) const {
  return has_link(interface.index) &&
         links_[number_of(interface.index)]->interface.mtu == interface.mtu;
}

Result<std::unique_ptr<io::PacketRing>> Network::open_ring(const io::NetworkInterface& interface,
                                                           const io::Fanout* fanout) {
  // Nothing must come in before all who share the frames are there.
  const sock_filter nothing[] = {{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0}};
  return io::PacketRing::open(interface, {.fanout = fanout, .filter = nothing});
}

size_t Network::number(const io::NetworkInterface& interface) {
  size_t number = number_of(interface.index);
  if (number != links_.size()) return number;
  const auto replaced = std::ranges::find_if(links_, [&](const auto& link) {
    return link->ring == nullptr && link->interface.name == interface.name;
  });
  number = static_cast<size_t>(replaced - links_.begin());
  if (replaced == links_.end()) links_.push_back(std::make_unique<Link>());
  links_[number]->interface = interface;
  describe(number);
  return number;
}

void Network::open_link(const io::NetworkInterface& interface, std::unique_ptr<io::PacketRing> ring,
                        Instant now) {
  SHUNT_ASSERT(!has_link(interface.index));
  now_ = now;
  const size_t link = number(interface);
  *links_[link] = {interface, std::move(ring)};
  describe(link);
  forget_hops();
  bool serves = false;
  for (const Served& served : served_) {
    if (served.link != link) continue;
    join_group(link, served.address);
    serves = true;
  }
  if (serves) neighbours_.announce(now);
}

void Network::close_links_but(std::span<const int> kept) {
  for (size_t i = 0; i < links_.size(); ++i)
    if (is_open(i) && std::ranges::find(kept, links_[i]->interface.index) == kept.end()) close(i);
}

void Network::close(size_t link) {
  std::unique_ptr<io::PacketRing>& ring = links_[link]->ring;
  ring->read_statistics();
  lost_ += ring->counters().receive_dropped.value();
  closed_.push_back(std::move(ring));
  forget_hops();
}

void Network::note_fall(int interface) {
  if (has_link(interface)) links_[number_of(interface)]->interface.up = false;
}

void Network::describe(size_t link) {
  const io::NetworkInterface& interface = links_[link]->interface;
  neighbours_.add_link(static_cast<uint16_t>(link), interface.mac, own_address(interface, true),
                       own_address(interface, false));
}

void Network::adopt(const HostView& view, Instant now) {
  now_ = now;
  view_ = &view;
  forget_hops();
  bool announce = false;
  for (size_t i = 0; i < links_.size(); ++i) {
    Link& link = *links_[i];
    const io::NetworkInterface* current = view_->at(link.interface.index);
    if (!is_open(i)) {
      if (current != nullptr) link.interface = *current;
      continue;
    }
    if (current == nullptr || current->mtu != link.interface.mtu) {
      close(i);
      continue;
    }
    const bool readdressed = current->mac != link.interface.mac;
    announce |= readdressed || (current->up && !link.interface.up);
    link.interface = *current;
    describe(i);
    if (readdressed) filter(i);
  }
  if (announce) neighbours_.announce(now);
}

// Where the interface does not filter groups, failing makes no difference.
void Network::join_group(size_t link, const IpAddress& address) {
  if (address.is_v4() || !is_open(link)) return;
  static_cast<void>(links_[link]->ring->join_group(solicited_node_group(address)));
}

void Network::serve(std::span<const ServedAddress> addresses, Instant now) {
  now_ = now;
  std::vector<Served> wanted;
  for (const ServedAddress& served : addresses) {
    const io::NetworkInterface* interface = view_->find(served.interface);
    const size_t link = interface != nullptr ? number_of(interface->index) : links_.size();
    if (link != links_.size()) wanted.push_back({link, served.address});
  }
  for (const Served& old : served_) {
    if (std::ranges::find(wanted, old) == wanted.end())
      neighbours_.withdraw(static_cast<uint16_t>(old.link), old.address);
  }
  const std::vector<Served> before = std::exchange(served_, std::move(wanted));
  for (const Served& served : served_) {
    if (std::ranges::find(before, served) != before.end()) continue;
    join_group(served.link, served.address);
    neighbours_.serve(static_cast<uint16_t>(served.link), served.address, now);
  }
  flush();
}

void Network::clear_error(size_t link) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd(link), SOL_SOCKET, SO_ERROR, &error, &size);
}

bool Network::pump(size_t link, Director& director, Instant now) {
  now_ = now;
  if (!is_open(link)) return false;
  const size_t count = links_[link]->ring->receive(frames_);
  size_t packets = 0;
  for (io::Frame& frame : std::span(frames_).first(count))
    if (take(link, frame, packets_[packets])) ++packets;
  const std::span batch = std::span(packets_).first(packets);
  counters.frames.add(packets);
  director.anticipate(batch);
  for (Packet& packet : batch) director.forward(packet, now_);
  return count > 0;
}

bool Network::flush() {
  bool all = true;
  for (const auto& link : links_)
    if (link->ring != nullptr && !link->ring->flush()) all = false;
  return all;
}

// The IP packet in a frame; false if it is none for us, or was for the table of neighbours.
bool Network::take(size_t link, io::Frame& frame, Packet& packet) {
  if ((frame.vlan & kVlanIdentifier) != 0)
    return false;  // Of another interface, on top of this one.
  const uint16_t type = load_be16(frame.data + kEthernetHeader - 2);
  const auto number = static_cast<uint16_t>(link);
  const bool v6 = type == kTypeIpv6;
  if ((type == kTypeArp || v6) && for_neighbours(link, frame)) return false;
  if (type != kTypeIpv4 && !v6) return false;
  // Groups, and what a bridge floods or a card in promiscuous mode lets in.
  if (std::memcmp(frame.data, links_[link]->interface.mac.data(), sizeof(MacAddress)) != 0)
    return false;
  uint8_t raw[kVnetHeader];
  std::memcpy(raw, &frame.offload, sizeof raw);
  packet = {.data = frame.data + kEthernetHeader,
            .size = frame.size - kEthernetHeader,
            .headroom = frame.headroom + kEthernetHeader,
            .interface = number};
  return read_vnet_header(raw, kEthernetHeader, packet.offload);
}

bool Network::for_neighbours(size_t link, const io::Frame& frame) {
  const std::span<const uint8_t> bytes(frame.data, frame.size);
  const bool arp = load_be16(frame.data + kEthernetHeader - 2) == kTypeArp;
  if (!arp && (bytes.size() <= kEthernetHeader + kIpv6Header ||
               bytes[kEthernetHeader + kNextHeaderOffset] != kIcmpV6))
    return false;
  const auto number = static_cast<uint16_t>(link);
  if (!neighbours_.receive(number, bytes, now_)) return false;
  if (listeners_ != nullptr) listeners_->tell(number, bytes);
  return true;
}

void Network::hear(uint16_t link, std::span<const uint8_t> frame, Instant now) {
  now_ = now;
  neighbours_.receive(link, frame, now);
}

void Network::receive_only(const Interest& interest) {
  interest_ = interest;
  for (size_t link = 0; link < links_.size(); ++link)
    if (is_open(link)) filter(link);
}

void Network::share(std::span<const sock_filter> fanout) {
  for (const auto& link : links_)
    if (link->ring != nullptr && link->ring->fanout_group())
      static_cast<void>(link->ring->set_fanout(fanout));
}

// Without one it is only slower: with very many addresses, or where net.core.optmem_max is small.
void Network::filter(size_t link) {
  io::PacketRing& ring = *links_[link]->ring;
  if (ring.set_filter(frame_filter(interest_, links_[link]->interface.mac))) return;
  static_cast<void>(ring.set_filter({}));
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
  if (view_ == nullptr) return false;
  const io::Route* route = view_->routes.find(address);
  if (route == nullptr) return false;
  const auto at = std::ranges::find(links_, route->interface,
                                    [](const auto& link) { return link->interface.index; });
  if (at == links_.end() || (*at)->ring == nullptr) {
    missing_ = route->interface;
    return false;
  }
  const io::NetworkInterface& interface = (*at)->interface;
  hop.interface = static_cast<uint16_t>(at - links_.begin());
  hop.source = interface.mac;
  hop.mtu = route->mtu != 0 ? std::min(route->mtu, interface.mtu) : interface.mtu;
  hop.mtu = std::max(hop.mtu, address.is_v4() ? kMtuMinV4 : kMtuMinV6);  // Routes may say any.
  hop.own = view_->source_for(*route, address);
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
  const bool is_sent = is_open(link) && links_[link]->ring->send(frame);
  (is_sent ? counters.transmitted : counters.not_sent).add();
}

void Network::send_frame(uint16_t interface, std::span<const uint8_t> bytes) {
  io::Frame frame{.data = const_cast<uint8_t*>(bytes.data()),
                  .size = static_cast<uint32_t>(bytes.size())};
  if (is_open(interface)) links_[interface]->ring->send(frame);
}

// The stack takes large segments and unfinished checksums as it would from a card.
void Network::deliver(const Packet& packet) {
  uint8_t raw[kVnetHeader];
  write_vnet_header(raw, packet, 0);
  io::VnetHeader header;
  static_assert(sizeof header == sizeof raw);
  std::memcpy(&header, raw, sizeof raw);
  const bool is_taken =
      local_ != nullptr && local_->inject(header, {packet.data, packet.size}) == 0;
  (is_taken ? counters.delivered : counters.undelivered).add();
}

void Network::advance(Instant now) {
  now_ = now;
  neighbours_.advance(now);
}

void Network::read_statistics() {
  for (const auto& link : links_)
    if (link->ring != nullptr) link->ring->read_statistics();
}

uint64_t Network::lost() const {
  uint64_t lost = lost_ + counters.not_sent.value();
  for (const auto& link : links_)
    if (link->ring != nullptr) lost += link->ring->counters().receive_dropped.value();
  return lost;
}

}  // namespace shunt::l4
