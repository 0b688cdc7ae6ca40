// The simulated farm, and a reader of HTTP that shares no code with the proxy's.
#include "sim/proxy_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace shunt::sim {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool parse_hex(std::string_view text, size_t& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

// Decodes a chunked body at `position`; moves it behind the end.
ReadResult read_chunked(std::string_view bytes, size_t& position, std::string& body) {
  for (;;) {
    const size_t end = bytes.find("\r\n", position);
    if (end == std::string_view::npos) return ReadResult::kMore;
    size_t size = 0;
    if (!parse_hex(bytes.substr(position, end - position), size)) return ReadResult::kBroken;
    position = end + 2;
    if (size == 0) break;
    if (bytes.size() < position + size + 2) return ReadResult::kMore;
    body.append(bytes.substr(position, size));
    if (bytes.substr(position + size, 2) != "\r\n") return ReadResult::kBroken;
    position += size + 2;
  }
  for (;;) {  // Trailers.
    const size_t end = bytes.find("\r\n", position);
    if (end == std::string_view::npos) return ReadResult::kMore;
    const bool last = end == position;
    position = end + 2;
    if (last) return ReadResult::kMessage;
  }
}

bool parse_head(std::string_view head, SimMessage& message) {
  size_t end = head.find("\r\n");
  message.start_line = head.substr(0, end);
  while (end + 2 < head.size()) {
    const size_t begin = end + 2;
    end = std::min(head.find("\r\n", begin), head.size());
    const std::string_view line = head.substr(begin, end - begin);
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return false;
    message.fields.emplace_back(lower(std::string(line.substr(0, colon))), line.substr(colon + 2));
  }
  return true;
}

std::shared_ptr<RateLimiter> limiter_for(const std::optional<config::RateLimit>& limit) {
  if (!limit) return nullptr;
  const RateLimiter::Rate rate{.interval = limit->interval, .burst = limit->burst};
  return std::make_shared<RateLimiter>(rate, limit->size, 1);
}

}  // namespace

std::string SimMessage::field(std::string_view name) const {
  std::string found;
  for (const auto& [key, value] : fields) {
    if (key == name) found = found.empty() ? value : "two fields: " + key;
  }
  return found;
}

int SimMessage::status() const {
  return std::atoi(start_line.c_str() + 9);
}

std::string SimMessage::method() const {
  return start_line.substr(0, start_line.find(' '));
}

std::string SimMessage::path() const {
  const size_t begin = start_line.find(' ') + 1;
  return start_line.substr(begin, start_line.find(' ', begin) - begin);
}

ReadResult read_message(std::string& bytes, std::string_view request_method, bool ended,
                        SimMessage& message) {
  message = {};
  const size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string::npos)
    return ended && !bytes.empty() ? ReadResult::kBroken : ReadResult::kMore;
  if (!parse_head(std::string_view(bytes).substr(0, head_end), message)) return ReadResult::kBroken;
  size_t position = head_end + 4;
  const bool answer = !request_method.empty();
  const std::string length = message.field("content-length");
  const std::string coding = message.field("transfer-encoding");
  if (!length.empty() && !coding.empty()) return ReadResult::kBroken;
  const int status = answer ? message.status() : 0;
  const bool no_body =
      answer && (request_method == "HEAD" || status < 200 || status == 204 || status == 304);
  ReadResult result = ReadResult::kMessage;
  if (no_body || (!answer && length.empty() && coding.empty())) {
    // Nothing follows.
  } else if (coding == "chunked") {
    message.chunked = true;
    result = read_chunked(bytes, position, message.body);
  } else if (!coding.empty()) {
    return ReadResult::kBroken;
  } else if (!length.empty()) {
    const size_t size = std::stoul(length);
    if (bytes.size() < position + size) result = ReadResult::kMore;
    if (result == ReadResult::kMessage) message.body = bytes.substr(position, size);
    position += size;
  } else {
    message.until_close = true;
    if (!ended) return ReadResult::kMore;
    message.body = bytes.substr(position);
    position = bytes.size();
  }
  if (result == ReadResult::kMore && ended) return ReadResult::kBroken;
  if (result == ReadResult::kMessage) bytes.erase(0, position);
  return result;
}

