// Services and the lookup of them. Names and lists change on the control path only; the packet path
// reads.
#include "l4/service.h"

#include <algorithm>
#include <utility>

#include "core/assert.h"
#include "core/hash.h"
#include "l4/fallback_hash.h"

namespace shunt::l4 {

VirtualRange VirtualRange::of(const IpAddress& address, uint16_t port, uint8_t protocol) {
  return {.addresses = {address, 128}, .first = port, .last = port, .protocol = protocol};
}

bool VirtualRange::contains(const Tuple& tuple) const {
  return (protocol == 0 || protocol == tuple.protocol) && tuple.destination_port >= first &&
         tuple.destination_port <= last && addresses.contains(tuple.destination);
}

bool same_way(const RealServer& server, const RealServerSpec& wanted, Method of_service) {
  return server.method == wanted.method.value_or(of_service) &&
         server.spec.tunnel == wanted.tunnel && server.spec.tunnel_port == wanted.tunnel_port;
}

Service::Service(ServiceSpec spec, sched::ServerSet& set)
    : spec_(std::move(spec)), set_(set), fallback_(std::make_unique<FallbackHash>(spec_)) {}

Service::~Service() {
  SHUNT_ASSERT(!referred_to());
}

void Service::edit(ServiceSpec spec) {
  spec_ = std::move(spec);
  fallback_ = std::make_unique<FallbackHash>(spec_);
  fallback_->rebuild(listed_);
}

RealServer& Service::list(const RealServerSpec& spec, sched::Server& handle) {
  SHUNT_ASSERT(find(spec.name) == nullptr);
  const auto known = std::ranges::find_if(servers_, [&](const auto& server) {
    return server->spec.name == spec.name && server->spec.address == spec.address &&
           server->spec.port == spec.port && same_way(*server, spec, spec_.method);
  });
  RealServer& server =
      known == servers_.end() ? *servers_.emplace_back(std::make_unique<RealServer>()) : **known;
  server.spec = spec;
  server.method = spec.method.value_or(spec_.method);
  server.available = true;
  server.service = this;
  server.handle = &handle;
  server.last_weight = spec.weight;
  listed_.push_back(&server);
  by_handle_.emplace(&handle, &server);
  fallback_->rebuild(listed_);
  return server;
}

void Service::set_weight(RealServer& server, int32_t weight) {
  SHUNT_ASSERT(weight >= 0);
  server.spec.weight = weight;
  if (weight != 0) server.last_weight = weight;
  fallback_->rebuild(listed_);
}

void Service::unlist(RealServer& server) {
  const auto place = std::ranges::find(listed_, &server);
  SHUNT_ASSERT(place != listed_.end());
  listed_.erase(place);
  by_handle_.erase(server.handle);
  server.available = false;
  fallback_->rebuild(listed_);
  // Freed at once if nothing refers to it.
  refer(server);
  release(server);
}

RealServer* Service::find(std::string_view name) {
  const auto found = std::ranges::find(
      listed_, name,
      [](const RealServer* server) -> std::string_view { return server->spec.name; });
  return found == listed_.end() ? nullptr : *found;
}

RealServer* Service::schedule(const Tuple& tuple, Instant now, sched::Counted as) {
  const sched::Flow flow{.source = tuple.source.folded(),
                         .source_port = tuple.source_port,
                         .destination = tuple.destination.folded(),
                         .now = now};
  sched::Server* handle = set_.schedule(flow, as);
  if (handle == nullptr) return nullptr;
  const auto found = by_handle_.find(handle);
  if (found != by_handle_.end()) return found->second;
  set_.unbind(*handle, as);  // In the set, but not yet or no longer listed here.
  return nullptr;
}

RealServer* Service::hash(const Tuple& tuple) {
  return fallback_->choose(tuple);
}

void Service::release(RealServer& server) {
  SHUNT_ASSERT(server.references > 0);
  if (--server.references > 0 || server.available) return;
  std::erase_if(servers_, [&](const auto& owned) { return owned.get() == &server; });
}

bool Service::referred_to() const {
  return std::ranges::any_of(servers_, [](const auto& server) { return server->references > 0; });
}

size_t ServiceTable::AddressHash::operator()(const IpAddress& address) const {
  return hash_32(address.folded(), 32);
}

size_t ServiceTable::TupleHash::operator()(const Tuple& tuple) const {
  return hash_32(
      tuple.destination.folded() ^ (uint32_t{tuple.destination_port} << 8) ^ tuple.protocol, 32);
}

Tuple ServiceTable::key_of(const IpAddress& address, uint16_t port, uint8_t protocol) {
  return {.destination = address, .destination_port = port, .protocol = protocol};
}

void ServiceTable::add(Service& service) {
  for (const VirtualRange& range : service.spec().ranges) {
    const Claim claim{range, &service};
    if (range.single()) {
      const auto [place, added] =
          exact_.emplace(key_of(range.addresses.network, range.first, range.protocol), &service);
      SHUNT_ASSERT(added || place->second == &service);
      if (added) ++by_address_[range.addresses.network].exact;
    } else if (range.addresses.prefix == 128) {
      std::vector<Claim>& claims = by_address_[range.addresses.network].wide;
      const auto width = [](const Claim& one) { return one.range.last - one.range.first; };
      claims.insert(std::ranges::upper_bound(claims, width(claim), {}, width), claim);
    } else {
      const auto prefix = [](const Claim& one) { return one.range.addresses.prefix; };
      networks_.insert(std::ranges::upper_bound(networks_, prefix(claim), std::greater{}, prefix),
                       claim);
    }
  }
}

// Linear in the service's own ranges: a reload removes many.
void ServiceTable::remove(Service& service) {
  const auto is_its = [&](const Claim& claim) { return claim.service == &service; };
  bool has_networks = false;
  for (const VirtualRange& range : service.spec().ranges) {
    has_networks |= range.addresses.prefix != 128;
    const auto known = by_address_.find(range.addresses.network);
    if (range.addresses.prefix != 128 || known == by_address_.end()) continue;
    Claims& claims = known->second;
    std::erase_if(claims.wide, is_its);
    const auto exact =
        range.single() ? exact_.find(key_of(range.addresses.network, range.first, range.protocol))
                       : exact_.end();
    if (exact != exact_.end() && exact->second == &service) {
      exact_.erase(exact);
      --claims.exact;
    }
    if (claims.exact == 0 && claims.wide.empty()) by_address_.erase(known);
  }
  if (has_networks) std::erase_if(networks_, is_its);
}

Service* ServiceTable::find(const Tuple& tuple) const {
  const auto exact = exact_.find(key_of(tuple.destination, tuple.destination_port, tuple.protocol));
  if (exact != exact_.end()) return exact->second;
  const auto matches = [&](const Claim& claim) { return claim.range.contains(tuple); };
  if (const auto claims = by_address_.find(tuple.destination); claims != by_address_.end()) {
    const std::vector<Claim>& wide = claims->second.wide;
    const auto found = std::ranges::find_if(wide, matches);
    if (found != wide.end()) return found->service;
  }
  const auto found = std::ranges::find_if(networks_, matches);
  return found == networks_.end() ? nullptr : found->service;
}

bool ServiceTable::is_virtual(const IpAddress& address) const {
  return by_address_.contains(address) || std::ranges::any_of(networks_, [&](const Claim& claim) {
           return claim.range.addresses.contains(address);
         });
}

}  // namespace shunt::l4
