// The way of a packet once it is decided whose it is: next hop, hop count, MTU, the method's
// rewriting, and out. Knows no connections. One worker's.
#pragma once

#include <array>
#include <memory>

#include "core/instant.h"
#include "l4/answers.h"
#include "l4/packet.h"
#include "l4/port.h"
#include "l4/service.h"

namespace shunt::l4 {

class Transmitter {
 public:
  // Headers around packets to a destination have the identifications `first_id`, `first_id` +
  // `id_stride`, … The stride is a power of two, so that several transmitters with the same
  // addresses never use the same one, also when the numbers wrap round.
  Transmitter(Links& links, Output& output, Answers& answers, uint32_t first_id = 0,
              uint32_t id_stride = 1);
  // Packets go there from now on.
  void lead_to(Output& output) { output_ = &output; }

  // A client's packet to its server at `port`, by the server's method. With `error` it is an ICMP
  // error, and what it quotes is translated too. kNone: it has left; otherwise its sender has been
  // told what there is to tell.
  Drop to_server(Packet& packet, Headers& headers, RealServer& server, uint16_t port, bool error,
                 Instant now);
  // A server's packet (NAT) to its client, as from the virtual address.
  Drop to_client(Packet& packet, Headers& headers, const IpAddress& address, uint16_t port,
                 bool error, Instant now);

  // The largest packet that fits into the server's tunnel, given what the hop takes.
  static uint32_t inner_mtu(const RealServer& server, const Hop& hop, Instant now);

 private:
  // Tells the sender where hops or size do not allow the packet on.
  Drop admit(const Packet& packet, const Headers& headers, uint32_t mtu, bool from_client,
             bool may_split, Instant now);
  Drop tunnel(Packet& packet, const Headers& headers, RealServer& server, const Hop& hop,
              Instant now);
  // Of the next outer header to `destination`.
  uint32_t next_id(const IpAddress& destination);
  // `id`: of the fragments of an IPv6 packet.
  void send(Packet& packet, const Hop& hop, uint32_t mtu, uint32_t id);

  Links& links_;
  Output* output_;
  Answers& answers_;
  const uint32_t id_stride_;
  std::array<uint32_t, 256> ids_;        // By the destination's last byte.
  std::unique_ptr<uint8_t[]> segment_;   // For pieces of a large packet…
  std::unique_ptr<uint8_t[]> fragment_;  // …and of those.
};

}  // namespace shunt::l4