std::string pattern(uint64_t id, size_t size) {
  std::string text(size, '\0');
  uint64_t state = id * 0x9E3779B97F4A7C15u + 1;
  for (char& c : text) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>('!' + (state >> 58));
  }
  return text;
}

std::string chunked(std::string_view body, size_t chunk, std::string_view trailers) {
  std::string text;
  for (size_t i = 0; i < body.size(); i += chunk) {
    const std::string_view piece = body.substr(i, chunk);
    text += fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
  }
  return text + "0\r\n" + std::string(trailers) + "\r\n";
}

ProxyWorld::ProxyWorld(const WorldOptions& options)
    : io_(std::make_unique<SimIo>(options.sim)),
      server_count_(options.servers),
      tls_to_servers_(options.tls_to_servers) {
  sink_ = *proxy::AccessLogSink::open("off");
  log_ = std::make_unique<proxy::AccessLog>(*sink_, config::AccessLogFormat::kJson);
  snapshot_ = std::make_shared<proxy::Snapshot>();
  snapshot_->generation = 1;
  config::Config& config = snapshot_->config;
  config::Listener& listener = config.listeners.emplace_back();
  listener.name = "web";
  config::Pool& pool = config.pools.emplace_back();
  pool.name = "pool";
  pool.scheduler = "rr";
  for (uint32_t i = 0; i < options.servers; ++i) {
    config::Server& server = pool.servers.emplace_back();
    server.name = fmt::format("s{}", i);
    server.address = server_address(i);
  }
  config::Rule& rule = config.rules.emplace_back();
  rule.name = "default";
  rule.pool = 0;
  if (options.adjust) options.adjust(config);

  Diagnostics diagnostics;
  snapshot_->rules = rules::RuleSet::compile(config.rules, config.listeners, diagnostics);
  snapshot_->actions = rules::compile_actions(config.rules, config.pools, diagnostics);
  SHUNT_ASSERT(!diagnostics.has_errors());
  servers_ = *sched::ServerSet::create(config.pools[0].scheduler, {});
  for (const config::Server& server : config.pools[0].servers) {
    sched::ServerSpec spec;
    spec.name = server.name;
    spec.address = server.address;
    spec.weight = server.weight;
    spec.capacity = server.max_connections;
    spec.breaker.requests = server.breaker.requests;
    spec.breaker.open = server.breaker.time;
    SHUNT_ASSERT(servers_->add(spec).has_value());
  }
  const config::Ejection& ejection = config.pools[0].ejection;
  servers_->set_circuit_rules(
      {ejection.failures, ejection.time, ejection.time_max, ejection.max_share});
  const auto state = std::make_shared<proxy::PoolState>();
  state->sticky.resize(config.pools[0].sticky.entries);
  snapshot_->pools.push_back(
      {.config = &config.pools[0], .servers = servers_, .key = {}, .state = state});
  snapshot_->listener_limiters.push_back(limiter_for(config.listeners[0].rate_limit));
  for (const config::Rule& each : config.rules)
    snapshot_->rule_limiters.push_back(limiter_for(each.rate_limit));
  add_tls(options.tls_to_clients);
  service_ = proxy::Service::create(
      *io_, metrics_, *log_,
      {.connections_max = options.workers_connections_max, .sources = &sources_});
  service_->use(snapshot_);
  listener_ = io_->listen(*SocketAddress::parse("10.0.0.1:80"));
  service_->add_listener(listener_, 0);
}

