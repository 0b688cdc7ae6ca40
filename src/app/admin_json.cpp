// Field by field. The library's exceptions end here.
#include "app/admin_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace shunt::app {
namespace {

using Json = nlohmann::ordered_json;

// Bytes of names that are no UTF-8 are replaced.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json json_of(const TrafficSample& sample) {
  return {{"connections", sample.connections},
          {"packets_in", sample.packets_in},
          {"packets_out", sample.packets_out},
          {"bytes_in", sample.bytes_in},
          {"bytes_out", sample.bytes_out}};
}

Json json_of(const RealServerSample& server) {
  return {{"name", server.name},
          {"address", server.address.to_string()},
          {"port", server.port},
          {"forward", server.forward},
          {"weight", server.weight},
          {"upper", server.upper},
          {"lower", server.lower},
          {"active", server.active},
          {"inactive", server.inactive},
          {"persistent", server.persistent},
          {"stats", json_of(server.stats)},
          {"rate", json_of(server.rate)}};
}

Json json_of(const ServiceSample& service) {
  Json addresses = Json::array();
  for (const RangeSample& range : service.addresses)
    addresses.push_back({{"address", range.address.to_string()},
                         {"first", range.first},
                         {"last", range.last},
                         {"protocol", range.protocol}});
  Json servers = Json::array();
  for (const RealServerSample& server : service.servers) servers.push_back(json_of(server));
  return {{"name", service.name},
          {"addresses", std::move(addresses)},
          {"scheduler", service.scheduler},
          {"scheduler_flags", service.scheduler_flags},
          {"persistence", service.persistence},
          {"netmask", service.netmask},
          {"one_packet", service.one_packet},
          {"stats", json_of(service.stats)},
          {"rate", json_of(service.rate)},
          {"servers", std::move(servers)}};
}

IpAddress address_of(const Json& json) {
  const auto address = IpAddress::parse(json.get_ref<const std::string&>());
  return address.value_or(IpAddress{});
}

TrafficSample traffic_of(const Json& json) {
  return {.connections = json.at("connections"),
          .packets_in = json.at("packets_in"),
          .packets_out = json.at("packets_out"),
          .bytes_in = json.at("bytes_in"),
          .bytes_out = json.at("bytes_out")};
}

RealServerSample server_of(const Json& json) {
  return {.name = json.at("name"),
          .address = address_of(json.at("address")),
          .port = json.at("port"),
          .forward = json.at("forward"),
          .weight = json.at("weight"),
          .upper = json.at("upper"),
          .lower = json.at("lower"),
          .active = json.at("active"),
          .inactive = json.at("inactive"),
          .persistent = json.at("persistent"),
          .stats = traffic_of(json.at("stats")),
          .rate = traffic_of(json.at("rate"))};
}

ServiceSample service_of(const Json& json) {
  ServiceSample service{.name = json.at("name"),
                        .scheduler = json.at("scheduler"),
                        .scheduler_flags = json.at("scheduler_flags"),
                        .persistence = json.at("persistence"),
                        .netmask = json.at("netmask"),
                        .one_packet = json.at("one_packet"),
                        .stats = traffic_of(json.at("stats")),
                        .rate = traffic_of(json.at("rate"))};
  for (const Json& range : json.at("addresses"))
    service.addresses.push_back({.address = address_of(range.at("address")),
                                 .first = range.at("first"),
                                 .last = range.at("last"),
                                 .protocol = range.at("protocol")});
  for (const Json& server : json.at("servers")) service.servers.push_back(server_of(server));
  return service;
}

PoolSample pool_of(const Json& json) {
  PoolSample pool{.name = json.at("name"), .scheduler = json.at("scheduler")};
  for (const Json& server : json.at("servers"))
    pool.servers.push_back({.name = server.at("name"),
                            .address = server.at("address"),
                            .weight = server.at("weight"),
                            .active = server.at("active"),
                            .inactive = server.at("inactive")});
  return pool;
}

// `read` throws where the text is not what it expects.
template <class Read>
auto guarded(std::string_view text, Read read) -> Result<decltype(read(Json()))> {
  try {
    return read(Json::parse(text));
  } catch (const Json::exception& error) {
    return fail(fmt::format("this is not what Shunt says: {}", error.what()));
  }
}

}  // namespace

std::string to_json(const ServiceList& list) {
  Json services = Json::array();
  for (const ServiceSample& service : list.services) services.push_back(json_of(service));
  return dump({{"version", list.version},
               {"table_size", list.table_size},
               {"services", std::move(services)}});
}

std::string to_json(const LossSample& losses) {
  Json drops = Json::array();
  for (const DropSample& drop : losses.drops)
    drops.push_back({{"reason", drop.reason}, {"packets", drop.packets}, {"text", drop.text}});
  return dump({{"drops", std::move(drops)},
               {"lost", losses.lost},
               {"hashed", losses.hashed},
               {"evicted", losses.evicted},
               {"conflicts", losses.conflicts}});
}

std::string to_json(const std::vector<PoolSample>& pools) {
  Json all = Json::array();
  for (const PoolSample& pool : pools) {
    Json servers = Json::array();
    for (const PoolServerSample& server : pool.servers)
      servers.push_back({{"name", server.name},
                         {"address", server.address},
                         {"weight", server.weight},
                         {"active", server.active},
                         {"inactive", server.inactive}});
    all.push_back(
        {{"name", pool.name}, {"scheduler", pool.scheduler}, {"servers", std::move(servers)}});
  }
  return dump({{"pools", std::move(all)}});
}

std::string to_json(const ConnectionSample& connection) {
  return dump({{"protocol", connection.protocol},
               {"expires", connection.expires},
               {"state", connection.state},
               {"client", connection.client.to_string()},
               {"client_port", connection.client_port},
               {"address", connection.address.to_string()},
               {"port", connection.port},
               {"server", connection.server.to_string()},
               {"server_port", connection.server_port},
               {"template", connection.is_template},
               {"service", connection.service}});
}

Result<ServiceList> services_from_json(std::string_view text) {
  return guarded(text, [](const Json& json) {
    ServiceList list{.version = json.at("version"), .table_size = json.at("table_size")};
    for (const Json& service : json.at("services")) list.services.push_back(service_of(service));
    return list;
  });
}

Result<LossSample> losses_from_json(std::string_view text) {
  return guarded(text, [](const Json& json) {
    LossSample losses{.drops = {},
                      .lost = json.at("lost"),
                      .hashed = json.at("hashed"),
                      .evicted = json.at("evicted"),
                      .conflicts = json.at("conflicts")};
    for (const Json& drop : json.at("drops"))
      losses.drops.push_back(
          {.reason = drop.at("reason"), .text = drop.at("text"), .packets = drop.at("packets")});
    return losses;
  });
}

Result<std::vector<PoolSample>> pools_from_json(std::string_view text) {
  return guarded(text, [](const Json& json) {
    std::vector<PoolSample> pools;
    for (const Json& pool : json.at("pools")) pools.push_back(pool_of(pool));
    return pools;
  });
}

Result<ConnectionSample> connection_from_json(std::string_view text) {
  return guarded(text, [](const Json& json) {
    return ConnectionSample{.protocol = json.at("protocol"),
                            .state = json.at("state"),
                            .expires = json.at("expires"),
                            .client = address_of(json.at("client")),
                            .address = address_of(json.at("address")),
                            .server = address_of(json.at("server")),
                            .client_port = json.at("client_port"),
                            .port = json.at("port"),
                            .server_port = json.at("server_port"),
                            .is_template = json.at("template"),
                            .service = json.at("service")};
  });
}

}  // namespace shunt::app
