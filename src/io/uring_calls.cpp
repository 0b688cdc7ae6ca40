// The calls of UringIo that do not wait: plain system calls, each with its errno as the result.
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/assert.h"
#include "io/uring_io.h"

namespace shunt::io {
namespace {

constexpr int kPipeBytes = 256 * 1024;

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

Fd UringIo::open_socket(const SocketAddress& peer) {
  const Fd fd = ::socket(peer.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  if (peer.is_ip()) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

SocketAddress UringIo::peer_address(Fd fd) {
  return address_of(::getpeername, fd);
}

SocketAddress UringIo::local_address(Fd fd) {
  return address_of(::getsockname, fd);
}

int64_t UringIo::recv_now(Fd fd, void* data, size_t size, bool peek) {
  const int flags = MSG_DONTWAIT | (peek ? MSG_PEEK : 0);
  const int64_t result = result_of([&] { return ::recv(fd, data, size, flags); });
  // Without deferred task work (kernels before 6.1) any system call may let a submitted receive
  // take bytes out of the socket; who looks whether there are any finds its operation `arrived`.
  if (peek) collect();
  return result;
}

int64_t UringIo::send_now(Fd fd, std::span<const iovec> parts, bool more) {
  SHUNT_ASSERT(!parts.empty());
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0);
  if (parts.size() == 1)
    return result_of([&] { return ::send(fd, parts[0].iov_base, parts[0].iov_len, flags); });
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // Only read.
  message.msg_iovlen = std::min<size_t>(parts.size(), IOV_MAX);
  return result_of([&] { return ::sendmsg(fd, &message, flags); });
}

int UringIo::open_pipe(Fd (&ends)[2]) {
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -errno;
  // Refused when the user's pipes exceed /proc/sys/fs/pipe-user-pages-soft: a small one works too.
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return 0;
}

int64_t UringIo::splice_in(Fd socket, Fd pipe, size_t size) {
  return result_of([&] {
    return ::splice(socket, nullptr, pipe, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  });
}

int64_t UringIo::splice_out(Fd pipe, Fd socket, size_t size, bool more) {
  const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
  return result_of([&] { return ::splice(pipe, nullptr, socket, nullptr, size, flags); });
}

// Fails only when the connection is gone already, which its next call will tell.
void UringIo::shutdown_write(Fd fd) {
  ::shutdown(fd, SHUT_WR);
}

// Not repeated on EINTR: Linux has given the descriptor up by then.
void UringIo::close(Fd fd) {
  SHUNT_ASSERT(fd >= 0);
  const int result = ::close(fd);
  SHUNT_ASSERT(result == 0 || errno != EBADF);
}

void UringIo::close_reset(Fd fd) {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
}

}  // namespace shunt::io
