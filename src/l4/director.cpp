// Known connections, fragments, and the lives of connections.
#include "l4/director.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/assert.h"
#include "l4/nat.h"
#include "l4/split.h"

namespace shunt::l4 {
namespace {

constexpr uint32_t kPacketsMax = UINT32_MAX;
// A template with living connections is looked at again after so long.
constexpr Duration kTemplatePostponed = std::chrono::seconds(60);
// More loads than these are not in flight at once anyway.
constexpr size_t kAnticipatedMax = 64;
// Of the table, in each sweep of the defence.
constexpr uint32_t kSweepShare = 32;
// In one call of advance(): some hundred microseconds, which the rings hold packets for.
constexpr size_t kTimersMost = 1024;
constexpr uint32_t kCellsMost = 4096;

// Directors of one host have identifications of their own, by the lowest bits.
uint32_t first_id_of(const DirectorSpec& spec) {
  SHUNT_ASSERT(spec.part < spec.parts);
  return (spec.first_id & ~(std::bit_ceil(spec.parts) - 1)) | spec.part;
}

// An offload that the parsed packet does not bear out is not believed. A checksum that the sender
// has left to be completed is written to: it may be the transport's own, or one inside the payload
// (of a tunnel's packet), but never lie in what has been parsed.
Drop settle_offload(Packet& packet, const Headers& headers) {
  Offload& offload = packet.offload;
  const bool splits =
      headers.has_ports() && !headers.fragment && wire_size(packet, headers) < headers.size;
  if (!splits) offload.segment_size = 0;
  if (!offload.partial) return Drop::kNone;
  if (headers.fragment) return Drop::kBadOffload;
  const bool own = offload.start == headers.transport &&
                   offload.offset == checksum_offset(headers.tuple.protocol);
  if (own && headers.has_ports()) return Drop::kNone;
  const uint32_t payload = headers.transport + transport_size(packet, headers);
  if (!own && offload.start < payload) return Drop::kBadOffload;
  if (uint32_t{offload.start} + offload.offset + 2 > packet.size) return Drop::kBadOffload;
  complete_checksum(packet);
  return Drop::kNone;
}

}  // namespace

Director::Director(const DirectorSpec& spec, Links& links, Output& output, Instant start)
    : spec_(spec),
      links_(links),
      output_(output),
      answers_(links, output, spec.answers, spec.seed, start),
      transmitter_(links, output, answers_, first_id_of(spec), std::bit_ceil(spec.parts)),
      table_(spec.connections, spec.seed, start, *this),
      defence_(spec.defence, table_, start),
      fragments_(spec.seed) {}

Director::~Director() {
  fragments_.clear();
  const auto release_if = [&](bool templates) {
    table_.visit(0, table_.maximum(), [&](Connection& connection) {
      if (connection.is(Connection::kTemplate) == templates) release(connection);
    });
  };
  release_if(false);
  release_if(true);
}

Service& Director::add_service(ServiceSpec spec, sched::ServerSet& set) {
  Service& service = *services_.emplace_back(std::make_unique<Service>(std::move(spec), set));
  service.id = next_service_++;
  lookup_.add(service);
  return service;
}

void Director::edit_service(Service& service, ServiceSpec spec) {
  lookup_.remove(service);
  service.edit(std::move(spec));
  lookup_.add(service);
}

void Director::remove_service(Service& service) {
  lookup_.remove(service);
  while (!service.listed().empty()) remove_server(*service.listed().back());
  const auto place =
      std::ranges::find_if(services_, [&](const auto& owned) { return owned.get() == &service; });
  SHUNT_ASSERT(place != services_.end());
  if (service.referred_to()) removed_.push_back(std::move(*place));
  services_.erase(place);
}

RealServer& Director::add_server(Service& service, const RealServerSpec& spec,
                                 sched::Server& handle) {
  RealServer& server = service.list(spec, handle);
  by_address_[spec.address.folded()].push_back(&server);
  return server;
}

void Director::remove_server(RealServer& server) {
  std::erase(by_address_[server.spec.address.folded()], &server);
  if (server.service->spec().expire_no_destination && server.references > 0) {
    stranded_ = true;
    stranded_cursor_ = 0;
  }
  server.service->unlist(server);
}

void Director::anticipate(std::span<const Packet> batch) const {
  std::array<uint32_t, kAnticipatedMax> hashes;
  size_t count = 0;
  for (const Packet& packet : batch.first(std::min(batch.size(), kAnticipatedMax))) {
    Tuple tuple;
    if (peek({packet.data, packet.size}, tuple)) hashes[count++] = table_.hash(tuple);
  }
  // Nothing between the loads, so that the processor waits for as many at once as it can.
  for (size_t i = 0; i < count; ++i) table_.load_index(hashes[i]);
  for (size_t i = 0; i < count; ++i) table_.load_connection(hashes[i]);
}

Outcome Director::forward(Packet& packet, Instant now) {
  return watch_ == nullptr ? handle(packet, now) : forward_watched(packet, now);
}

Outcome Director::handle(Packet& packet, Instant now) {
  Headers headers;
  const Drop drop = parse({packet.data, packet.size}, headers);
  if (drop != Drop::kNone) return dropped_for(drop);
  packet.size = headers.size;  // Without the padding.
  if (packet.offload.partial || packet.offload.segment_size != 0) {
    const Drop bad = settle_offload(packet, headers);
    if (bad != Drop::kNone) return dropped_for(bad);
  }
  if (headers.fragment) return forward_fragment(packet, headers, now);
  return decide(packet, headers, now);
}

Outcome Director::decide(Packet& packet, Headers& headers, Instant now) {
  if (headers.is_icmp()) return forward_icmp(packet, headers, now);
  if (!headers.has_ports()) {
    if (!lookup_.is_virtual(headers.tuple.destination)) return {};
    if (const Drop drop = check_addresses(headers); drop != Drop::kNone) return dropped_for(drop);
    answers_.error(packet, headers, IcmpError::kProtocolUnreachable, 0, true, now);
    return dropped_for(Drop::kNoService);
  }
  const auto [connection, reply] = table_.find(headers.tuple);
  if (connection == nullptr) return new_flow(packet, headers, now);
  if (!checksum_holds(packet, headers)) return dropped_for(Drop::kBadChecksum);
  return reply ? from_server(packet, headers, *connection, now)
               : from_client(packet, headers, *connection, now);
}

Outcome Director::from_client(Packet& packet, Headers& headers, Connection& connection,
                              Instant now) {
  RealServer& server = *connection.server;
  const ServiceSpec& service = server.service->spec();
  if (expects_new(connection, headers.tcp_flags)) {
    Service* current = lookup_.find(headers.tuple);
    if (current != nullptr && (headers.tcp_flags & kRst) != 0) {
      release(connection);  // A reset ends the old one and begins no other.
      return refuse(packet, headers, Drop::kNoConnection, now);
    }
    if (current != nullptr) return open(*current, packet, headers, &connection, now);
  }
  if (!server.available) {
    if (service.expire_no_destination) release(connection);
    return dropped_for(Drop::kServerGone);
  }
  follow_state(connection, headers, Seen::kInput, now);
  if (connection.packets != kPacketsMax) ++connection.packets;
  return sent(packet, headers, server, connection.server_port, false, now);
}

Outcome Director::from_server(Packet& packet, Headers& headers, Connection& connection,
                              Instant now) {
  RealServer& server = *connection.server;
  follow_state(connection, headers, Seen::kOutput, now);
  decision_ = {
      .kind = FragmentDecision::Kind::kToClient, .server = &server, .address = connection.address};
  server.traffic.add_out(headers.size);
  server.service->traffic.add_out(headers.size);
  const Drop drop =
      transmitter_.to_client(packet, headers, connection.address, connection.port, false, now);
  if (drop != Drop::kNone) return dropped_for(drop);
  return {.kind = Outcome::Kind::kForwarded, .server = &server};
}

Outcome Director::sent(Packet& packet, Headers& headers, RealServer& server, uint16_t port,
                       bool error, Instant now) {
  decision_ = {.kind = FragmentDecision::Kind::kToServer, .server = &server};
  server.traffic.add_in(headers.size);
  server.service->traffic.add_in(headers.size);
  const Drop drop = transmitter_.to_server(packet, headers, server, port, error, now);
  if (drop != Drop::kNone) return dropped_for(drop);
  return {.kind = Outcome::Kind::kForwarded, .server = &server};
}

Outcome Director::dropped_for(Drop reason) {
  drops_[static_cast<size_t>(reason)].add();
  return {.kind = Outcome::Kind::kDropped, .drop = reason};
}

// The first fragment is decided as a packet is; the others do what it did.
Outcome Director::forward_fragment(Packet& packet, Headers& headers, Instant now) {
  const auto is_server = [&](const IpAddress& address) {
    const auto found = by_address_.find(address.folded());
    return found != by_address_.end() && !found->second.empty();
  };
  if (!lookup_.is_virtual(headers.tuple.destination) && !is_server(headers.tuple.source)) return {};
  if (const Drop drop = check_addresses(headers); drop != Drop::kNone) return dropped_for(drop);
  Drop drop = Drop::kNone;
  FragmentTable::Entry* entry = fragments_.admit(headers, now, drop);
  if (entry == nullptr) return dropped_for(drop);

  Outcome outcome;
  if (!headers.later_fragment()) {
    decision_ = {};
    outcome = decide(packet, headers, now);
    if (outcome.kind != Outcome::Kind::kForwarded)
      decision_ = {.kind = FragmentDecision::Kind::kRefused};
    fragments_.decide(*entry, decision_);
    fragments_.hand_out(*entry, [&](Packet& held) {
      Headers held_headers;
      const Drop bad = parse({held.data, held.size}, held_headers);
      SHUNT_ASSERT(bad == Drop::kNone);
      follow_first(held, held_headers, entry->decision, now);
    });
  } else if (entry->decision.kind != FragmentDecision::Kind::kNone) {
    outcome = follow_first(packet, headers, entry->decision, now);
  } else if (fragments_.hold(*entry, packet, headers)) {
    return {.kind = Outcome::Kind::kHeld};
  } else {
    return dropped_for(Drop::kFragmentsFull);
  }
  fragments_.close_if_complete(*entry);
  return outcome;
}

Outcome Director::follow_first(Packet& packet, Headers& headers, const FragmentDecision& decision,
                               Instant now) {
  if (decision.kind == FragmentDecision::Kind::kRefused) return dropped_for(Drop::kFragmentRefused);
  RealServer& server = *decision.server;
  if (decision.kind == FragmentDecision::Kind::kToServer) {
    if (!server.available) return dropped_for(Drop::kServerGone);
    return sent(packet, headers, server, 0, false, now);
  }
  server.traffic.add_out(headers.size);
  server.service->traffic.add_out(headers.size);
  const Drop drop = transmitter_.to_client(packet, headers, decision.address, 0, false, now);
  if (drop != Drop::kNone) return dropped_for(drop);
  // A server that is gone may be held by this packet alone, whose last fragment it may be.
  return {.kind = Outcome::Kind::kForwarded, .server = server.available ? &server : nullptr};
}

void Director::follow_state(Connection& connection, const Headers& headers, Seen seen,
                            Instant now) {
  const Timeouts& timeouts = connection.server->service->spec().timeouts;
  if (headers.tuple.protocol != kTcp) {
    if (seen == Seen::kOutput && connection.is(Connection::kControlled))
      connection.control->set(Connection::kAssured);
    ConnectionTable::refresh(connection, now, timeouts.udp);
    return;
  }
  if (seen == Seen::kOutput) {
    connection.clear(Connection::kNoOutput);
  } else if (connection.is(Connection::kNoOutput)) {
    seen = Seen::kInputOnly;
  }
  const TcpState next = next_state(connection.state, headers.tcp_flags, seen, defence_.secure());
  if (next == connection.state) {
    ConnectionTable::refresh(connection, now, timeouts.of(next));
    return;
  }
  connection.state = next;
  count_as(connection, is_active(next));
  if (next == TcpState::kEstablished && connection.is(Connection::kControlled))
    connection.control->set(Connection::kAssured);
  table_.reschedule(connection, now, timeouts.of(next));
}

void Director::count_as(Connection& connection, bool active) {
  if (connection.is(Connection::kActive) == active) return;
  using enum sched::Counted;
  RealServer& server = *connection.server;
  server.service->set().move(*server.handle, active ? kInactive : kActive,
                             active ? kActive : kInactive);
  if (active) {
    connection.set(Connection::kActive);
  } else {
    connection.clear(Connection::kActive);
  }
}

void Director::release(Connection& connection) {
  RealServer& server = *connection.server;
  Service& service = *server.service;
  if (connection.is(Connection::kTemplate)) {
    SHUNT_ASSERT(server.templates > 0);
    --server.templates;
  } else {
    service.set().unbind(*server.handle, connection.is(Connection::kActive)
                                             ? sched::Counted::kActive
                                             : sched::Counted::kInactive);
  }
  if (connection.is(Connection::kControlled)) {
    SHUNT_ASSERT(connection.control->children > 0);
    --connection.control->children;
  }
  table_.remove(connection);
  service.release(server);
}

void Director::on_expired(Connection& connection, Instant now) {
  if (connection.children > 0) {
    table_.reschedule(connection, now, kTemplatePostponed);
    return;
  }
  release(connection);
}

bool Director::advance(Instant now) {
  bool more = table_.advance(now, kTimersMost);
  fragments_.expire(now);
  drops_[static_cast<size_t>(Drop::kFragmentTimeout)].add(fragments_.take_lost());
  if (defence_.sweep_due(now)) sweep_left_ = std::max(table_.maximum() / kSweepShare, 1u);
  more |= sweep(now);
  more |= end_stranded();
  std::erase_if(removed_, [](const auto& service) { return !service->referred_to(); });
  return more;
}

// Goes on with the sweep that was due; true if it is not over.
bool Director::sweep(Instant now) {
  if (sweep_left_ == 0) return false;
  const uint32_t count = std::min(sweep_left_, kCellsMost);
  sweep_cursor_ = table_.visit(sweep_cursor_, count, [&](Connection& connection) {
    const Timeouts& timeouts = connection.server->service->spec().timeouts;
    if (!defence_.may_evict(connection, timeouts, now)) return;
    release(connection);
    evicted.add();
  });
  sweep_left_ = sweep_cursor_ == 0 ? 0 : sweep_left_ - count;
  return sweep_left_ > 0;
}

// With expire_nodest_conn the connections of removed servers do not wait for their next packets.
// True if there is more of the table to look at.
bool Director::end_stranded() {
  if (!stranded_) return false;
  stranded_cursor_ = table_.visit(stranded_cursor_, kCellsMost, [&](Connection& connection) {
    const RealServer& server = *connection.server;
    if (server.available || !server.service->spec().expire_no_destination) return;
    if (connection.children > 0) return;  // It goes with the last of them.
    Connection* control = connection.is(Connection::kControlled) ? connection.control : nullptr;
    release(connection);
    if (control != nullptr && control->children == 0 && !control->server->available)
      release(*control);
  });
  stranded_ = stranded_cursor_ != 0;
  return stranded_;
}

}  // namespace shunt::l4
