// Sockets on 127.0.0.1 for the benchmark's own programs (origin, bare_relay): listen, connect,
// accept, epoll. For single-threaded programs that a harness starts and stops: an unexpected error
// ends the process, loudly.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

namespace bench {

// Prints what failed and why (errno), then ends the process with exit code 1.
[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(EXIT_FAILURE);
}

// True if the last call, on a non-blocking descriptor, failed only because it would have to wait.
inline bool would_block() {
  return errno == EAGAIN;
}

// True if the events say that the peer closed or broke the connection; bytes may still be there.
inline bool hung_up(uint32_t events) {
  return (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
}

// A port, 1 to 65535, in decimal and nothing else.
inline std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

inline sockaddr_in loopback_address(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void send_at_once(int fd) {
  const int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY");
}

// A non-blocking listening socket on 127.0.0.1:port.
inline int listen_loopback(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) fail("SO_REUSEADDR");
  const sockaddr_in address = loopback_address(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (listen(fd, SOMAXCONN) != 0) fail("listen");
  return fd;
}

// The next client of `listener` as a non-blocking socket, or -1 if nobody waits.
inline int accept_client(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    send_at_once(fd);
  } else if (!would_block() && errno != ECONNABORTED) {
    fail("accept4");
  }
  return fd;
}

// A non-blocking socket connected to 127.0.0.1:port. Waits for the handshake: microseconds on
// loopback.
inline int connect_loopback(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const sockaddr_in address = loopback_address(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("connect");
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) fail("O_NONBLOCK");
  send_at_once(fd);
  return fd;
}

// Edge-triggered readiness of both directions: one epoll_ctl in a connection's life. Whoever uses
// it reads and writes until a call comes up short; and, once the connection hung up, to the end: no
// further edge will tell of that.
inline void watch(int epoll, int fd, epoll_data_t data) {
  epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, data};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// Level-triggered: a listener stays ready while somebody waits.
inline void watch_listener(int epoll, int fd, epoll_data_t data) {
  epoll_event event{EPOLLIN, data};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

}  // namespace bench
