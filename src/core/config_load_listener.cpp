// Reads [global] and [[listener]].
// Owned by one load, on the thread that loads.
#include <algorithm>
#include <charconv>

#include "core/config_habits.h"
#include "core/config_load_parts.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

constexpr int64_t kWorkersMax = 1024;
constexpr int64_t kForwardersMax = 64;
constexpr int64_t kLayer4ConnectionsMin = 1000;
constexpr int64_t kLayer4ConnectionsMax = 100'000'000;
constexpr int64_t kLayer4NewConnectionsMax = 100'000'000;
constexpr int64_t kCpuMax = 1023;  // cpu_set_t holds 1024.
constexpr Duration kTimeoutMin = 1ms;
constexpr Duration kTimeoutMax = 24h;
constexpr uint32_t kHeaderMin = 1024;
constexpr uint32_t kHeaderMax = 64 * 1024;
constexpr int64_t kHeaderCountMax = 256;  // proxy::kFieldsMax.
constexpr uint32_t kRequestLineMin = 256;
constexpr uint32_t kRateMinMax = 1024 * 1024;
constexpr int64_t kPerSourceMax = 1'000'000;

constexpr Choice<AccessLogFormat> kAccessLogFormats[] = {{"json", AccessLogFormat::kJson},
                                                         {"combined", AccessLogFormat::kCombined}};
constexpr Choice<EventLoop> kEventLoops[] = {
    {"auto", EventLoop::kAuto}, {"io_uring", EventLoop::kIoUring}, {"epoll", EventLoop::kEpoll}};
constexpr Choice<KernelTls> kKernelTls[] = {{"auto", KernelTls::kAuto}, {"off", KernelTls::kOff}};
constexpr Choice<Protocol> kProtocols[] = {{"http", Protocol::kHttp}, {"tcp", Protocol::kTcp}};
constexpr std::string_view kHttpKeys[] = {
    "body_timeout",     "send_timeout",    "keep_alive_timeout", "keep_alive_requests",
    "request_line_max", "header_max",      "header_count_max",   "body_rate_min",
    "send_rate_min",    "request_timeout", "rate_limit",         "ambiguous_path",
    "request_id_header"};
constexpr Choice<PathPolicy> kPathPolicies[] = {
    {"check", PathPolicy::kCheck}, {"reject", PathPolicy::kReject}, {"pass", PathPolicy::kPass}};

void load_cpu_affinity(Loading& loading, const toml::node& node, std::vector<uint32_t>& out) {
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    loading.error(node, fmt::format("\"cpu_affinity\" must be an array of CPU numbers, not {}",
                                    type_name(node)));
    return;
  }
  for (const toml::node& element : *array) {
    const auto* cpu = element.as_integer();
    if (cpu == nullptr) {
      loading.error(element, fmt::format("\"cpu_affinity\" must hold CPU numbers, not {}",
                                         type_name(element)));
    } else if (cpu->get() < 0 || cpu->get() > kCpuMax) {
      loading.error(element,
                    fmt::format("a CPU number must be 0 to {}, not {}", kCpuMax, cpu->get()));
    } else {
      out.push_back(static_cast<uint32_t>(cpu->get()));
    }
  }
}

void load_admin(Loading& loading, const Text& text, Global& global) {
  const Result<SocketAddress> address = SocketAddress::parse(text.value);
  if (!address) {
    loading.diagnostics.error(text.place, address.error().text,
                              hint_for_address(text.value, /*to_bind=*/true));
    return;
  }
  global.admin = *address;
  global.admin_place = text.place;
}

void load_bind(Loading& loading, TableReader& reader, Listener& listener, ListenerPlaces& places) {
  const size_t errors = loading.diagnostics.error_count();
  for (Text& text : reader.strings("bind")) {
    const Result<SocketAddress> address = SocketAddress::parse(text.value);
    if (!address) {
      loading.diagnostics.error(text.place, address.error().text,
                                hint_for_address(text.value, /*to_bind=*/true));
      continue;
    }
    listener.bind.push_back(*address);
    places.bind.push_back(std::move(text));
  }
  if (listener.bind.empty() && errors == loading.diagnostics.error_count())
    loading.missing(reader.place(), "a listener needs \"bind\"",
                    "add bind = \"0.0.0.0:80\", or a list of addresses");
}

