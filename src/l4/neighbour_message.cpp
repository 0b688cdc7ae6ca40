// Fields by their offsets in the frame: both messages have fixed layouts, but for ND's options.
#include "l4/neighbour_message.h"

#include <algorithm>
#include <cstring>

#include "core/assert.h"
#include "l4/checksum.h"
#include "l4/packet.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kEthernet = 14;
constexpr uint16_t kArp = 0x0806;
constexpr uint16_t kIpv6Type = 0x86dd;
constexpr MacAddress kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr MacAddress kAllNodesMac = {0x33, 0x33, 0, 0, 0, 1};

constexpr uint32_t kArpSize = 28;
constexpr uint16_t kArpRequest = 1;
constexpr uint16_t kArpReply = 2;

constexpr uint8_t kSolicitation = 135;
constexpr uint8_t kAdvertisement = 136;
constexpr uint32_t kDiscovery = 24;  // ICMP header, flags, target.
constexpr uint8_t kSourceOption = 1;
constexpr uint8_t kTargetOption = 2;
constexpr uint32_t kOption = 8;  // With a link address of six bytes.
constexpr uint8_t kHops = 255;   // A router would have taken one off.
constexpr uint8_t kSolicitedFlag = 0x40;
constexpr uint8_t kOverrideFlag = 0x20;

IpAddress read_v4(const uint8_t* at) {
  return IpAddress::from_v4(load_be32(at));
}

IpAddress read_v6(const uint8_t* at) {
  IpAddress address;
  std::memcpy(address.bytes.data(), at, 16);
  return address;
}

MacAddress read_mac(const uint8_t* at) {
  MacAddress mac;
  std::memcpy(mac.data(), at, mac.size());
  return mac;
}

bool is_station(const MacAddress& mac) {
  return (mac[0] & 1) == 0 && mac != MacAddress{};
}

std::optional<NeighbourMessage> parse_arp(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernet + kArpSize) return {};
  const uint8_t* arp = frame.data() + kEthernet;
  constexpr uint8_t kEthernetAndIpv4[] = {0, 1, 8, 0, 6, 4};
  if (std::memcmp(arp, kEthernetAndIpv4, sizeof kEthernetAndIpv4) != 0) return {};
  const uint16_t operation = load_be16(arp + 6);
  if (operation != kArpRequest && operation != kArpReply) return {};
  NeighbourMessage message{
      .kind = operation == kArpRequest ? NeighbourMessage::Kind::kRequest
                                       : NeighbourMessage::Kind::kReply,
      .sender = read_v4(arp + 14),
      .mac = read_mac(arp + 8),
      .has_mac = true,
      .target = read_v4(arp + 24),
      .overrides = true,
  };
  if (!is_station(message.mac) || is_multicast(message.sender)) return {};
  if (operation == kArpReply && is_unspecified(message.sender)) return {};
  // A gratuitous reply is an announcement; so is a gratuitous request.
  message.solicited = operation == kArpReply && message.target != message.sender;
  return message;
}

// Reads the link address option of `type`; false where options are not well-formed.
bool read_options(std::span<const uint8_t> options, uint8_t type, NeighbourMessage& message) {
  while (!options.empty()) {
    if (options.size() < 2 || options[1] == 0) return false;
    const size_t size = size_t{options[1]} * 8;
    if (size > options.size()) return false;
    if (options[0] == type && size == kOption) {
      message.mac = read_mac(options.data() + 2);
      message.has_mac = true;
      if (!is_station(message.mac)) return false;
    }
    options = options.subspan(size);
  }
  return true;
}

bool group_of_solicitations(const IpAddress& address) {
  constexpr uint8_t kPrefix[] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  return std::equal(std::begin(kPrefix), std::end(kPrefix), address.bytes.begin());
}

std::optional<NeighbourMessage> parse_discovery(std::span<const uint8_t> frame) {
  const std::span<const uint8_t> packet = frame.subspan(kEthernet);
  if (packet.size() < kIpv6Header + kDiscovery || packet[0] >> 4 != 6) return {};
  if (packet[6] != kIcmpV6 || packet[7] != kHops) return {};
  const uint32_t length = load_be16(packet.data() + 4);
  if (length < kDiscovery || length > packet.size() - kIpv6Header) return {};
  const uint8_t* icmp = packet.data() + kIpv6Header;
  const uint8_t type = icmp[0];
  if ((type != kSolicitation && type != kAdvertisement) || icmp[1] != 0) return {};
  Headers headers;
  headers.v6 = true;
  headers.tuple.protocol = kIcmpV6;
  if (finish(add_bytes({icmp, length}, pseudo_sum(packet.data(), headers, length))) != 0) return {};

  const IpAddress source = read_v6(packet.data() + 8);
  const IpAddress destination = read_v6(packet.data() + 24);
  NeighbourMessage message{.v6 = true, .target = read_v6(icmp + 8)};
  if (is_multicast(message.target) || is_multicast(source)) return {};
  const bool asks = type == kSolicitation;
  const std::span<const uint8_t> options(icmp + kDiscovery, length - kDiscovery);
  if (!read_options(options, asks ? kSourceOption : kTargetOption, message)) return {};
  if (asks) {
    message.sender = source;
    if (is_unspecified(source) && (message.has_mac || !group_of_solicitations(destination)))
      return {};
    return message;
  }
  message.kind = NeighbourMessage::Kind::kReply;
  message.sender = message.target;
  message.solicited = (icmp[4] & kSolicitedFlag) != 0;
  message.overrides = (icmp[4] & kOverrideFlag) != 0;
  if (message.solicited && is_multicast(destination)) return {};
  return message;
}

