// From the director's own structures to values, field by field.
#include "app/layer4_sample.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <unordered_map>

#include "app/layer4_plan.h"

namespace shunt::app {
namespace {

constexpr uint8_t kV4Prefix = 96;
constexpr uint8_t kPrefixMax = 128;

std::string_view name_of_protocol(uint8_t protocol) {
  return protocol == l4::kTcp ? "tcp" : protocol == l4::kUdp ? "udp" : "any";
}

uint32_t whole_seconds(Duration duration) {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

TrafficSample sample_of(const l4::Traffic& traffic) {
  return {.connections = traffic.connections.value(),
          .packets_in = traffic.packets_in.value(),
          .packets_out = traffic.packets_out.value(),
          .bytes_in = traffic.bytes_in.value(),
          .bytes_out = traffic.bytes_out.value()};
}

RealServerSample sample_of(const l4::RealServer& server) {
  return {.name = server.spec.name,
          .address = server.spec.address,
          .port = server.spec.port,
          .forward = std::string(name_of(server.method)),
          .weight = server.spec.weight,
          .persistent = server.templates,
          .stats = sample_of(server.traffic)};
}

ServiceSample sample_of(l4::Service& service) {
  const l4::ServiceSpec& spec = service.spec();
  ServiceSample sample{.name = spec.name,
                       .scheduler = spec.scheduler,
                       .scheduler_flags = spec.scheduler_flags,
                       .persistence = whole_seconds(spec.persistence),
                       .one_packet = spec.one_packet,
                       .stats = sample_of(service.traffic)};
  for (const l4::VirtualRange& range : spec.ranges)
    sample.addresses.push_back({.address = range.addresses.network,
                                .first = range.first,
                                .last = range.last,
                                .protocol = std::string(name_of_protocol(range.protocol))});
  if (spec.persistence != Duration{} && spec.persistence_prefix != kPrefixMax)
    sample.netmask =
        uint32_t{spec.persistence_prefix} - (sample.addresses[0].address.is_v4() ? kV4Prefix : 0);
  const std::vector<sched::ServerSample> counted = service.set().samples();
  std::unordered_map<std::string_view, const sched::ServerSample*> by_name;
  for (const sched::ServerSample& each : counted) by_name.emplace(each.spec.name, &each);
  for (const l4::RealServer* server : service.listed()) {
    RealServerSample& one = sample.servers.emplace_back(sample_of(*server));
    const auto found = by_name.find(one.name);
    if (found == by_name.end()) continue;  // It is about to be removed.
    const sched::ServerSample& same = *found->second;
    one.weight = same.spec.weight;
    one.upper = same.spec.upper;
    one.lower = same.spec.lower;
    one.active = same.active;
    one.inactive = same.inactive;
  }
  return sample;
}

std::string_view state_of(const l4::Connection& connection) {
  if (connection.is(l4::Connection::kTemplate))
    return connection.is(l4::Connection::kAssured) ? "ASSURED" : "NONE";
  return connection.protocol == l4::kUdp ? "UDP" : l4::name_of(connection.state);
}

ConnectionSample sample_of(const l4::Connection& connection, Instant now) {
  const l4::RealServer& server = *connection.server;
  const l4::ServiceSpec& service = server.service->spec();
  ConnectionSample sample{
      .protocol = std::string(name_of_protocol(connection.protocol)),
      .state = std::string(state_of(connection)),
      .expires = connection.expires > now ? whole_seconds(connection.expires - now) : 0,
      .client = connection.client,
      .address = connection.address,
      .server = server.spec.address,
      .client_port = connection.client_port,
      .port = connection.port,
      .server_port = connection.server_port,
      .is_template = connection.is(l4::Connection::kTemplate),
      .service = service.name};
  if (!sample.is_template) return sample;
  // Its ports in the table are no ports, but make it findable.
  const l4::VirtualRange& range = service.ranges.front();
  const bool single = !service.group && range.first == range.last;
  sample.protocol = service.group || range.protocol == 0 ? "ip" : name_of_protocol(range.protocol);
  sample.client_port = 0;
  sample.port = single ? range.first : 0;
  const bool nat = server.method == l4::Method::kNat;
  sample.server_port = nat && server.spec.port != 0 ? server.spec.port : sample.port;
  return sample;
}

}  // namespace

LossSample sample_losses(const l4::Director& director, const l4::Network& network) {
  LossSample sample{.drops = {},
                    .lost = network.lost(),
                    .hashed = director.hashed.value(),
                    .evicted = director.evicted.value(),
                    .conflicts = network.neighbours().conflicts.value()};
  for (uint32_t i = 1; i < l4::kDropCount; ++i) {
    const auto reason = static_cast<l4::Drop>(i);
    sample.drops.push_back({.reason = std::string(l4::info(reason).name),
                            .text = std::string(l4::info(reason).text),
                            .packets = director.dropped(reason).value()});
  }
  return sample;
}

void add_losses(LossSample& all, const LossSample& more) {
  if (all.drops.empty()) {
    all = more;
    return;
  }
  for (size_t i = 0; i < all.drops.size(); ++i) all.drops[i].packets += more.drops[i].packets;
  all.lost += more.lost;
  all.hashed += more.hashed;
  all.evicted += more.evicted;
  all.conflicts += more.conflicts;
}

std::vector<ServiceSample> sample_services(const l4::Director& director) {
  std::vector<ServiceSample> services;
  for (const auto& service : director.services()) services.push_back(sample_of(*service));
  return services;
}

void add_samples(std::vector<ServiceSample>& all, const std::vector<ServiceSample>& more) {
  for (const ServiceSample& service : more) {
    const auto same = std::ranges::find(all, service.name, &ServiceSample::name);
    if (same == all.end()) {
      all.push_back(service);
      continue;
    }
    same->stats += service.stats;
    for (const RealServerSample& server : service.servers) {
      const auto known = std::ranges::find(same->servers, server.name, &RealServerSample::name);
      if (known == same->servers.end()) {
        same->servers.push_back(server);
        continue;
      }
      known->stats += server.stats;  // The counts of connections are those of the set they share.
      known->persistent += server.persistent;
    }
  }
}

uint32_t sample_connections(const l4::Director& director, uint32_t cursor, uint32_t cells,
                            Instant now, std::vector<ConnectionSample>& out) {
  return director.connections().look(cursor, cells, [&](const l4::Connection& connection) {
    out.push_back(sample_of(connection, now));
  });
}

void ServiceRates::tick(const std::vector<ServiceSample>& services) {
  std::map<std::pair<std::string, std::string>, RateEstimator> next;
  const auto take = [&](const std::string& service, const std::string& server,
                        const TrafficSample& stats) {
    const auto known = estimators_.find({service, server});
    RateEstimator& estimator =
        next.try_emplace({service, server},
                         known == estimators_.end() ? RateEstimator(stats) : known->second)
            .first->second;
    if (known != estimators_.end()) estimator.tick(stats);
  };
  for (const ServiceSample& service : services) {
    take(service.name, "", service.stats);
    for (const RealServerSample& server : service.servers)
      take(service.name, server.name, server.stats);
  }
  estimators_ = std::move(next);
}

void ServiceRates::fill_in(std::vector<ServiceSample>& services) const {
  const auto rates = [&](const std::string& service, const std::string& server) {
    const auto known = estimators_.find({service, server});
    return known == estimators_.end() ? TrafficSample{} : known->second.rates();
  };
  for (ServiceSample& service : services) {
    service.rate = rates(service.name, "");
    for (RealServerSample& server : service.servers) server.rate = rates(service.name, server.name);
  }
}

}  // namespace shunt::app
