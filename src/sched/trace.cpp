// The replay: a table of connections and one of persistence templates, with virtual time that only
// `expire` advances.
#include "sched/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "core/assert.h"
#include "sched/server_set.h"

namespace shunt::sched {
namespace {

// How long IPVS keeps a closed connection, by how it was closed.
constexpr Duration kFinTimeout = std::chrono::seconds(120);
constexpr Duration kResetTimeout = std::chrono::seconds(10);

// Names its server, not the Server: one that is removed and added again is the same to it.
struct Template {
  std::string server;
  Instant deadline{};
  uint32_t connections = 0;
};

struct Connection {
  enum class State : uint8_t { kRefused, kOpen, kFin, kReset, kGone };
  State state = State::kRefused;
  Server* server = nullptr;       // Bound in kOpen, kFin and kReset.
  Template* placed_by = nullptr;  // Null without persistence.
  bool closed() const { return state == State::kFin || state == State::kReset; }
};

// What a connection is known by: client and service address and port.
using Endpoints = std::tuple<IpAddress, uint16_t, IpAddress, uint16_t>;

Endpoints endpoints_of(const TraceEvent& event) {
  return {event.source.ip(), event.source.port(), event.destination.ip(), event.destination.port()};
}

IpAddress network_of(const IpAddress& address, uint8_t prefix) {
  IpAddress network = address;
  for (unsigned bit = prefix; bit < 128; ++bit) {
    network.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  }
  return network;
}

class Replay {
 public:
  Replay(const Trace& trace, std::unique_ptr<ServerSet> set)
      : persistence_(trace.persistence), set_(std::move(set)) {}

  Result<void> add(const ServerSpec& spec) {
    auto added = set_->add(spec);
    if (!added) return std::unexpected(std::move(added).error());
    return {};
  }

  Result<TraceDecision> apply(const TraceEvent& event);
  std::vector<TraceServer> servers() const;

 private:
  Result<TraceDecision> open(const TraceEvent& event);
  Result<void> close(const TraceEvent& event);
  Result<void> edit(const ServerSpec& spec);
  Result<void> remove(const std::string& name);
  void expire();

  void take_over(Connection& previous, Connection& connection);
  Server* place(const TraceEvent& event);
  IpAddress client_of(const TraceEvent& event) const;
  void release(Connection& connection);
  Server* find(const std::string& name) const;

