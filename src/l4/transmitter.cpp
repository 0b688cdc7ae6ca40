// (a) admit → (b) one hop less → (c) the method → (d) send, in fragments if need be. Answers to the
// sender are made in (a), before anything is rewritten.
#include "l4/transmitter.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/assert.h"
#include "l4/nat.h"
#include "l4/split.h"
#include "l4/tunnel.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kMtuMinV4 = 68;    // RFC 791 §3.2.
constexpr uint32_t kMtuMinV6 = 1280;  // RFC 8200 §5.

bool same_family(const IpAddress& address, const Headers& headers) {
  return address.is_v4() != headers.v6;
}

// The path's MTU to a server in a tunnel: the link's, unless routers have said less.
uint32_t path_mtu(const RealServer& server, const Hop& hop, Instant now) {
  if (server.path_mtu == 0 || server.path_mtu_until <= now) return hop.mtu;
  return std::min(hop.mtu, server.path_mtu);
}

}  // namespace

Transmitter::Transmitter(Links& links, Output& output, Answers& answers, uint32_t first_id,
                         uint32_t id_stride)
    : links_(links),
      output_(&output),
      answers_(answers),
      id_stride_(id_stride),
      segment_(std::make_unique_for_overwrite<uint8_t[]>(kPieceMax)),
      fragment_(std::make_unique_for_overwrite<uint8_t[]>(kPieceMax)) {
  SHUNT_ASSERT(std::has_single_bit(id_stride));
  ids_.fill(first_id);
}

uint32_t Transmitter::next_id(const IpAddress& destination) {
  uint32_t& id = ids_[destination.bytes.back()];
  return std::exchange(id, id + id_stride_);
}

uint32_t Transmitter::inner_mtu(const RealServer& server, const Hop& hop, Instant now) {
  const uint32_t overhead = tunnel_overhead(server.spec.tunnel, !server.spec.address.is_v4());
  const uint32_t mtu = path_mtu(server, hop, now);
  return mtu > overhead ? mtu - overhead : 0;
}

Drop Transmitter::admit(const Packet& packet, const Headers& headers, uint32_t mtu,
                        bool from_client, bool may_split, Instant now) {
  if (headers.hops <= 1) {
    answers_.error(packet, headers, IcmpError::kTimeExceeded, 0, from_client, now);
    return Drop::kTimeExceeded;
  }
  if (wire_size(packet, headers) <= mtu) return Drop::kNone;
  if (!headers.v6 && (may_split || !headers.dont_fragment)) return Drop::kNone;
  answers_.error(packet, headers, IcmpError::kTooBig, mtu, from_client, now);
  return Drop::kTooBig;
}

Drop Transmitter::to_server(Packet& packet, Headers& headers, RealServer& server, uint16_t port,
                            bool error, Instant now) {
  if (server.method == Method::kLocal) {
    output_->deliver(packet);
    return Drop::kNone;
  }
  const IpAddress& address = server.spec.address;
  if (server.method != Method::kTunnel && !same_family(address, headers)) return Drop::kUnreachable;
  const Hop* hop = links_.hop_to(address);
  if (hop == nullptr) return Drop::kNoRoute;
  if (server.method == Method::kTunnel) {
    const Hop way = *hop;  // Answers ask for other hops.
    const uint32_t mtu = inner_mtu(server, way, now);
    if (mtu < (headers.v6 ? kMtuMinV6 : kMtuMinV4)) return Drop::kUnreachable;
    if (!address.is_v4() && path_mtu(server, way, now) < kMtuMinV6) return Drop::kUnreachable;
    const bool may_split = !server.service->spec().path_mtu_discovery;
    if (const Drop drop = admit(packet, headers, mtu, true, may_split, now); drop != Drop::kNone)
      return drop;
    decrement_hops(packet, headers);
    return tunnel(packet, headers, server, way, now);
  }
  const Hop way = *hop;
  if (const Drop drop = admit(packet, headers, way.mtu, true, false, now); drop != Drop::kNone)
    return drop;
  decrement_hops(packet, headers);
  if (server.method == Method::kNat) {
    if (error) {
      rewrite_error(packet, headers, Side::kDestination, address, port);
    } else {
      rewrite(packet, headers, Side::kDestination, address, port);
    }
  }
  send(packet, way, way.mtu, 0);
  return Drop::kNone;
}

Drop Transmitter::to_client(Packet& packet, Headers& headers, const IpAddress& address,
                            uint16_t port, bool error, Instant now) {
  const Hop* hop = links_.hop_to(headers.tuple.destination);
  if (hop == nullptr) return Drop::kNoRoute;
  const Hop way = *hop;
  if (const Drop drop = admit(packet, headers, way.mtu, false, false, now); drop != Drop::kNone)
    return drop;
  decrement_hops(packet, headers);
  if (error) {
    rewrite_error(packet, headers, Side::kSource, address, port);
  } else {
    rewrite(packet, headers, Side::kSource, address, port);
  }
  send(packet, way, way.mtu, 0);
  return Drop::kNone;
}

// The outer header allows fragments exactly when the packet inside does, or when the service does
// not take part in path MTU discovery. An outer IPv6 packet has its origin here, where it may be
// cut.
Drop Transmitter::tunnel(Packet& packet, const Headers& headers, RealServer& server, const Hop& hop,
                         Instant now) {
  const RealServerSpec& spec = server.spec;
  const bool v6 = !spec.address.is_v4();
  if (packet.headroom < tunnel_overhead(spec.tunnel, v6)) return Drop::kNoRoom;
  TunnelHeader outer{
      .kind = spec.tunnel,
      .source = hop.own,
      .destination = spec.address,
      .port = spec.tunnel_port,
      .checksum = spec.tunnel_checksum,
      .dont_fragment = headers.dont_fragment && server.service->spec().path_mtu_discovery};
  const uint32_t mtu = path_mtu(server, hop, now);
  if (packet.offload.segment_size == 0) {
    const uint32_t id = next_id(spec.address);
    outer.id = static_cast<uint16_t>(id);
    encapsulate(packet, headers, outer);
    send(packet, hop, mtu, id);
    return Drop::kNone;
  }
  Segments segments(packet, headers, segment_.get());
  for (Packet piece; segments.next(piece);) {
    Headers piece_headers = headers;
    piece_headers.size = piece.size;
    const uint32_t id = next_id(spec.address);
    outer.id = static_cast<uint16_t>(id);
    encapsulate(piece, piece_headers, outer);
    send(piece, hop, mtu, id);
  }
  return Drop::kNone;
}

// What is too large here may be cut: admit() has let it pass. Of IPv6 it is a tunnel's.
void Transmitter::send(Packet& packet, const Hop& hop, uint32_t mtu, uint32_t id) {
  if (packet.size <= mtu || packet.offload.segment_size != 0) {
    output_->transmit(packet, hop);
    return;
  }
  complete_checksum(packet);
  Fragments fragments(packet, mtu, id, fragment_.get());
  for (Packet piece; fragments.next(piece);) output_->transmit(piece, hop);
}

}  // namespace shunt::l4
