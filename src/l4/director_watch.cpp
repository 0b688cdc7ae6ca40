// Packets that somebody follows. The path of a packet is the same whether it is watched or not:
// what the director has made of it is read off the tables before and after.
#include <algorithm>

#include "core/assert.h"
#include "l4/director.h"
#include "l4/watch.h"

namespace shunt::l4 {

// Whose packet this is, as far as the tables tell.
struct Director::Relation {
  const Service* service = nullptr;
  const Connection* connection = nullptr;
  IpAddress client;
  uint16_t client_port = 0;  // 0: not known.
  bool from_server = false;
};

void Director::watch(Watch* watch) {
  SHUNT_ASSERT(watch == nullptr || watch_ == nullptr);
  watch_ = watch;
  if (watch != nullptr) watch->lead_to(&output_);
  Output& output = watch == nullptr ? output_ : *watch;
  transmitter_.lead_to(output);
  answers_.lead_to(output);
}

Director::Relation Director::relation_of(const Packet& packet, const Headers& headers) const {
  const auto of_flow = [&](const Tuple& tuple) -> Relation {
    const auto [connection, reply] = table_.find(tuple);
    if (connection == nullptr) return {};
    return {.service = connection->server->service,
            .connection = connection,
            .client = connection->client,
            .client_port = connection->client_port,
            .from_server = reply};
  };
  const Tuple& tuple = headers.tuple;
  if (headers.has_ports() && !headers.later_fragment()) {
    if (const Relation known = of_flow(tuple); known.connection != nullptr) return known;
  } else if (headers.is_icmp() && packet.size > headers.transport + kIcmpHeader) {
    // An error is about the packet that it quotes, which went the other way. A packet with faults
    // may be shorter than it says.
    Headers quoted;
    const std::span<const uint8_t> body(packet.data, packet.size);
    if (parse_quoted(body.subspan(headers.transport + kIcmpHeader), quoted)) {
      Relation known = of_flow(quoted.tuple.reversed());
      if (known.connection == nullptr) {
        known = of_flow(quoted.tuple);
        known.from_server = !known.from_server;
      }
      if (known.connection != nullptr) return known;
    }
  }
  if (lookup_.is_virtual(tuple.destination))
    return {
        .service = lookup_.find(tuple), .client = tuple.source, .client_port = tuple.source_port};
  return {.client = tuple.destination, .client_port = tuple.destination_port, .from_server = true};
}

// A packet to no service is looked at by those who watch one at the same address; one from a
// server that no connection is known for, by those who watch its client.
bool Director::concerns_watch(const Headers& headers, const Relation& relation) const {
  const WatchFilter& filter = watch_->filter();
  if (filter.client && *filter.client != relation.client) return false;
  if (filter.client_port != 0 && relation.client_port != 0 &&
      filter.client_port != relation.client_port)
    return false;
  if (relation.service == nullptr && relation.from_server) {
    const auto server = by_address_.find(headers.tuple.source.folded());
    if (server == by_address_.end()) return false;
    return filter.service.empty() || std::ranges::any_of(server->second, [&](const auto* each) {
             return each->service->spec().name == filter.service;
           });
  }
  if (filter.service.empty()) return true;
  if (relation.service != nullptr) return relation.service->spec().name == filter.service;
  return std::ranges::any_of(services_, [&](const auto& service) {
    return service->spec().name == filter.service &&
           std::ranges::any_of(service->spec().ranges, [&](const VirtualRange& range) {
             return range.addresses.contains(headers.tuple.destination);
           });
  });
}

Outcome Director::forward_watched(Packet& packet, Instant now) {
  Headers headers;
  const bool readable = parse({packet.data, packet.size}, headers) == Drop::kNone;
  const Relation before = relation_of(packet, headers);
  if (!concerns_watch(headers, before)) return handle(packet, now);

  const bool known = before.connection != nullptr;
  const Service* service = before.service;
  const bool replaced = known && !before.from_server && headers.has_ports() &&
                        expects_new(*before.connection, headers.tcp_flags);
  const RealServer* remembered = nullptr;  // That the client is persistent to.
  if (service != nullptr && service->spec().persistence != Duration{})
    if (const Connection* control = table_.find(template_tuple(*service, headers.tuple)).connection)
      remembered = control->server;
  const uint64_t hashed_before = hashed.value();
  const TcpState state_before = known ? before.connection->state : TcpState::kNone;

  watch_->begin(packet, headers, readable, now);
  const Outcome outcome = handle(packet, now);

  Sighting& seen = watch_->sighting();
  seen.from_server = before.from_server;
  seen.replaced = replaced;
  seen.kind = outcome.kind;
  seen.drop = outcome.drop;
  seen.before = replaced ? TcpState::kNone : state_before;
  const Connection* after = table_.find(headers.tuple).connection;
  if (after != nullptr) seen.after = after->state;
  const RealServer* server = outcome.server;
  if (server == nullptr && after != nullptr) server = after->server;
  if (server != nullptr) {
    service = server->service;
    seen.method = server->method;
    seen.address = server->spec.address;
    seen.port = after != nullptr ? after->server_port : server->spec.port;
    seen.weight = server->spec.weight;
    seen.active = server->handle->active.load(std::memory_order_relaxed);
    seen.inactive = server->handle->inactive.load(std::memory_order_relaxed);
    seen.server = watch_->keep(server->spec.name);
    seen.why = hashed.value() != hashed_before ? Why::kHashed
               : known && !replaced            ? Why::kKnown
               : headers.is_icmp()             ? Why::kHashed
               : server == remembered          ? Why::kPersistent
                                               : Why::kScheduled;
  }
  if (headers.later_fragment() && outcome.kind == Outcome::Kind::kForwarded)
    seen.why = Why::kFragment;
  if (service != nullptr) {
    seen.one_packet = service->spec().one_packet;
    seen.service = watch_->keep(service->spec().name);
    seen.scheduler = watch_->keep(service->spec().scheduler);
  }
  watch_->end();
  return outcome;
}

}  // namespace shunt::l4
