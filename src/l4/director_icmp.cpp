// ICMP: errors about connections go the way of what they quote, errors about tunnels change what is
// known of their paths, echo requests to virtual addresses are answered.
#include <algorithm>

#include "core/assert.h"
#include "l4/byte_order.h"
#include "l4/director.h"
#include "l4/tunnel.h"

namespace shunt::l4 {
namespace {

constexpr uint8_t kUnreachable = 3;  // ICMP types.
constexpr uint8_t kSourceQuench = 4;
constexpr uint8_t kTimeExceeded = 11;
constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kFragmentationNeeded = 4;  // A code of kUnreachable.
constexpr uint8_t kUnreachableV6 = 1;        // ICMPv6 types.
constexpr uint8_t kPacketTooBigV6 = 2;
constexpr uint8_t kTimeExceededV6 = 3;
constexpr uint8_t kEchoRequestV6 = 128;

// Path MTUs are forgotten after so long, as routes change (RFC 1191 §6.3).
constexpr Duration kPathMtuLifetime = std::chrono::minutes(10);
constexpr uint32_t kMtuMinV4 = 68;       // RFC 791 §3.2.
constexpr uint32_t kPathMtuMinV4 = 552;  // Less is not believed, as in Linux (min_pmtu).
constexpr uint32_t kMtuMinV6 = 1280;     // RFC 8200 §5.
constexpr uint32_t kGueHeaders = 12;     // UDP and GUE.

bool is_error(bool v6, uint8_t type) {
  if (v6) return type < 128;
  return type == kUnreachable || type == kSourceQuench || type == kTimeExceeded;
}

bool is_too_big(bool v6, uint8_t type, uint8_t code) {
  return v6 ? type == kPacketTooBigV6 : type == kUnreachable && code == kFragmentationNeeded;
}

}  // namespace

Outcome Director::forward_icmp(Packet& packet, Headers& headers, Instant now) {
  const uint8_t type = packet.data[headers.transport];
  if (is_error(headers.v6, type)) return forward_error(packet, headers, now);
  if (!lookup_.is_virtual(headers.tuple.destination)) return {};
  if (const Drop drop = check_addresses(headers); drop != Drop::kNone) return dropped_for(drop);
  if (!transport_checksum_holds(packet, headers)) return dropped_for(Drop::kBadChecksum);
  if (type == (headers.v6 ? kEchoRequestV6 : kEchoRequest) && !headers.fragment)
    answers_.echo(packet, headers, now);
  return dropped_for(Drop::kConsumed);
}

Outcome Director::forward_error(Packet& packet, Headers& headers, Instant now) {
  const std::span<const uint8_t> body =
      std::span(packet.data, headers.size).subspan(headers.transport + kIcmpHeader);
  const bool is_ours = lookup_.is_virtual(headers.tuple.destination);
  Headers quoted;
  // An error in fragments cannot be checked, and none needs to be so long.
  if (headers.fragment || !parse_quoted(body, quoted) || quoted.v6 != headers.v6)
    return is_ours ? dropped_for(Drop::kUnrelated) : Outcome{};
  const auto [connection, reply] = table_.find(quoted.tuple.reversed());
  RealServer* server = nullptr;
  uint16_t port = 0;
  if (connection != nullptr) {
    server = connection->server;
    port = connection->server_port;
  } else if (const RealServer* end = tunnel_of(headers, quoted)) {
    return dropped_for(tunnel_error(packet, headers, quoted, *end, now));
  } else if (is_ours && quoted.has_ports()) {
    Service* service = lookup_.find(quoted.tuple.reversed());
    if (service != nullptr) server = placed_by_hash(*service, quoted.tuple.reversed(), now);
    if (server != nullptr)
      port = server->spec.port != 0 ? server->spec.port : quoted.tuple.source_port;
  }
  if (server == nullptr) return is_ours ? dropped_for(Drop::kUnrelated) : Outcome{};
  // It must go to whom the quoted packet came from.
  if (headers.tuple.destination != quoted.tuple.source) return dropped_for(Drop::kUnrelated);
  if (const Drop drop = check_addresses(headers); drop != Drop::kNone) return dropped_for(drop);
  if (!transport_checksum_holds(packet, headers)) return dropped_for(Drop::kBadChecksum);
  if (!reply) {
    if (!server->available) return dropped_for(Drop::kServerGone);
    return sent(packet, headers, *server, port, true, now);
  }
  server->traffic.add_out(headers.size);
  server->service->traffic.add_out(headers.size);
  const Drop drop =
      transmitter_.to_client(packet, headers, connection->address, connection->port, true, now);
  if (drop != Drop::kNone) return dropped_for(drop);
  return {.kind = Outcome::Kind::kForwarded, .server = server};
}

// The server whose tunnel `quoted` went into, if the error has come to the tunnel's other end: us.
RealServer* Director::tunnel_of(const Headers& headers, const Headers& quoted) {
  const bool gue = quoted.tuple.protocol == kUdp;
  if (!gue && quoted.tuple.protocol != kIpInIp && quoted.tuple.protocol != kIpv6) return nullptr;
  const auto found = by_address_.find(quoted.tuple.destination.folded());
  if (found == by_address_.end()) return nullptr;
  const auto is_it = [&](const RealServer* server) {
    const RealServerSpec& spec = server->spec;
    return server->method == Method::kTunnel && spec.address == quoted.tuple.destination &&
           (gue ? spec.tunnel == TunnelKind::kGue &&
                      spec.tunnel_port == quoted.tuple.destination_port
                : spec.tunnel == TunnelKind::kIpIp);
  };
  const auto server = std::ranges::find_if(found->second, is_it);
  if (server == found->second.end()) return nullptr;
  const Hop* hop = links_.hop_to(quoted.tuple.destination);
  const bool to_us = hop != nullptr && hop->own == quoted.tuple.source &&
                     headers.tuple.destination == quoted.tuple.source;
  return to_us ? *server : nullptr;
}

// Whether `inner` is what we send to `end`: a packet of a known connection, or of a service that
// has flows which it does not remember. So nobody makes tunnels slow, or has clients told things,
// who has not seen a packet.
bool Director::is_tunnelled(const Headers& inner, const RealServer& end, Instant now) {
  const auto [connection, reply] = table_.find(inner.tuple);
  if (connection != nullptr) return !reply && connection->server->spec.address == end.spec.address;
  Service* service = inner.has_ports() ? lookup_.find(inner.tuple) : nullptr;
  if (service == nullptr) return false;
  if (service->spec().one_packet && inner.tuple.protocol == kUdp)
    return std::ranges::any_of(service->listed(), [&](const RealServer* server) {
      return server->spec.address == end.spec.address;
    });
  const RealServer* placed = placed_by_hash(*service, inner.tuple, now);
  return placed != nullptr && placed->spec.address == end.spec.address;
}

// An error about a packet in the tunnel to `end`. What it says about the path is kept, and the
// client told whose packet it was.
Drop Director::tunnel_error(const Packet& packet, const Headers& headers, const Headers& quoted,
                            const RealServer& end, Instant now) {
  if (const Drop drop = check_addresses(headers); drop != Drop::kNone) return drop;
  if (!transport_checksum_holds(packet, headers)) return Drop::kBadChecksum;
  const bool gue = quoted.tuple.protocol == kUdp;
  const uint32_t offset =
      headers.transport + kIcmpHeader + quoted.transport + (gue ? kGueHeaders : 0);
  Headers inner;
  if (offset >= headers.size) return Drop::kUnrelated;
  const std::span<const uint8_t> inside(packet.data + offset, headers.size - offset);
  if (!parse_quoted(inside, inner) || !is_tunnelled(inner, end, now)) return Drop::kUnrelated;
  const uint8_t* icmp = packet.data + headers.transport;
  if (is_too_big(headers.v6, icmp[0], icmp[1])) {
    const uint32_t reported = headers.v6 ? load_be32(icmp + 4) : load_be16(icmp + 6);
    const Hop* hop = links_.hop_to(end.spec.address);
    // Nothing new, or not to be true.
    if (reported < (headers.v6 ? kMtuMinV6 : kMtuMinV4) || reported >= hop->mtu)
      return Drop::kConsumed;
    learn_path_mtu(end.spec.address, reported, now);
  }
  relay_inside(packet, headers, inside, inner, end, now);
  return Drop::kConsumed;
}

// A report makes it smaller, or confirms it; it becomes larger by being forgotten.
void Director::learn_path_mtu(const IpAddress& address, uint32_t reported, Instant now) {
  const uint32_t mtu = std::max(reported, address.is_v4() ? kPathMtuMinV4 : kMtuMinV6);
  for (RealServer* server : by_address_[address.folded()]) {
    if (server->spec.address != address) continue;
    if (server->path_mtu != 0 && server->path_mtu_until > now && mtu > server->path_mtu) continue;
    server->path_mtu = mtu;
    server->path_mtu_until = now + kPathMtuLifetime;
  }
}

// Tells the client whose packet was in the tunnel: `inside`, as much of it as has come back.
void Director::relay_inside(const Packet& packet, const Headers& headers,
                            std::span<const uint8_t> inside, const Headers& inner,
                            const RealServer& server, Instant now) {
  const uint8_t type = packet.data[headers.transport];
  const uint8_t code = packet.data[headers.transport + 1];
  if (is_too_big(headers.v6, type, code)) {
    const uint32_t mtu = Transmitter::inner_mtu(server, *links_.hop_to(server.spec.address), now);
    if (!inner.dont_fragment || mtu < (inner.v6 ? kMtuMinV6 : kMtuMinV4)) return;
    answers_.relay(inside, inner, inner.v6 ? kPacketTooBigV6 : kUnreachable,
                   inner.v6 ? 0 : kFragmentationNeeded, mtu, now);
    return;
  }
  if (inner.v6 == headers.v6) {
    answers_.relay(inside, inner, type, code, 0, now);
    return;
  }
  // The families' own words for "too many hops" and "the host cannot be reached".
  const bool expired = type == (headers.v6 ? kTimeExceededV6 : kTimeExceeded);
  if (inner.v6) {
    answers_.relay(inside, inner, expired ? kTimeExceededV6 : kUnreachableV6, expired ? 0 : 3, 0,
                   now);
  } else {
    answers_.relay(inside, inner, expired ? kTimeExceeded : kUnreachable, expired ? 0 : 1, 0, now);
  }
}

}  // namespace shunt::l4
