// Kept and new connections to servers. A receive is armed on each from its first moment to its
// last.
#include "proxy/upstream_pool.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;

// Servers known before those without a connection are forgotten: they cost little, and one that has
// a connection per request is not to be looked up anew for each.
constexpr size_t kServersKept = 1024;

// Idle connections closed when the kernel refuses a descriptor: clients that wait to be accepted
// need some too.
constexpr uint32_t kEvictedAtOnce = 8;

// How long a connection waits for a descriptor. Closing takes a turn or two; what takes longer than
// this does not come.
constexpr Duration kWaitMax = 100ms;

bool is_shortage(int error) {
  return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

}  // namespace

// --- One connection ---

UpstreamConnection::UpstreamConnection(UpstreamPool& pool, UpstreamServer& server, io::Fd fd)
    : pool_(pool), server_(server), stream_(fd), created_(pool.context_.io.now()) {
  io::bind<&UpstreamConnection::on_receive>(receive_, *this);
  io::bind<&UpstreamConnection::on_connect>(more_, *this);
  bind<&UpstreamConnection::on_idle_timeout>(idle_timer_, *this);
}

void UpstreamConnection::enter(State target) {
  const bool allowed = target == State::kClosing ||
                       (target == State::kActive && state_ != State::kClosing) ||
                       (target == State::kIdle && state_ == State::kActive);
  SHUNT_ASSERT(allowed);
  SHUNT_ASSERT(state_ != State::kClosing);
  state_ = target;
}

void UpstreamConnection::on_connect(int32_t result) {
  if (state_ == State::kClosing) return close_when_joined();
  SHUNT_ASSERT(state_ == State::kConnecting);
  if (result == 0 && !send_preamble()) result = -ECONNRESET;
  if (result < 0) {
    User* user = user_;
    pool_.close(*this);
    return user->on_connected(result);
  }
  if (tls_ == nullptr) return connected();
  io::TlsEngine& engine = *pool_.context_.tls;
  io::TlsClientContext* context = engine.context_of(*tls_);
  const std::string name = tls_->settings.name.empty() && server_.address.is_ip()
                               ? server_.address.ip().to_string()
                               : tls_->settings.name;
  const io::TlsPeer peer{name, &server_.sessions, tls_->key};
  if (context == nullptr || !stream_.connect_tls(engine, *context, peer)) {
    User* user = user_;
    pool_.close(*this);
    return user->on_connected(-ENOMEM);
  }
  io::bind<&UpstreamConnection::on_handshake>(more_, *this);
  stream_.handshake(more_);
}

void UpstreamConnection::on_handshake(int32_t result) {
  if (state_ == State::kClosing) return close_when_joined();
  if (result == 0) return connected();
  User* user = user_;
  pool_.tls_failure_ =
      result == -EPROTO ? stream_.tls()->failure() : "the server ended the connection";
  pool_.close(*this);
  user->on_connected(-EPROTO);
}

void UpstreamConnection::connected() {
  tls_ = nullptr;
  enter(State::kActive);
  io::bind<&UpstreamConnection::on_more>(more_, *this);
  if (!user_->reads_stream()) receive();
  user_->on_connected(0);
}

// A connection that has not sent anything has room for so little: one that has none is broken.
bool UpstreamConnection::send_preamble() {
  const std::string_view bytes = user_->preamble(pool_.context_.head_scratch);
  if (bytes.empty()) return true;
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  const int64_t sent = pool_.context_.io.send_now(stream_.fd(), {&part, 1}, true);
  return sent == static_cast<int64_t>(bytes.size());
}

void UpstreamConnection::receive() {
  SHUNT_ASSERT(!receiving());
  // The beginning of a head waits in the input: the rest goes behind it, without a second buffer.
  if (input_.empty()) {
    input_.release(pool_.context_.io, pool_.context_.blocks);
    stream_.recv(pool_.context_.io, receive_);
  } else {
    stream_.poll(pool_.context_.io, more_, POLLIN | POLLRDHUP);
  }
}

void UpstreamConnection::on_receive(int32_t result) {
  if (result > 0) input_.adopt(receive_.buffer);
  if (state_ == State::kClosing) return close_when_joined();
  // An idle server has nothing to say but goodbye; whatever it sends belongs to no request.
  if (state_ == State::kIdle) {
    pool_.unlink_idle(*this);
    return pool_.close(*this);
  }
  if (result <= 0) return user_->on_response_end(result);
  user_->on_response_bytes();
}

