// The calls that do not wait are plain system calls, each with its errno as the result. See the
// header.
#include "io/event_loop.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/assert.h"
#include "io/epoll_io.h"
#include "io/uring_io.h"

namespace shunt::io {
namespace {

constexpr int kPipeBytes = 256 * 1024;

// Turns that timers wait for completions that are not dispatched yet: enough for a full completion
// queue of io_uring. Dispatch is in order of arrival, so whatever was there when a timer fell due
// has had its turn by then; under lasting overload timers fire that much later, but they do.
constexpr unsigned kTimersHeldMax = 16;

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

// Repeats `call` while signals interrupt it; its result, or the negative errno.
template <class Call>
int64_t result_of(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

template <class Name>
SocketAddress address_of(Name name, Fd fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (name(fd, address, &size) != 0) return {};
  return SocketAddress::from_sockaddr(address, size);
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create(const LoopChoice& choice,
                                                     const BufferOptions& buffers) {
  if (choice.uring) return UringIo::create(*choice.uring, {.buffers = buffers});
  return EpollIo::create({.buffers = buffers});
}

EventLoop::EventLoop() : now_(clock_now()), wheel_(now_) {}

// --- The turn ---

void EventLoop::begin(Op& op, OpKind kind, Fd fd) {
  SHUNT_ASSERT(!op.submitted);
  SHUNT_ASSERT(op.on_done != nullptr);
  SHUNT_ASSERT(fd >= 0);
  op.submitted = true;
  op.arrived = false;
  op.cancelled = false;
  op.kind = kind;
  op.fd = fd;
  ++in_flight_;
}

void EventLoop::finish(Op& op, int32_t result) {
  SHUNT_ASSERT(op.submitted);
  op.submitted = false;
  op.arrived = false;
  --in_flight_;
  op.on_done(op, result);
}

void EventLoop::fire_timers(bool left) {
  if (left && ++timers_held_ <= kTimersHeldMax) return;
  timers_held_ = 0;
  wheel_.advance(now_);
}

Duration EventLoop::time_to_wait(Duration longest) const {
  return std::clamp(wheel_.next() - now_, Duration::zero(), std::max(longest, Duration::zero()));
}

void EventLoop::read_clock() {
  now_ = clock_now();
}

bool EventLoop::concerns_one_connection(int32_t result) {
  return result >= 0 || result == -ECONNABORTED || result == -EPROTO || result == -EINTR;
}

void EventLoop::arm(Timer& timer, Instant deadline) {
  wheel_.arm(timer, deadline);
}

void EventLoop::cancel(Timer& timer) {
  wheel_.cancel(timer);
}

// --- Calls ---

Fd EventLoop::open_socket(const SocketAddress& peer) {
  const Fd fd = ::socket(peer.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  if (peer.is_ip()) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

SocketAddress EventLoop::peer_address(Fd fd) {
  return address_of(::getpeername, fd);
}

SocketAddress EventLoop::local_address(Fd fd) {
  return address_of(::getsockname, fd);
}

int64_t EventLoop::recv_now(Fd fd, void* data, size_t size, bool peek) {
  const int flags = MSG_DONTWAIT | (peek ? MSG_PEEK : 0);
  return result_of([&] { return ::recv(fd, data, size, flags); });
}

int64_t EventLoop::send_now(Fd fd, std::span<const iovec> parts, bool more) {
  SHUNT_ASSERT(!parts.empty());
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0);
  if (parts.size() == 1)
    return result_of([&] { return ::send(fd, parts[0].iov_base, parts[0].iov_len, flags); });
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // Only read.
  message.msg_iovlen = std::min<size_t>(parts.size(), IOV_MAX);
  return result_of([&] { return ::sendmsg(fd, &message, flags); });
}

int EventLoop::open_pipe(Fd (&ends)[2]) {
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -errno;
  // Refused when the user's pipes exceed /proc/sys/fs/pipe-user-pages-soft: a small one works too.
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return 0;
}

int64_t EventLoop::splice_in(Fd socket, Fd pipe, size_t size) {
  return result_of([&] {
    return ::splice(socket, nullptr, pipe, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  });
}

int64_t EventLoop::splice_out(Fd pipe, Fd socket, size_t size, bool more) {
  const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
  return result_of([&] { return ::splice(pipe, nullptr, socket, nullptr, size, flags); });
}

uint64_t EventLoop::unacknowledged(Fd fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
}

bool EventLoop::is_writable(Fd fd) {
  pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
  return result_of([&] { return ::poll(&one, 1, 0); }) != 0;
}

int EventLoop::encrypt_sends(Fd fd, std::span<const char> value) {
  if (::setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") != 0) return -errno;
  if (::setsockopt(fd, SOL_TLS, TLS_TX, value.data(), static_cast<socklen_t>(value.size())) != 0)
    return -errno;
  return 0;
}

int64_t EventLoop::send_record(Fd fd, uint8_t type, std::span<const char> bytes) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof type)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_TLS;
  header->cmsg_type = TLS_SET_RECORD_TYPE;
  header->cmsg_len = CMSG_LEN(sizeof type);
  std::memcpy(CMSG_DATA(header), &type, sizeof type);
  return result_of([&] { return ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

// Fails only when the connection is gone already, which its next call will tell.
void EventLoop::shutdown_write(Fd fd) {
  ::shutdown(fd, SHUT_WR);
}

// Not repeated on EINTR: Linux has given the descriptor up by then.
void EventLoop::close(Fd fd) {
  SHUNT_ASSERT(fd >= 0);
  const int result = ::close(fd);
  SHUNT_ASSERT(result == 0 || errno != EBADF);
}

void EventLoop::close_reset(Fd fd) {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
}

}  // namespace shunt::io
