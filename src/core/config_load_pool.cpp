// Reads [pool.NAME] and its servers.
// Owned by one load, on the thread that loads.
#include <algorithm>

#include "core/config_habits.h"
#include "core/config_load_parts.h"
#include "core/config_presets.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

constexpr int64_t kWeightMax = 65535;
constexpr int64_t kRetriesMax = 16;
constexpr int64_t kIdleConnectionsMax = 65535;
constexpr Duration kTimeoutMin = 1ms;
constexpr Duration kTimeoutMax = 24h;
constexpr Duration kIdleAgeMax = 30 * 24h;
constexpr Duration kTunnelTimeoutMax = 30 * 24h;

constexpr std::string_view kPlannedSchedulers[] = {"ewma"};
constexpr Choice<AddressFamily> kFamilies[] = {
    {"any", AddressFamily::kAny}, {"ipv4", AddressFamily::kIpv4}, {"ipv6", AddressFamily::kIpv6}};

const Preset* read_preset(Loading& loading, TableReader& reader) {
  const auto type = reader.text("type");
  if (!type) return nullptr;
  const Preset* preset = find_preset(type->value);
  if (preset != nullptr) return preset;
  std::vector<std::string_view> names;
  for (const Preset& one : presets()) names.push_back(one.name);
  std::string hint = did_you_mean(type->value, names);
  loading.diagnostics.error(type->place, fmt::format("unknown pool type \"{}\"", type->value),
                            hint.empty() ? fmt::format("types: {}", fmt::join(names, ", ")) : hint);
  return nullptr;
}

void read_host_header(Loading& loading, TableReader& reader, Pool& pool) {
  const toml::node* node = reader.take("host_header");
  if (node == nullptr) return;
  if (const toml::table* table = node->as_table()) {
    TableReader fixed(loading, *table, kHostHeaderKeys, "host_header");
    const auto host = fixed.text("set");
    if (!host) {
      if (!table->contains("set"))
        loading.missing(loading.place_of(*node),
                        "\"host_header\" needs \"set\": { set = \"www.example.com\" }");
      return;
    }
    if (has_control(host->value) || host->value.find(' ') != std::string::npos)
      loading.diagnostics.error(host->place, "a Host field holds no space or control character");
    pool.host_header = HostHeader::kFixed;
    pool.host = host->value;
    return;
  }
  const auto* text = node->as_string();
  if (text != nullptr && text->get() == "pass") {
    pool.host_header = HostHeader::kPass;
  } else if (text != nullptr && text->get() == "server") {
    pool.host_header = HostHeader::kServer;
  } else {
    constexpr std::string_view kNames[] = {"pass", "server"};
    loading.error(*node, "\"host_header\" must be \"pass\", \"server\" or { set = \"NAME\" }",
                  text != nullptr ? did_you_mean(text->get(), kNames) : "");
  }
}

void read_upgrade(Loading& loading, TableReader& reader, Pool& pool) {
  if (!reader.has("upgrade")) return;
  pool.upgrade.clear();
  const std::vector<Text> protocols = reader.strings("upgrade");
  if (protocols.size() == 1 && protocols.front().value == "none") return;
  for (const Text& text : protocols) {
    const std::string protocol = lower_case(text.value);
    // HTTP/2 in the clear would be a second way past the rules.
    if (protocol == "h2c" || protocol.starts_with("http/")) {
      loading.diagnostics.error(text.place, "a tunnel of HTTP would go past the rules");
    } else if (has_control(protocol) || protocol.find_first_of(" ,\t") != std::string::npos) {
      loading.diagnostics.error(text.place, "\"upgrade\" must hold names of protocols",
                                "\"websocket\", or \"none\"");
    } else {
      pool.upgrade.push_back(protocol);
    }
  }
}

void read_address(Loading& loading, TableReader& reader, Server& server) {
  const size_t errors = loading.diagnostics.error_count();
  const auto text = reader.text("address");
  if (!text) {
    if (errors == loading.diagnostics.error_count())
      loading.missing(reader.place(), "a server needs \"address\"",
                      "add address = \"10.0.0.11:8080\" or \"unix:/path\"");
    return;
  }
  server.address_text = text->value;
  if (is_dns_address(text->value)) {
    auto dns = parse_dns_address(text->value);
    if (!dns) return loading.diagnostics.error(text->place, dns.error().text);
    server.dns = std::move(*dns);
    return;
  }
  const auto address = SocketAddress::parse(text->value);
  if (!address) {
    loading.diagnostics.error(text->place, address.error().text,
                              hint_for_address(text->value, /*to_bind=*/false));
    return;
  }
  if (address->is_ip() && address->port() == 0)
    loading.diagnostics.error(text->place, "a server's port must be 1 to 65535, not 0");
  server.address = *address;
}

void read_family(Loading& loading, TableReader& reader, Server& server) {
  AddressFamily family{};
  if (!reader.choice("family", family, kFamilies)) return;
  if (server.dns) {
    server.dns->family = family;
  } else if (server.address.size() > 0) {
    loading.diagnostics.error(reader.place_of("family"),
                              "\"family\" is for addresses by name: \"dns:NAME:PORT\"");
  }
}

}  // namespace