// Whoever may send a PROXY header says who the client is: that must not be anybody.
void load_proxy_protocol(Loading& loading, TableReader& reader, Listener& listener) {
  const size_t errors = loading.diagnostics.error_count();
  reader.boolean("proxy_protocol", listener.proxy_protocol);
  for (const Text& text : reader.strings("proxy_protocol_from")) {
    const Result<Cidr> network = Cidr::parse(text.value);
    if (network) {
      listener.proxy_protocol_from.push_back(*network);
    } else {
      loading.diagnostics.error(text.place, network.error().text);
    }
  }
  if (errors != loading.diagnostics.error_count()) return;
  if (reader.has("proxy_protocol_from") && !listener.proxy_protocol)
    loading.diagnostics.error(reader.place_of("proxy_protocol_from"),
                              "\"proxy_protocol_from\" needs \"proxy_protocol\" = true");
  const bool by_ip = std::ranges::any_of(listener.bind, &SocketAddress::is_ip);
  if (listener.proxy_protocol && by_ip && listener.proxy_protocol_from.empty())
    loading.diagnostics.error(
        reader.place_of("proxy_protocol"),
        "\"proxy_protocol\" = true needs \"proxy_protocol_from\": who may say "
        "whose a connection is",
        "add proxy_protocol_from = [\"10.0.0.0/8\"], the addresses of the proxies");
}

// As chmod takes it: "0660".
void load_unix_mode(Loading& loading, TableReader& reader, Listener& listener) {
  constexpr uint32_t kModeMax = 0777;
  const auto text = reader.text("unix_mode");
  if (!text) return;
  uint32_t mode = 0;
  const char* end = text->value.data() + text->value.size();
  const auto [read, error] = std::from_chars(text->value.data(), end, mode, 8);
  if (error != std::errc() || read != end || mode > kModeMax)
    return loading.diagnostics.error(text->place,
                                     "\"unix_mode\" must be an octal mode, \"0600\" to \"0777\"");
  listener.unix_mode = mode;
}

void load_request_id_header(Loading& loading, TableReader& reader, Listener& listener) {
  const auto text = reader.text("request_id_header");
  if (!text) return;
  if (is_token(text->value)) {
    listener.request_id_header = lower_case(text->value);
  } else {
    loading.diagnostics.error(text->place, fmt::format("\"{}\" is not a header name", text->value),
                              "\"x-request-id\"");
  }
}

void load_defences(Loading& loading, TableReader& reader, Listener& listener) {
  reader.size("body_rate_min", listener.body_rate_min, 0, kRateMinMax);
  reader.size("send_rate_min", listener.send_rate_min, 0, kRateMinMax);
  reader.duration("request_timeout", listener.request_timeout, 0s, kTimeoutMax);
  reader.integer("connections_per_source", listener.connections_per_source, 0, kPerSourceMax);
  if (listener.connections_per_source > 0 && listener.proxy_protocol)
    loading.diagnostics.error(reader.place_of("connections_per_source"),
                              "\"connections_per_source\" would count the proxies that \"proxy_"
                              "protocol\" is for; give them a rate_limit instead");
  reader.integer("source_ipv6_prefix", listener.source_ipv6_prefix, 1, 128);
  if (const toml::table* limit = reader.table("rate_limit"))
    listener.rate_limit = load_rate_limit(loading, *limit);
  reader.choice("ambiguous_path", listener.ambiguous_path, kPathPolicies);
}

void check_protocol(Loading& loading, TableReader& reader, Protocol protocol) {
  if (protocol != Protocol::kTcp) return;
  for (const std::string_view key : kHttpKeys) {
    if (reader.has(key))
      loading.diagnostics.error(
          reader.place_of(key),
          fmt::format("\"{}\" needs HTTP, and this listener has protocol = \"tcp\"", key),
          "leave it out");
  }
  if (reader.has("tls"))
    loading.diagnostics.error(
        reader.place_of("tls"),
        "a listener with protocol = \"tcp\" does not end TLS, which passes through to the server",
        "leave it out; rules can look at the name asked for: match = { sni = \"NAME\" }");
}

}  // namespace