void UpstreamConnection::on_more(int32_t) {
  if (state_ == State::kClosing) return close_when_joined();
  SHUNT_ASSERT(state_ == State::kActive);
  const std::span<char> room = input_.room(pool_.context_.io, pool_.context_.blocks);
  const int64_t received = stream_.recv_now(pool_.context_.io, room);
  if (received == -EAGAIN) return receive();
  if (received <= 0) return user_->on_response_end(static_cast<int32_t>(received));
  input_.filled(static_cast<size_t>(received));
  user_->on_response_bytes();
}

// The timer is not cancelled when the connection is taken: a connection in use most of the time
// would arm and cancel it for every request.
void UpstreamConnection::on_idle_timeout() {
  if (state_ != State::kIdle) return;
  pool_.unlink_idle(*this);
  pool_.close(*this);
}

void UpstreamConnection::close_when_joined() {
  if (receiving() || held_) return;
  input_.release(pool_.context_.io, pool_.context_.blocks);
  if (stream_.is_open()) stream_.close(pool_.context_.io);
  pool_.free(*this);
}

// --- The pool ---

void UpstreamServer::settle(Instant now) {
  if (parked_at == now) return;
  parked_at = now;
  while (!parked.empty()) {
    UpstreamConnection& connection = parked.back();
    IntrusiveList<UpstreamConnection>::remove(connection);
    idle.push_front(connection);
  }
}

UpstreamPool::UpstreamPool(Context& context, uint32_t connections_max)
    : context_(context), connections_max_(connections_max) {
  bind<&UpstreamPool::on_wait_over>(wait_over_, *this);
}

UpstreamPool::~UpstreamPool() {
  SHUNT_ASSERT(empty());
  if (wait_over_.armed()) context_.io.cancel(wait_over_);
}

UpstreamServer& UpstreamPool::of(const sched::Server& server) {
  const auto found = servers_.find(server.id);
  if (found != servers_.end()) return found->second;
  while (servers_.size() >= kServersKept && !unused_.empty()) {
    servers_.erase(unused_.pop_front().id);
  }
  UpstreamServer& added = servers_[server.id];
  added.id = server.id;
  added.address = server.spec.address;
  unused_.push_back(added);
  return added;
}

UpstreamConnection* UpstreamPool::take(const sched::Server& server, const IdleLimits& limits,
                                       bool probe, UpstreamConnection::User& user,
                                       const io::TlsClientFiles* tls) {
  UpstreamServer& upstream = of(server);
  while (UpstreamConnection* connection = take_idle(upstream)) {
    if (!usable(*connection, limits, probe, tls)) {
      close(*connection);
      continue;
    }
    connection->enter(UpstreamConnection::State::kActive);
    connection->user_ = &user;
    ++connection->uses_;
    context_.metrics.upstream_reuses.add();
    return connection;
  }
  return nullptr;
}

// Unlinked; null if there is none. One that the loop has looked at since it was parked, if
// possible.
UpstreamConnection* UpstreamPool::take_idle(UpstreamServer& server) {
  server.settle(context_.io.now());
  IntrusiveList<UpstreamConnection>& from = server.idle.empty() ? server.parked : server.idle;
  if (from.empty()) return nullptr;
  UpstreamConnection& connection = from.front();
  unlink_idle(connection);
  return &connection;
}

bool UpstreamPool::usable(UpstreamConnection& connection, const IdleLimits& limits, bool probe,
                          const io::TlsClientFiles* tls) {
  if (connection.tls_key_ != (tls != nullptr ? tls->key : 0)) return false;
  const Instant now = context_.io.now();
  if (now - connection.idle_since_ >= limits.timeout) return false;
  if (now - connection.created_ >= limits.age) return false;
  if (probe || connection.idle_since_ == now) {
    char byte;
    if (connection.stream_.recv_now(context_.io, {&byte, 1}, true) != -EAGAIN) return false;
  }
  // After the look into the socket, which is where the bytes may have been just now.
  return connection.receive_.submitted && !connection.receive_.arrived;
}

UpstreamConnection* UpstreamPool::connect(const sched::Server& server,
                                          UpstreamConnection::User& user, int& error,
                                          const io::TlsClientFiles* tls) {
  UpstreamServer& upstream = of(server);
  if (connections_.in_use() >= connections_max_) evict_idle(1);
  const io::Fd fd = context_.io.open_socket(upstream.address);
  if (fd < 0 && !room_comes(fd)) {
    error = fd;
    return nullptr;
  }
  UpstreamConnection* connection = connections_.make(*this, upstream, fd);
  if (upstream.connections++ == 0) IntrusiveList<UpstreamServer>::remove(upstream);
  connection->user_ = &user;
  connection->uses_ = 1;
  connection->tls_ = tls;
  connection->tls_key_ = tls != nullptr ? tls->key : 0;
  context_.metrics.upstream_connects.add();
  if (fd >= 0) {
    context_.io.connect(connection->more_, fd, upstream.address);
  } else {
    waiting_.push_back(*connection);
    ++waiting_count_;
    if (!wait_over_.armed()) context_.io.arm(wait_over_, context_.io.now() + kWaitMax);
  }
  return connection;
}

