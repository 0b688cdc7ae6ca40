// Kept and new connections to servers. A receive is armed on each from its first moment to its last.
#include "proxy/upstream_pool.h"

#include <poll.h>

#include <cerrno>

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;
constexpr Duration kSweepInterval = 1s;

}  // namespace

// --- One connection ---

UpstreamConnection::UpstreamConnection(UpstreamPool& pool, UpstreamServer& server, io::Fd fd)
    : pool_(pool), server_(server), fd_(fd), created_(pool.context_.io.now()) {
  io::bind<&UpstreamConnection::on_receive>(receive_, *this);
  io::bind<&UpstreamConnection::on_connect>(more_, *this);
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
  User* user = user_;
  if (result < 0) {
    pool_.close(*this);
    return user->on_connected(result);
  }
  enter(State::kActive);
  io::bind<&UpstreamConnection::on_more>(more_, *this);
  receive();
  user->on_connected(0);
}

void UpstreamConnection::receive() {
  SHUNT_ASSERT(!receiving());
  // The beginning of a head waits in the input: the rest goes behind it, without a second buffer.
  if (input_.empty()) {
    input_.release(pool_.context_.io, pool_.context_.blocks);
    pool_.context_.io.recv(receive_, fd_);
  } else {
    pool_.context_.io.poll(more_, fd_, POLLIN | POLLRDHUP);
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
  const int64_t received = pool_.context_.io.recv_now(fd_, room.data(), room.size());
  if (received == -EAGAIN) return receive();
  if (received <= 0) return user_->on_response_end(static_cast<int32_t>(received));
  input_.filled(static_cast<size_t>(received));
  user_->on_response_bytes();
}

void UpstreamConnection::close_when_joined() {
  if (receiving() || held_) return;
  input_.release(pool_.context_.io, pool_.context_.blocks);
  pool_.context_.io.close(fd_);
  pool_.connections_.free(this);
}

// --- The pool ---

UpstreamPool::UpstreamPool(Context& context) : context_(context) {
  bind<&UpstreamPool::on_sweep>(sweep_, *this);
}

UpstreamPool::~UpstreamPool() {
  SHUNT_ASSERT(empty());
  if (sweep_.armed()) context_.io.cancel(sweep_);
}

UpstreamServer& UpstreamPool::of(const sched::Server& server) {
  if (server.id >= servers_.size()) servers_.resize(server.id + 1);
  std::unique_ptr<UpstreamServer>& slot = servers_[server.id];
  if (!slot) {
    slot = std::make_unique<UpstreamServer>();
    slot->address = server.spec.address;
  }
  return *slot;
}

UpstreamConnection* UpstreamPool::take(const sched::Server& server, const IdleLimits& limits,
                                       bool probe, UpstreamConnection::User& user) {
  UpstreamServer& upstream = of(server);
  const Instant now = context_.io.now();
  while (!upstream.idle.empty()) {
    UpstreamConnection& connection = upstream.idle.front();
    unlink_idle(connection);
    bool usable = now - connection.idle_since_ < limits.timeout &&
                  now - connection.created_ < limits.age && connection.receive_.submitted;
    if (usable && probe) {
      char byte;
      usable = context_.io.recv_now(connection.fd_, &byte, 1, true) == -EAGAIN;
    }
    if (!usable) {
      close(connection);
      continue;
    }
    connection.enter(UpstreamConnection::State::kActive);
    connection.user_ = &user;
    ++connection.uses_;
    context_.metrics.upstream_reuses.add();
    return &connection;
  }
  return nullptr;
}

UpstreamConnection* UpstreamPool::connect(const sched::Server& server,
                                          UpstreamConnection::User& user, int& error) {
  UpstreamServer& upstream = of(server);
  const io::Fd fd = context_.io.open_socket(upstream.address);
  if (fd < 0) {
    error = fd;
    return nullptr;
  }
  UpstreamConnection* connection = connections_.make(*this, upstream, fd);
  connection->user_ = &user;
  connection->uses_ = 1;
  context_.metrics.upstream_connects.add();
  context_.io.connect(connection->more_, fd, upstream.address);
  return connection;
}

void UpstreamPool::park(UpstreamConnection& connection, const IdleLimits& limits) {
  SHUNT_ASSERT(connection.user_ != nullptr);
  SHUNT_ASSERT(connection.input_.empty());
  const Instant now = context_.io.now();
  const bool room = connection.server_.idle_count < limits.count;
  if (!room || context_.draining || now - connection.created_ >= limits.age) {
    return close(connection);
  }
  connection.user_ = nullptr;
  connection.enter(UpstreamConnection::State::kIdle);
  connection.idle_since_ = now;
  if (!connection.receiving()) connection.receive();
  connection.server_.idle.push_front(connection);
  ++connection.server_.idle_count;
  ++idle_;
  context_.metrics.upstream_idle.add();
  connection.idle_deadline_ = now + limits.timeout;
  if (!sweep_.armed()) context_.io.arm(sweep_, now + kSweepInterval);
}

void UpstreamPool::unlink_idle(UpstreamConnection& connection) {
  SHUNT_ASSERT(connection.linked());
  IntrusiveList<UpstreamConnection>::remove(connection);
  SHUNT_ASSERT(connection.server_.idle_count > 0);
  --connection.server_.idle_count;
  --idle_;
  context_.metrics.upstream_idle.subtract();
}

void UpstreamPool::close(UpstreamConnection& connection) {
  connection.user_ = nullptr;
  connection.enter(UpstreamConnection::State::kClosing);
  if (connection.receive_.submitted) context_.io.cancel(connection.receive_);
  if (connection.more_.submitted) context_.io.cancel(connection.more_);
  connection.close_when_joined();
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

void UpstreamPool::on_sweep() {
  const Instant now = context_.io.now();
  for (const auto& server : servers_) {
    if (!server || server->idle_count == 0) continue;
    server->idle.each([&](UpstreamConnection& connection) {
      if (now < connection.idle_deadline_) return;
      unlink_idle(connection);
      close(connection);
    });
  }
  if (idle_ > 0) context_.io.arm(sweep_, now + kSweepInterval);
}

void UpstreamPool::close_idle() {
  for (const auto& server : servers_) {
    if (!server) continue;
    while (!server->idle.empty()) {
      UpstreamConnection& connection = server->idle.front();
      unlink_idle(connection);
      close(connection);
    }
  }
}

}  // namespace shunt::proxy