void load_global(Loading& loading, const toml::table& table) {
  if (loading.draft.global_place) {
    const Place& first = *loading.draft.global_place;
    loading.error(table, fmt::format("[global] was given before, at {}:{}",
                                     loading.diagnostics.file_name(first.file), first.line));
  }
  loading.draft.global_place = loading.place_of(table);
  Global& global = loading.draft.config.global;
  TableReader reader(loading, table, kGlobalKeys, "[global]");
  reader.integer("workers", global.workers, 0, kWorkersMax);
  if (const toml::node* node = reader.take("cpu_affinity"))
    load_cpu_affinity(loading, *node, global.cpu_affinity);
  reader.string("user", global.user);
  if (const auto target = reader.text("access_log")) global.access_log = target->value;
  reader.choice("access_log_format", global.access_log_format, kAccessLogFormats);
  reader.boolean("access_log_idle", global.access_log_idle);
  reader.choice("event_loop", global.event_loop, kEventLoops);
  reader.choice("ktls", global.ktls, kKernelTls);
  reader.integer("max_connections", global.max_connections, 0, UINT32_MAX);
  reader.duration("drain_timeout", global.drain_timeout, 0s, kTimeoutMax);
  if (const auto admin = reader.text("admin")) load_admin(loading, *admin, global);
  reader.integer("layer4_threads", global.layer4_threads, 0, kForwardersMax);
  reader.integer("layer4_connections", global.layer4_connections, kLayer4ConnectionsMin,
                 kLayer4ConnectionsMax);
  reader.integer("layer4_new_connections", global.layer4_new_connections, 0,
                 kLayer4NewConnectionsMax);
}

void load_listener(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kListenerKeys, "a listener");
  Listener listener;
  ListenerPlaces places;
  listener.place = reader.place();
  load_bind(loading, reader, listener, places);
  if (const auto name = reader.text("name")) {
    listener.name = name->value;
    places.named = true;
  } else if (!places.bind.empty()) {
    listener.name = places.bind.front().value;
  }

  reader.choice("protocol", listener.protocol, kProtocols);
  check_protocol(loading, reader, listener.protocol);
  load_proxy_protocol(loading, reader, listener);
  load_unix_mode(loading, reader, listener);

  reader.duration("header_timeout", listener.header_timeout, kTimeoutMin, kTimeoutMax);
  reader.duration("body_timeout", listener.body_timeout, kTimeoutMin, kTimeoutMax);
  reader.duration("send_timeout", listener.send_timeout, kTimeoutMin, kTimeoutMax);
  reader.duration("keep_alive_timeout", listener.keep_alive_timeout, kTimeoutMin, kTimeoutMax);
  reader.integer("keep_alive_requests", listener.keep_alive_requests, 0, UINT32_MAX);
  reader.size("header_max", listener.header_max, kHeaderMin, kHeaderMax);
  reader.integer("header_count_max", listener.header_count_max, 1, kHeaderCountMax);
  load_defences(loading, reader, listener);
  load_request_id_header(loading, reader, listener);
  // The line is part of the head: a smaller head pulls the default with it, a line asked for must
  // fit.
  if (!reader.size("request_line_max", listener.request_line_max, kRequestLineMin, kHeaderMax))
    listener.request_line_max = std::min(listener.request_line_max, listener.header_max);
  if (listener.request_line_max > listener.header_max)
    loading.diagnostics.error(reader.place_of("request_line_max"),
                              "\"request_line_max\" must not be larger than \"header_max\"");

  load_listener_tls(loading, reader, listener.tls);
  loading.draft.config.listeners.push_back(std::move(listener));
  loading.draft.listener_places.push_back(std::move(places));
}

}  // namespace shunt::config
