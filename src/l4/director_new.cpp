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
    RealServer* placed = placed_by_hash(*service, tuple, now);
    if (placed != nullptr && (headers.tcp_flags & (kRst | kFin)) != 0)
      return by_hash(*service, placed, packet, headers, now);
    if (placed == nullptr && (!service->spec().sloppy_tcp || (headers.tcp_flags & kRst) != 0))
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
  if (replaced == nullptr && !defence_.admit(now)) {
    RealServer* server = hashed_server(service, tuple);
    if (server == nullptr || !needs_memory(*server, tuple))
      return by_hash(service, server, packet, headers, now);
  }
  const bool tcp = tuple.protocol == kTcp;
  const TcpState state =
      tcp ? next_state(TcpState::kNone, headers.tcp_flags, Seen::kInput, false) : TcpState::kNone;
  const auto counted = is_active(state) ? sched::Counted::kActive : sched::Counted::kInactive;
  const bool begins = tcp && is_syn(headers);
  const Placement placement = place(service, tuple, counted, begins, now);
  if (replaced != nullptr) release(*replaced);
  if (placement.server == nullptr) return refuse(packet, headers, Drop::kNoServer, now);

  Connection* connection = make_connection(tuple, placement, counted);
  if (connection == nullptr) {
    service.set().unbind(*placement.server->handle, counted);
    if (placement.control != nullptr) --placement.control->children;
    if (table_.size() == table_.maximum())
      return by_hash(service, hashed_server(service, tuple), packet, headers, now);
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

// Persistence first, then the scheduler. The connection is counted, also on its template. As long
// as there may be flows that are placed by hash, one that does not begin with this packet
// (`begins`) stays where the hash has it, and so do clients that persist.
Director::Placement Director::place(Service& service, const Tuple& tuple, sched::Counted as,
                                    bool begins, Instant now) {
  const bool persists = service.spec().persistence != Duration{};
  Connection* control = persists ? table_.find(template_tuple(service, tuple)).connection : nullptr;
  if (control != nullptr && !leads_on(*control)) {
    table_.unlink(*control);  // It ends by its timer.
    control = nullptr;
  }
  RealServer* server = control != nullptr ? control->server : nullptr;
  if (server == nullptr && (persists || !begins)) server = placed_by_hash(service, tuple, now);
  if (server != nullptr) {
    service.set().bind(*server->handle, as);
  } else {
    server = service.schedule(tuple, now, as);
  }
  if (server == nullptr || !persists) return {server, nullptr};
  if (control == nullptr) control = make_template(service, tuple, *server);
  if (control == nullptr) return {server, nullptr};
  ++control->children;
  table_.reschedule(*control, now, service.spec().persistence);
  return {server, control};
}

// Whether new connections still follow this template.
bool Director::leads_on(const Connection& control) {
  const RealServer& server = *control.server;
  const bool expires = server.service->spec().expire_quiescent_template;
  return server.available && !(expires && server.spec.weight == 0);
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
  // Of such a packet nothing but a template is remembered.
  const bool remembers = service.spec().persistence != Duration{} &&
                         table_.find(template_tuple(service, headers.tuple)).connection == nullptr;
  if (remembers && !defence_.admit(now))
    return by_hash(service, hashed_server(service, headers.tuple), packet, headers, now);
  const auto [server, control] =
      place(service, headers.tuple, sched::Counted::kInactive, true, now);
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

// What the host's stack says where no socket is, and IPVS where no server is.
Outcome Director::refuse(Packet& packet, Headers& headers, Drop reason, Instant now) {
  const bool no_server = reason == Drop::kNoServer || reason == Drop::kTableFull;
  if (headers.tuple.protocol == kTcp && !no_server) {
    answers_.reset(packet, headers, now);
  } else {
    answers_.error(packet, headers, IcmpError::kPortUnreachable, 0, true, now);
  }
  return dropped_for(reason);
}

}  // namespace shunt::l4