uint8_t* begin_frame(NeighbourFrame& frame, const MacAddress& to, const MacAddress& from,
                     uint16_t type) {
  std::memcpy(frame.bytes.data(), to.data(), to.size());
  std::memcpy(frame.bytes.data() + 6, from.data(), from.size());
  store_be16(frame.bytes.data() + 12, type);
  return frame.bytes.data() + kEthernet;
}

struct ArpFields {
  uint16_t operation;
  MacAddress sender_mac;
  IpAddress sender;
  MacAddress target_mac;
  IpAddress target;
};

NeighbourFrame write_arp(const MacAddress& to, const ArpFields& fields) {
  NeighbourFrame frame;
  uint8_t* arp = begin_frame(frame, to, fields.sender_mac, kArp);
  store_be16(arp, 1);
  store_be16(arp + 2, 0x0800);
  arp[4] = 6;
  arp[5] = 4;
  store_be16(arp + 6, fields.operation);
  std::memcpy(arp + 8, fields.sender_mac.data(), 6);
  // The sender without an address speaks as 0.0.0.0.
  std::memcpy(arp + 14, fields.sender.bytes.data() + 12, 4);
  std::memcpy(arp + 18, fields.target_mac.data(), 6);
  std::memcpy(arp + 24, fields.target.bytes.data() + 12, 4);
  frame.size = kEthernet + kArpSize;
  return frame;
}

struct DiscoveryFields {
  uint8_t type;
  uint8_t flags;
  IpAddress source;
  IpAddress destination;
  IpAddress target;
};

// With the speaker's link address as the option that the type has.
NeighbourFrame write_discovery(const MacAddress& to, const MacAddress& from,
                               const DiscoveryFields& fields) {
  NeighbourFrame frame;
  uint8_t* ip = begin_frame(frame, to, from, kIpv6Type);
  const bool option = !is_unspecified(fields.source);
  const uint32_t length = kDiscovery + (option ? kOption : 0);
  ip[0] = 0x60;
  store_be16(ip + 4, static_cast<uint16_t>(length));
  ip[6] = kIcmpV6;
  ip[7] = kHops;
  std::memcpy(ip + 8, fields.source.bytes.data(), 16);
  std::memcpy(ip + 24, fields.destination.bytes.data(), 16);
  uint8_t* icmp = ip + kIpv6Header;
  icmp[0] = fields.type;
  icmp[4] = fields.flags;
  std::memcpy(icmp + 8, fields.target.bytes.data(), 16);
  if (option) {
    icmp[kDiscovery] = fields.type == kSolicitation ? kSourceOption : kTargetOption;
    icmp[kDiscovery + 1] = 1;
    std::memcpy(icmp + kDiscovery + 2, from.data(), from.size());
  }
  Headers headers;
  headers.v6 = true;
  headers.tuple.protocol = kIcmpV6;
  store_raw16(icmp + 2, finish(add_bytes({icmp, length}, pseudo_sum(ip, headers, length))));
  frame.size = kEthernet + kIpv6Header + length;
  return frame;
}

IpAddress all_nodes() {
  IpAddress address;
  address.bytes[0] = 0xff;
  address.bytes[1] = 2;
  address.bytes[15] = 1;
  return address;
}

IpAddress solicited_node(const IpAddress& address) {
  IpAddress group;
  group.bytes = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::copy_n(address.bytes.begin() + 13, 3, group.bytes.begin() + 13);
  return group;
}

}  // namespace

bool is_unspecified(const IpAddress& address) {
  return address == IpAddress{} || (address.is_v4() && address.v4() == 0);
}

MacAddress solicited_node_group(const IpAddress& address) {
  return {0x33, 0x33, 0xff, address.bytes[13], address.bytes[14], address.bytes[15]};
}

std::optional<NeighbourMessage> parse_neighbour(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernet) return {};
  switch (load_be16(frame.data() + 12)) {
    case kArp:
      return parse_arp(frame);
    case kIpv6Type:
      return parse_discovery(frame);
    default:
      return {};
  }
}

NeighbourFrame write_request(const Speaker& from, const IpAddress& target,
                             const MacAddress* known) {
  if (target.is_v4())
    return write_arp(known != nullptr ? *known : kBroadcast,
                     {kArpRequest, from.mac, from.address, {}, target});
  return write_discovery(known != nullptr ? *known : solicited_node_group(target), from.mac,
                         {.type = kSolicitation,
                          .flags = 0,
                          .source = from.address,
                          .destination = known != nullptr ? target : solicited_node(target),
                          .target = target});
}

NeighbourFrame write_answer(const MacAddress& mac, const NeighbourMessage& request) {
  SHUNT_ASSERT(request.kind == NeighbourMessage::Kind::kRequest);
  if (!request.v6)
    return write_arp(request.mac, {kArpReply, mac, request.target, request.mac, request.sender});
  // One that has no address yet hears it with everybody else (RFC 4861 §7.2.4).
  const bool probe = is_unspecified(request.sender);
  return write_discovery(
      probe ? kAllNodesMac : request.mac, mac,
      {.type = kAdvertisement,
       .flags = static_cast<uint8_t>(kOverrideFlag | (probe ? 0 : kSolicitedFlag)),
       .source = request.target,
       .destination = probe ? all_nodes() : request.sender,
       .target = request.target});
}

NeighbourFrame write_announcement(const MacAddress& mac, const IpAddress& address) {
  // As a request, which every ARP implementation looks at (RFC 5227 §3).
  if (address.is_v4()) return write_arp(kBroadcast, {kArpRequest, mac, address, {}, address});
  return write_discovery(kAllNodesMac, mac,
                         {.type = kAdvertisement,
                          .flags = kOverrideFlag,
                          .source = address,
                          .destination = all_nodes(),
                          .target = address});
}

}  // namespace shunt::l4