// Whether a connection that got no socket will get one, because others are being closed.
bool UpstreamPool::room_comes(int error) {
  if (!is_shortage(error)) return false;
  shortage_ = error;
  if (closing_ <= waiting_count_) evict_idle(kEvictedAtOnce);
  return closing_ > waiting_count_;
}

void UpstreamPool::serve_waiting() {
  while (!waiting_.empty()) {
    UpstreamConnection& connection = waiting_.front();
    const io::Fd fd = context_.io.open_socket(connection.server_.address);
    if (fd < 0) return;
    waiting_.pop_front();
    --waiting_count_;
    connection.stream_.open(fd);
    context_.io.connect(connection.more_, fd, connection.server_.address);
  }
  if (wait_over_.armed()) context_.io.cancel(wait_over_);
}

// The room went to others. Users may connect again and wait anew: not in this round.
void UpstreamPool::on_wait_over() {
  serve_waiting();
  for (uint32_t left = waiting_count_; left > 0 && !waiting_.empty(); --left) {
    UpstreamConnection& connection = waiting_.front();
    UpstreamConnection::User* user = connection.user_;
    close(connection);
    user->on_connected(shortage_);
  }
  if (!waiting_.empty() && !wait_over_.armed())
    context_.io.arm(wait_over_, context_.io.now() + kWaitMax);
}

void UpstreamPool::park(UpstreamConnection& connection, const IdleLimits& limits) {
  SHUNT_ASSERT(connection.user_ != nullptr);
  SHUNT_ASSERT(connection.input_.empty());
  const Instant now = context_.io.now();
  UpstreamServer& server = connection.server_;
  const bool room = server.idle_count < limits.count;
  if (!room || context_.draining || now - connection.created_ >= limits.age) {
    return close(connection);
  }
  connection.user_ = nullptr;
  connection.enter(UpstreamConnection::State::kIdle);
  connection.idle_since_ = now;
  if (!connection.receiving()) connection.receive();
  server.settle(now);
  server.parked.push_front(connection);
  ++server.idle_count;
  idle_order_.push_back(connection);
  ++idle_;
  context_.metrics.upstream_idle.add();
  context_.io.arm(connection.idle_timer_,
                  std::min(now + limits.timeout, connection.created_ + limits.age));
}

void UpstreamPool::unlink_idle(UpstreamConnection& connection) {
  IntrusiveList<UpstreamConnection>::remove(connection);
  IntrusiveList<UpstreamConnection, ByUse>::remove(connection);
  SHUNT_ASSERT(connection.server_.idle_count > 0);
  --connection.server_.idle_count;
  --idle_;
  context_.metrics.upstream_idle.subtract();
}

void UpstreamPool::close(UpstreamConnection& connection) {
  if (!connection.stream_.is_open()) {
    IntrusiveList<UpstreamConnection>::remove(connection);
    --waiting_count_;
  }
  connection.user_ = nullptr;
  connection.enter(UpstreamConnection::State::kClosing);
  ++closing_;
  context_.io.cancel(connection.idle_timer_);
  if (connection.receive_.submitted) context_.io.cancel(connection.receive_);
  if (connection.more_.submitted) context_.io.cancel(connection.more_);
  connection.close_when_joined();
}

void UpstreamPool::free(UpstreamConnection& connection) {
  UpstreamServer& server = connection.server_;
  connections_.free(&connection);
  --closing_;
  SHUNT_ASSERT(server.connections > 0);
  if (--server.connections == 0) unused_.push_back(server);
  if (!waiting_.empty()) serve_waiting();
}

void UpstreamPool::close_held(UpstreamConnection& connection) {
  connection.held_ = true;
  close(connection);
}

void UpstreamPool::let_go(UpstreamConnection& connection) {
  SHUNT_ASSERT(connection.held_);
  connection.held_ = false;
  connection.close_when_joined();
}

uint32_t UpstreamPool::evict_idle(uint32_t count) {
  uint32_t evicted = 0;
  for (; evicted < count && !idle_order_.empty(); ++evicted) {
    UpstreamConnection& connection = idle_order_.front();
    unlink_idle(connection);
    close(connection);
  }
  if (!context_.draining) context_.metrics.upstream_evicted.add(evicted);
  return evicted;
}

void UpstreamPool::close_idle() {
  evict_idle(UINT32_MAX);
}

}  // namespace shunt::proxy
