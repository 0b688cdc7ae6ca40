// Flows that the table does not remember: the hash has their servers, for every packet anew, and
// says whose client a NAT server answers.
#include <algorithm>

#include "l4/director.h"

namespace shunt::l4 {
namespace {

uint16_t port_at(const RealServer& server, const Tuple& tuple) {
  const bool translates = server.method == Method::kNat && server.spec.port != 0;
  return translates ? server.spec.port : tuple.destination_port;
}

}  // namespace

// A live template comes first, as it does for what is remembered.
RealServer* Director::hashed_server(Service& service, const Tuple& tuple) {
  if (service.spec().persistence != Duration{}) {
    const Connection* control = table_.find(template_tuple(service, tuple)).connection;
    if (control != nullptr && leads_on(*control)) return control->server;
  }
  return service.hash(tuple);
}

// What the answer `reply` of a NAT server may be an answer to, over all services: calls
// visit(RealServer&, const Tuple&). False where there are more than can be told apart.
template <class Visit>
bool Director::visit_origins(const Tuple& reply, Visit visit) const {
  const auto found = by_address_.find(reply.source.folded());
  if (found == by_address_.end()) return true;
  for (RealServer* server : found->second) {
    if (server->method != Method::kNat || server->spec.address != reply.source) continue;
    if (server->spec.port != 0 && server->spec.port != reply.source_port) continue;
    for (const VirtualRange& range : server->service->spec().ranges) {
      Tuple forward = reply.reversed();
      forward.destination = range.addresses.network;
      if (server->spec.port != 0) forward.destination_port = range.first;
      if (!range.contains(forward)) continue;
      const bool translates_many = server->spec.port != 0 && range.first != range.last;
      if (translates_many || range.addresses.prefix != 128) return false;
      visit(*server, forward);
    }
  }
  return true;
}

// Whether packets of this flow must find a connection, because the answers to them could not be
// traced back by the hash: NAT servers behind several virtual addresses or ports.
bool Director::needs_memory(const RealServer& server, const Tuple& tuple) const {
  if (server.method != Method::kNat || server.service->spec().one_packet) return false;
  const Tuple reply{.source = server.spec.address,
                    .destination = tuple.source,
                    .source_port = port_at(server, tuple),
                    .destination_port = tuple.source_port,
                    .protocol = tuple.protocol};
  int origins = 0;
  return !visit_origins(reply, [&](RealServer&, const Tuple&) { ++origins; }) || origins != 1;
}

// The server of a flow that is not in the table, if it may be one that was placed by hash.
RealServer* Director::placed_by_hash(Service& service, const Tuple& tuple, Instant now) {
  if (now >= service.hashed_until) return nullptr;
  RealServer* server = hashed_server(service, tuple);
  return server != nullptr && !needs_memory(*server, tuple) ? server : nullptr;
}

// Every packet of the flow comes here, and to the same server; until there is room for it.
Outcome Director::by_hash(Service& service, RealServer* server, Packet& packet, Headers& headers,
                          Instant now) {
  const Tuple& tuple = headers.tuple;
  if (server == nullptr) return refuse(packet, headers, Drop::kNoServer, now);
  if (needs_memory(*server, tuple)) return refuse(packet, headers, Drop::kTableFull, now);
  const Timeouts& timeouts = service.spec().timeouts;
  const Duration timeout =
      tuple.protocol == kTcp ? timeouts.of(TcpState::kEstablished) : timeouts.udp;
  if ((headers.tcp_flags & kRst) == 0)
    service.hashed_until = std::max(service.hashed_until, now + timeout);
  hashed.add();
  return sent(packet, headers, *server, port_at(*server, tuple), false, now);
}

// A NAT server's answer to a client that was placed by hash: if the hash says that the client is
// this server's, its service's address goes on it.
Outcome Director::reply_by_hash(Packet& packet, Headers& headers, Instant now) {
  RealServer* server = nullptr;
  Tuple origin;
  int origins = 0;
  const auto note = [&](RealServer& one, const Tuple& forward) {
    server = &one;
    origin = forward;
    ++origins;
  };
  if (!visit_origins(headers.tuple, note) || origins != 1) return {};
  Service& service = *server->service;
  if (now >= service.hashed_until || hashed_server(service, origin) != server) return {};
  if (!checksum_holds(packet, headers)) return dropped_for(Drop::kBadChecksum);
  hashed.add();
  server->traffic.add_out(headers.size);
  service.traffic.add_out(headers.size);
  decision_ = {
      .kind = FragmentDecision::Kind::kToClient, .server = server, .address = origin.destination};
  const Drop drop = transmitter_.to_client(packet, headers, origin.destination,
                                           origin.destination_port, false, now);
  if (drop != Drop::kNone) return dropped_for(drop);
  return {.kind = Outcome::Kind::kForwarded, .server = server};
}

}  // namespace shunt::l4