void ProxyWorld::add_tls(bool to_clients) {
  if (to_clients)
    snapshot_->listener_tls.push_back(std::make_unique<io::TlsServerFiles>(tls_server_files()));
  if (tls_to_servers_) {
    snapshot_->server_tls.push_back(std::make_unique<io::TlsClientFiles>(tls_client_files()));
    snapshot_->pools[0].tls.assign(server_count_, snapshot_->server_tls[0].get());
  }
  if (to_clients || tls_to_servers_) snapshot_->tickets = &tickets_;
}

// A test that failed half way leaves connections behind; they are taken down before what they use.
ProxyWorld::~ProxyWorld() {
  if (!service_) return;
  service_->stop();
  io_->run_until([this] { return service_->idle(); }, std::chrono::minutes(1));
}

SocketAddress ProxyWorld::server_address(uint32_t index) {
  return *SocketAddress::parse(fmt::format("10.1.0.{}:8080", index + 1));
}

// `End`: SimPeer or TlsEnd.
template <class End>
void ProxyWorld::answer(End& end, std::string& input, const Handler& handler) {
  input += end.take();
  for (;;) {
    SimMessage request;
    const ReadResult result = read_message(input, "", false, request);
    if (result == ReadResult::kMore) break;
    if (result == ReadResult::kBroken) throw std::runtime_error("the origin cannot read: " + input);
    bool close = false;
    const std::string bytes = handler(request, close);
    if (!bytes.empty()) end.send(bytes);
    if (close) return end.close();
  }
  if (end.ended()) end.close();
}

void ProxyWorld::serve(uint32_t server, Handler handler) {
  io_->serve(server_address(server), [this, handler](SimPeer& peer) {
    Origin& origin = *origins_.emplace_back(std::make_unique<Origin>());
    if (tls_to_servers_) {
      origin.tls = std::make_unique<TlsEnd>(
          peer, TlsEnd::Side::kServer,
          [handler, &origin](TlsEnd& end) { answer(end, origin.input, handler); });
    } else {
      peer.on_event = [handler, &origin](SimPeer& end) { answer(end, origin.input, handler); };
    }
  });
}

uint64_t ProxyWorld::resumed_at_servers() const {
  return static_cast<uint64_t>(std::ranges::count_if(origins_, [](const auto& origin) {
    return origin->tls != nullptr && origin->tls->resumed();
  }));
}

void ProxyWorld::serve_all(const Handler& handler) {
  for (uint32_t i = 0; i < server_count_; ++i) serve(i, handler);
}

void ProxyWorld::reload(const std::function<void(config::Config&)>& adjust) {
  auto next = std::make_shared<proxy::Snapshot>();
  next->generation = snapshot_->generation + 1;
  next->config = snapshot_->config;
  adjust(next->config);
  Diagnostics diagnostics;
  next->rules = rules::RuleSet::compile(next->config.rules, next->config.listeners, diagnostics);
  next->actions = rules::compile_actions(next->config.rules, next->config.pools, diagnostics);
  next->pools.push_back({.config = &next->config.pools[0],
                         .servers = servers_,
                         .key = {},
                         .state = snapshot_->pools[0].state});
  snapshot_ = next;
  service_->use(snapshot_);
}

std::string ProxyWorld::exchange(std::string_view request, Duration longest) {
  SimPeer& client = connect();
  client.send(request);
  io_->run_until([&] { return client.over(); }, longest);
  return client.received();
}

uint64_t ProxyWorld::ended(Reason reason) const {
  return metrics_.ended[static_cast<size_t>(reason)].value();
}

void ProxyWorld::finish() {
  service_->stop();
  io_->run_until([this] { return service_->idle(); }, std::chrono::minutes(1));
  SHUNT_ASSERT(service_->idle());
  for (sched::Server* server : servers_->servers()) SHUNT_ASSERT(server->active == 0);
  service_.reset();
  io_->close(listener_);
  io_->check_clean();
}

}  // namespace shunt::sim