bool read_scheduler(Loading& loading, TableReader& reader, std::string& scheduler) {
  const auto name = reader.text("scheduler");
  if (!name) return !reader.has("scheduler");
  const auto& known = loading.vocabulary.schedulers;
  if (std::ranges::find(known, name->value) != known.end()) {
    scheduler = name->value;
    return true;
  }
  if (std::ranges::find(kPlannedSchedulers, name->value) != std::end(kPlannedSchedulers)) {
    loading.diagnostics.error(
        name->place, fmt::format("scheduler \"{}\" is not available in this version", name->value));
  } else {
    std::string hint = did_you_mean(name->value, known);
    loading.diagnostics.error(
        name->place, fmt::format("unknown scheduler \"{}\"", name->value),
        hint.empty() ? fmt::format("schedulers: {}", fmt::join(known, " ")) : hint);
  }
  return false;
}

std::optional<LocalityKey> read_locality_key(Loading& loading, TableReader& reader,
                                             std::string_view name) {
  const auto text = reader.text(name);
  if (!text) return {};
  auto key = parse_locality_key(text->value);
  if (key) return key;
  constexpr std::string_view kKinds[] = {"path",        "url",     "host",    "source",
                                         "destination", "header:", "cookie:", "query:"};
  std::string hint = did_you_mean(text->value, kKinds);
  if (hint.empty() || text->value == "header" || text->value == "cookie" || text->value == "query")
    hint =
        "\"path\", \"url\", \"host\", \"source\", \"destination\", \"header:NAME\", "
        "\"cookie:NAME\" or \"query:NAME\"";
  loading.diagnostics.error(text->place, fmt::format("\"{}\" is not a locality key", text->value),
                            hint);
  return {};
}

void load_server(Loading& loading, std::string_view pool_name, const toml::table& table,
                 const ServerTls& pool_tls, Pool& pool) {
  TableReader reader(loading, table, kServerKeys,
                     fmt::format("a server of pool \"{}\"", pool_name));
  Server server;
  server.place = reader.place();
  read_address(loading, reader, server);
  read_family(loading, reader, server);
  server.name = server.address_text;
  if (const auto name = reader.text("name")) server.name = name->value;
  reader.integer("weight", server.weight, 0, kWeightMax);
  reader.integer("upper", server.upper, 0, INT32_MAX);
  reader.integer("lower", server.lower, 0, INT32_MAX);
  load_server_flow(loading, reader, server);
  if (server.lower > server.upper)
    loading.diagnostics.error(reader.place_of("lower"),
                              "\"lower\" must not be larger than \"upper\"");
  server.tls = pool_tls;
  load_server_tls(loading, reader, server.tls);
  if (server.tls && server.tls.verify && server.tls.name.empty() &&
      server.address.family() == AF_UNIX)
    loading.diagnostics.error(
        server.tls.place, "\"tls\" to a unix socket needs \"name\": there is no other to verify");
  if (server.tls && server.tls.name.empty() && server.dns) server.tls.name = server.dns->host();
  pool.servers.push_back(std::move(server));
}

void load_pool(Loading& loading, std::string_view name, const toml::table& table) {
  TableReader reader(loading, table, kPoolKeys, fmt::format("pool \"{}\"", name), name);
  Pool pool;
  PoolPlaces places;
  pool.place = reader.place();
  pool.name = name;
  if (const Preset* preset = read_preset(loading, reader)) apply_preset(*preset, pool);
  places.scheduler_known = read_scheduler(loading, reader, pool.scheduler);
  places.scheduler_flags = reader.strings("scheduler_flags");
  // The flags of a preset are for its own scheduler.
  if (reader.has("scheduler") || reader.has("scheduler_flags")) pool.scheduler_flags.clear();
  for (const Text& flag : places.scheduler_flags) pool.scheduler_flags.push_back(flag.value);
  if (const auto key = read_locality_key(loading, reader, "key")) pool.key = key;
  if (reader.has("key")) places.key = reader.place_of("key");
  read_host_header(loading, reader, pool);
  reader.boolean("forwarded", pool.forwarded);
  reader.integer("send_proxy", pool.send_proxy, 0, 2);
  reader.duration("connect_timeout", pool.connect_timeout, kTimeoutMin, kTimeoutMax);
  read_upgrade(loading, reader, pool);
  reader.duration("tunnel_timeout", pool.tunnel_timeout, kTimeoutMin, kTunnelTimeoutMax);
  reader.duration("response_timeout", pool.response_timeout, kTimeoutMin, kTimeoutMax);
  reader.duration("server_timeout", pool.server_timeout, kTimeoutMin, kTimeoutMax);
  reader.integer("retries", pool.retries, 0, kRetriesMax);
  reader.integer("idle_connections", pool.idle_connections, 0, kIdleConnectionsMax);
  reader.duration("idle_timeout", pool.idle_timeout, kTimeoutMin, kTimeoutMax);
  reader.duration("idle_age", pool.idle_age, kTimeoutMin, kIdleAgeMax);
  load_pool_flow(loading, reader, pool);
  load_sticky(loading, reader, pool.sticky);

  ServerTls tls;
  load_server_tls(loading, reader, tls);

  const size_t errors = loading.diagnostics.error_count();
  reader.tables("server",
                [&](const toml::table& one) { load_server(loading, name, one, tls, pool); });
  if (pool.servers.empty() && errors == loading.diagnostics.error_count())
    loading.missing(pool.place, fmt::format("pool \"{}\" has no server", name),
                    fmt::format("add [[pool.{}.server]] with an address", name));
  loading.draft.config.pools.push_back(std::move(pool));
  loading.draft.pool_places.push_back(std::move(places));
}

}  // namespace shunt::config
