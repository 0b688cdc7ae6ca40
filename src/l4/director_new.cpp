// New flows: which service they are for, which server takes them, and what is remembered of it.
#include <algorithm>

#include "core/assert.h"
#include "l4/director.h"
#include "l4/fallback_hash.h"

namespace shunt::l4 {
namespace {

// Set in a template's protocol, which no packet has: templates share the table with connections.
constexpr uint8_t kTemplateProtocol = 0x80;
constexpr uint16_t kFtpData = 20;

bool is_syn(const Headers& headers) {
  return (headers.tcp_flags & kSyn) != 0;
}

}  // namespace

// IPVS's is_new_conn_expected(), and expire_nodest_conn for servers of weight 0.
bool Director::expects_new(const Connection& connection, uint8_t tcp_flags) {
  if (connection.protocol != kTcp || (tcp_flags & kSyn) == 0) return false;
  const ServiceSpec& service = connection.server->service->spec();
  if (service.expire_no_destination && connection.server->spec.weight == 0) return true;
  if (service.connection_reuse == 0 || connection.is(Connection::kControlled)) return false;
  using enum TcpState;
  if (connection.state == kTimeWait || connection.state == kClose) return true;
  return (service.connection_reuse & 2) != 0 && connection.state == kFinWait &&
         connection.is(Connection::kNoOutput);
}

Outcome Director::new_flow(Packet& packet, Headers& headers, Instant now) {
  const Tuple& tuple = headers.tuple;
  if (!lookup_.is_virtual(tuple.destination)) return reply_by_hash(packet, headers, now);
  if (const Drop drop = check_addresses(headers); drop != Drop::kNone) return dropped_for(drop);
  if (lookup_.is_virtual(tuple.source)) return dropped_for(Drop::kMartianSource);
  if (!checksum_holds(packet, headers)) return dropped_for(Drop::kBadChecksum);
  Service* service = lookup_.find(tuple);
  if (service == nullptr) return refuse(packet, headers, Drop::kNoService, now);
  if (tuple.protocol == kTcp && !is_syn(headers)) {
    if (now < service->hashed_until) return by_hash(*service, packet, headers, now);
    if (!service->spec().sloppy_tcp || (headers.tcp_flags & kRst) != 0)
      return refuse(packet, headers, Drop::kNoConnection, now);
  }
  if (tuple.protocol == kTcp && (headers.tcp_flags & kRst) != 0)
    return refuse(packet, headers, Drop::kNoConnection, now);
  // The data connection of an FTP client's control connection, which must be known by now.
  if (tuple.protocol == kTcp && tuple.source_port == kFtpData)
    return refuse(packet, headers, Drop::kNoConnection, now);
  if (tuple.protocol == kUdp && service->spec().one_packet)
    return one_packet(*service, packet, headers, now);
  return open(*service, packet, headers, nullptr, now);
}

// `replaced`: a closed connection between the same addresses. It still counts while the scheduler
// decides, as in the kernel, where a timer ends it.
Outcome Director::open(Service& service, Packet& packet, Headers& headers, Connection* replaced,
                       Instant now) {
  const Tuple tuple = headers.tuple;
  if (replaced == nullptr && !defence_.admit(now)) return by_hash(service, packet, headers, now);
  const bool tcp = tuple.protocol == kTcp;
  const TcpState state =
      tcp ? next_state(TcpState::kNone, headers.tcp_flags, Seen::kInput, false) : TcpState::kNone;
  const auto counted = is_active(state) ? sched::Counted::kActive : sched::Counted::kInactive;
  const Placement placement = place(service, tuple, counted, now);
  if (replaced != nullptr) release(*replaced);
  if (placement.server == nullptr) return refuse(packet, headers, Drop::kNoServer, now);

  Connection* connection = make_connection(tuple, placement, counted);
  if (connection == nullptr) {
    service.set().unbind(*placement.server->handle, counted);
    if (placement.control != nullptr) --placement.control->children;
    if (table_.size() == table_.maximum()) return by_hash(service, packet, headers, now);
    return dropped_for(Drop::kClash);
  }
  table_.reschedule(*connection, now, service.spec().timeouts.udp);
  follow_state(*connection, headers, Seen::kInput, now);
  connection->packets = 1;
  service.traffic.connections.add();
  placement.server->traffic.connections.add();
  return sent(packet, headers, *placement.server, connection->server_port, false, now);
}

// Null: the table is full, or another connection has the same addresses.
Connection* Director::make_connection(const Tuple& tuple, const Placement& placement,
                                      sched::Counted as) {
  Connection* connection = table_.make();
  if (connection == nullptr) return nullptr;
  RealServer& server = *placement.server;
  const bool nat = server.method == Method::kNat;
  connection->client = tuple.source;
  connection->address = tuple.destination;
  connection->client_port = tuple.source_port;
  connection->port = tuple.destination_port;
  connection->server_port =
      nat && server.spec.port != 0 ? server.spec.port : tuple.destination_port;
  connection->protocol = tuple.protocol;
  connection->server = &server;
  if (!nat) connection->set(Connection::kNoOutput);
  if (as == sched::Counted::kActive) connection->set(Connection::kActive);
  if (!table_.link(*connection, nat)) {
    table_.remove(*connection);
    return nullptr;
  }
  server.service->refer(server);
  if (placement.control != nullptr) {
    connection->control = placement.control;
    connection->set(Connection::kControlled);
  }
  return connection;
}

// Persistence first, then the scheduler. The connection is counted, also on its template.
Director::Placement Director::place(Service& service, const Tuple& tuple, sched::Counted as,
                                    Instant now) {
  const ServiceSpec& spec = service.spec();
  if (spec.persistence == Duration{}) return {service.schedule(tuple, now, as), nullptr};
  Connection* control = table_.find(template_tuple(service, tuple)).connection;
  if (control != nullptr) {
    const RealServer& server = *control->server;
    const bool quiescent = spec.expire_quiescent_template && server.spec.weight == 0;
    if (!server.available || quiescent) {
      table_.unlink(*control);  // It ends by its timer.
      control = nullptr;
    }
  }
  RealServer* server = nullptr;
  if (control != nullptr) {
    server = control->server;
    service.set().bind(*server->handle, as);
  } else {
    server = service.schedule(tuple, now, as);
    if (server == nullptr) return {};
    control = make_template(service, tuple, *server);
    if (control == nullptr) return {server, nullptr};
  }
  ++control->children;
  table_.reschedule(*control, now, spec.persistence);
  return {server, control};
}

// Null: no room; the connection does without.
Connection* Director::make_template(Service& service, const Tuple& tuple, RealServer& server) {
  Connection* control = table_.make();
  if (control == nullptr) return nullptr;
  const Tuple key = template_tuple(service, tuple);
  control->client = key.source;
  control->address = key.destination;
  control->client_port = key.source_port;
  control->port = key.destination_port;
  control->protocol = key.protocol;
  control->server = &server;
  control->set(Connection::kTemplate);
  const bool linked = table_.link(*control, false);
  SHUNT_ASSERT(linked);
  service.refer(server);
  ++server.templates;
  return control;
}

// The client's network and the service: with a group all its addresses, otherwise each by itself.
Tuple Director::template_tuple(const Service& service, const Tuple& tuple) const {
  return {.source = network_of(tuple.source, service.spec().persistence_prefix),
          .destination = service.spec().group ? IpAddress{} : tuple.destination,
          .source_port = static_cast<uint16_t>(service.id >> 16),
          .destination_port = static_cast<uint16_t>(service.id),
          .protocol = kTemplateProtocol};
}

Outcome Director::one_packet(Service& service, Packet& packet, Headers& headers, Instant now) {
  const auto [server, control] = place(service, headers.tuple, sched::Counted::kInactive, now);
  if (server == nullptr) return refuse(packet, headers, Drop::kNoServer, now);
  service.traffic.connections.add();
  server->traffic.connections.add();
  const uint16_t port = server->method == Method::kNat && server->spec.port != 0
                            ? server->spec.port
                            : headers.tuple.destination_port;
  const Outcome outcome = sent(packet, headers, *server, port, false, now);
  service.set().unbind(*server->handle, sched::Counted::kInactive);
  if (control != nullptr) --control->children;
  return outcome;
}

// Every packet of the flow comes here, and to the same server.
Outcome Director::by_hash(Service& service, Packet& packet, Headers& headers, Instant now) {
  RealServer* server = service.hash(headers.tuple);
  if (server == nullptr) return refuse(packet, headers, Drop::kNoServer, now);
  if (headers.tuple.protocol != kTcp || is_syn(headers)) {
    service.hashed_until = now + service.spec().timeouts.of(TcpState::kEstablished);
  }
  hashed.add();
  const uint16_t port = server->method == Method::kNat && server->spec.port != 0
                            ? server->spec.port
                            : headers.tuple.destination_port;
  return sent(packet, headers, *server, port, false, now);
}

// A NAT server's answer to a client that was placed by hash: if the hash says that the client is
// this server's, its service's address goes on it.
Outcome Director::reply_by_hash(Packet& packet, Headers& headers, Instant now) {
  const Tuple& tuple = headers.tuple;
  const auto found = by_address_.find(tuple.source.folded());
  if (found == by_address_.end()) return {};
  for (RealServer* server : found->second) {
    Service& service = *server->service;
    const std::vector<VirtualRange>& ranges = service.spec().ranges;
    if (server->method != Method::kNat || server->spec.address != tuple.source) continue;
    if (now >= service.hashed_until || ranges.size() != 1) continue;
    if (ranges[0].addresses.prefix != 128) continue;
    if (server->spec.port != 0 && server->spec.port != tuple.source_port) continue;
    const bool single = ranges[0].first == ranges[0].last;
    const Tuple forward{.source = tuple.destination,
                        .destination = ranges[0].addresses.network,
                        .source_port = tuple.destination_port,
                        .destination_port = single ? ranges[0].first : tuple.source_port,
                        .protocol = tuple.protocol};
    if (!ranges[0].contains(forward) || service.hash(forward) != server) continue;
    if (!checksum_holds(packet, headers)) return dropped_for(Drop::kBadChecksum);
    hashed.add();
    server->traffic.add_out(headers.size);
    service.traffic.add_out(headers.size);
    decision_ = {.kind = FragmentDecision::Kind::kToClient,
                 .server = server,
                 .address = forward.destination};
    const Drop drop = transmitter_.to_client(packet, headers, forward.destination,
                                             forward.destination_port, false, now);
    if (drop != Drop::kNone) return dropped_for(drop);
    return {.kind = Outcome::Kind::kForwarded, .server = server};
  }
  return {};
}

// What the host's stack says where no socket is, and IPVS where no server is.
Outcome Director::refuse(Packet& packet, Headers& headers, Drop reason, Instant now) {
  if (headers.tuple.protocol == kTcp && reason != Drop::kNoServer) {
    answers_.reset(packet, headers, now);
  } else {
    answers_.error(packet, headers, IcmpError::kPortUnreachable, 0, true, now);
  }
  return dropped_for(reason);
}

}  // namespace shunt::l4