  const std::optional<TracePersistence> persistence_;
  std::unique_ptr<ServerSet> set_;
  std::map<uint64_t, Connection> connections_;
  std::map<Endpoints, Connection*> by_endpoints_;  // The latest.
  std::deque<Template> templates_;
  std::map<IpAddress, Template*> by_client_;  // The latest of a client's network.
  Instant now_{};
};

Result<TraceDecision> Replay::apply(const TraceEvent& event) {
  Result<void> done;
  switch (event.kind) {
    case TraceEvent::Kind::kOpen:
      return open(event);
    case TraceEvent::Kind::kClose:
      done = close(event);
      break;
    case TraceEvent::Kind::kAdd:
      done = add(event.server);
      break;
    case TraceEvent::Kind::kEdit:
      done = edit(event.server);
      break;
    case TraceEvent::Kind::kRemove:
      done = remove(event.server.name);
      break;
    case TraceEvent::Kind::kExpire:
      expire();
      break;
  }
  if (!done) return std::unexpected(std::move(done).error());
  return TraceDecision{};
}

Result<TraceDecision> Replay::open(const TraceEvent& event) {
  const auto [entry, is_new] = connections_.try_emplace(event.connection);
  if (!is_new) return fail(fmt::format("connection {} was opened before", event.connection));
  Connection& connection = entry->second;

  Connection*& latest = by_endpoints_[endpoints_of(event)];
  Connection* previous = std::exchange(latest, &connection);
  if (previous != nullptr && previous->state == Connection::State::kOpen) {
    return fail("a connection between these addresses is open");
  }
  if (previous != nullptr && !previous->closed()) previous = nullptr;
  if (previous != nullptr && previous->placed_by != nullptr) {
    take_over(*previous, connection);
  } else {
    connection.server = place(event);
    if (connection.server != nullptr) {
      connection.state = Connection::State::kOpen;
      if (persistence_) connection.placed_by = by_client_.at(client_of(event));
    }
    // The memory of the closed connection ends, but only after the scheduler has looked at the
    // counts: the kernel leaves it to a timer.
    if (previous != nullptr) release(*previous);
  }
  if (connection.server == nullptr) return TraceDecision{TraceDecision::Kind::kRefused, {}};
  return TraceDecision{TraceDecision::Kind::kServer, connection.server->spec.name};
}

// With persistence a closed connection is not forgotten for a new one between the same addresses,
// but becomes it.
void Replay::take_over(Connection& previous, Connection& connection) {
  if (!previous.server->available) return;  // Its packets are dropped.
  set_->move(*previous.server, Counted::kInactive, Counted::kActive);
  connection = previous;
  connection.state = Connection::State::kOpen;
  previous = Connection{.state = Connection::State::kGone};
}

// Persistence first, then the scheduler. The connection counts as active at once: its handshake is
// over before the next event.
Server* Replay::place(const TraceEvent& event) {
  const Flow flow{.source = event.source.ip().folded(),
                  .source_port = event.source.port(),
                  .destination = event.destination.ip().folded(),
                  .now = now_};
  if (!persistence_) return set_->schedule(flow, Counted::kActive);

  Template*& known = by_client_[client_of(event)];
  Server* server = nullptr;
  if (known != nullptr && (known->connections > 0 || now_ < known->deadline)) {
    server = find(known->server);
    if (server != nullptr) set_->bind(*server, Counted::kActive);
  }
  if (server == nullptr) {
    server = set_->schedule(flow, Counted::kActive);
    if (server == nullptr) return nullptr;
    known = &templates_.emplace_back(Template{.server = server->spec.name});
  }
  known->deadline = now_ + persistence_->timeout;
  ++known->connections;
  return server;
}

IpAddress Replay::client_of(const TraceEvent& event) const {
  return network_of(event.source.ip(), persistence_->prefix);
}

Result<void> Replay::close(const TraceEvent& event) {
  const auto found = connections_.find(event.connection);
  if (found == connections_.end()) {
    return fail(fmt::format("connection {} was not opened", event.connection));
  }
  Connection& connection = found->second;
  if (connection.state == Connection::State::kRefused) return {};  // Nobody kept it.
  if (connection.state != Connection::State::kOpen) {
    return fail(fmt::format("connection {} is closed already", event.connection));
  }
  // The packets of a removed server's connections are dropped, so IPVS never learns of this end.
  if (!connection.server->available) return {};
  set_->move(*connection.server, Counted::kActive, Counted::kInactive);
  connection.state = event.reset ? Connection::State::kReset : Connection::State::kFin;
  return {};
}

Result<void> Replay::edit(const ServerSpec& spec) {
  Server* server = find(spec.name);
  if (server == nullptr) return fail(fmt::format("there is no server {}", spec.name));
  return set_->edit(*server, spec.weight, spec.upper, spec.lower);
}

Result<void> Replay::remove(const std::string& name) {
  Server* server = find(name);
  if (server == nullptr) return fail(fmt::format("there is no server {}", name));
  set_->remove(*server);
  return {};
}

void Replay::expire() {
  Duration longest{};
  for (auto& [id, connection] : connections_) {
    if (!connection.closed()) continue;
    const bool fin = connection.state == Connection::State::kFin;
    longest = std::max(longest, fin ? kFinTimeout : kResetTimeout);
    release(connection);
  }
  now_ += longest;
}

void Replay::release(Connection& connection) {
  SHUNT_ASSERT(connection.closed());
  connection.state = Connection::State::kGone;
  set_->unbind(*connection.server, Counted::kInactive);
  connection.server = nullptr;
  if (connection.placed_by != nullptr) --connection.placed_by->connections;
}

Server* Replay::find(const std::string& name) const {
  const std::vector<Server*> servers = set_->servers();
  const auto found =
      std::ranges::find(servers, name, [](const Server* server) { return server->spec.name; });
  return found == servers.end() ? nullptr : *found;
}

std::vector<TraceServer> Replay::servers() const {
  std::vector<TraceServer> result;
  for (const Server* server : set_->servers()) {
    result.push_back({.name = server->spec.name,
                      .weight = server->spec.weight,
                      .active = server->active.load(),
                      .inactive = server->inactive.load()});
  }
  std::ranges::sort(result, {}, &TraceServer::name);
  return result;
}

}  // namespace

Result<TraceResult> replay(const Trace& trace, uint64_t seed) {
  auto set = ServerSet::create(trace.scheduler, trace.flags, seed);
  if (!set) return std::unexpected(std::move(set).error());
  Replay replay(trace, std::move(*set));
  for (const ServerSpec& spec : trace.servers) SHUNT_TRY(replay.add(spec));

  TraceResult result;
  result.decisions.reserve(trace.events.size());
  for (size_t index = 0; index < trace.events.size(); ++index) {
    auto decision = replay.apply(trace.events[index]);
    if (!decision) return fail(fmt::format("event {}: {}", index, decision.error().text));
    result.decisions.push_back(std::move(*decision));
  }
  result.servers = replay.servers();
  return result;
}

}  // namespace shunt::sched
