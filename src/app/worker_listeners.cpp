// Moves each listening socket through its phases, on a timer that runs only while one is on its way
// out.
#include "app/worker_listeners.h"

#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "core/assert.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 10ms;
// For the last ACK of a handshake: a round trip across a continent.
constexpr Duration kHandshake = 200ms;
// The queue empties at once unless the service has paused accepting; then the rest is given up.
constexpr Duration kRetireLongest = 5s;

// From now on the kernel drops segments that open a connection. Segments of a handshake under way
// pass. The filter sees the TCP header first; its flags are byte 13, SYN is bit 1, and a client's
// SYN is the only one that gets here.
void drop_new_connections(io::Fd fd) {
  constexpr uint32_t kFlagsOffset = 13;
  constexpr uint32_t kSyn = 0x02;
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsOffset),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  // Does nothing on unix sockets, whose file is gone by now. A kernel that refuses costs the
  // clients of the last instant.
  ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

// Connections that wait in the accept queue; 0 where the kernel does not tell (unix sockets).
uint32_t queue_length(io::Fd fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_unacked;  // On a listening socket: the length of its queue.
}

}  // namespace

WorkerListeners::WorkerListeners(io::Io& io, proxy::Service& service) : io_(io), service_(service) {
  bind<&WorkerListeners::on_tick>(tick_, *this);
}

WorkerListeners::~WorkerListeners() {
  SHUNT_ASSERT(empty());
  if (tick_.armed()) io_.cancel(tick_);
}

void WorkerListeners::apply(const ListenChange& change) {
  if (change.kind == ListenChange::Kind::kAdd) {
    sockets_.push_back(
        {.fd = change.fd, .phase = Phase::kServing, .listener = 0, .earliest = {}, .latest = {}});
    service_.add_listener(change.fd, change.listener);
    return;
  }
  const auto socket = std::ranges::find(sockets_, change.fd, &Socket::fd);
  SHUNT_ASSERT(socket != sockets_.end());
  if (change.kind == ListenChange::Kind::kRetire) {
    retire(*socket);
    return;
  }
  socket->listener = change.listener;
  release(*socket, Phase::kMoving);
}

void WorkerListeners::retire_all() {
  for (Socket& socket : sockets_) retire(socket);
}

void WorkerListeners::close_all() {
  for (Socket& socket : sockets_) release(socket, Phase::kReleasing);
}

size_t WorkerListeners::leaving() const {
  return static_cast<size_t>(std::ranges::count_if(sockets_, [](const Socket& socket) {
    return socket.phase == Phase::kRetiring || socket.phase == Phase::kReleasing;
  }));
}

void WorkerListeners::retire(Socket& socket) {
  if (socket.phase == Phase::kRetiring || socket.phase == Phase::kReleasing) return;
  drop_new_connections(socket.fd);
  // Nobody accepts while it moves from one listener to another, so there is nothing to wait for.
  const bool accepts = socket.phase == Phase::kServing;
  socket.phase = accepts ? Phase::kRetiring : Phase::kReleasing;
  socket.earliest = io_.now() + kHandshake;
  socket.latest = io_.now() + kRetireLongest;
  tick_soon();
}

void WorkerListeners::release(Socket& socket, Phase phase) {
  // A socket that moves has been taken from the service already, and may be closed instead or move
  // elsewhere.
  const bool held = socket.phase == Phase::kServing || socket.phase == Phase::kRetiring;
  if (socket.phase == Phase::kReleasing) return;
  socket.phase = phase;
  if (held) service_.remove_listener(socket.fd);
  tick_soon();
}

bool WorkerListeners::retired(const Socket& socket) const {
  if (io_.now() >= socket.latest) return true;
  return io_.now() >= socket.earliest && queue_length(socket.fd) == 0;
}

void WorkerListeners::step(Socket& socket) {
  if (socket.phase == Phase::kRetiring && retired(socket)) release(socket, Phase::kReleasing);
  if (service_.accepting(socket.fd)) return;
  if (socket.phase == Phase::kReleasing) {
    io_.close(socket.fd);
    socket.phase = Phase::kClosed;
  }
  if (socket.phase == Phase::kMoving) {
    service_.add_listener(socket.fd, socket.listener);
    socket.phase = Phase::kServing;
  }
}

void WorkerListeners::on_tick() {
  for (Socket& socket : sockets_) step(socket);
  std::erase_if(sockets_, [](const Socket& socket) { return socket.phase == Phase::kClosed; });
  const auto serving = [](const Socket& socket) { return socket.phase == Phase::kServing; };
  if (!std::ranges::all_of(sockets_, serving)) tick_soon();
}

void WorkerListeners::tick_soon() {
  if (!tick_.armed()) io_.arm(tick_, io_.now() + kTick);
}

}  // namespace shunt::app
