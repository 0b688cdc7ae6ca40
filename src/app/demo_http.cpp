// Blocking sockets on the loopback interface. See the header.
#include "app/demo_http.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace shunt::app {
namespace {

constexpr size_t kHeadMax = 64 * 1024;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

}  // namespace

Result<DemoListener> demo_listen() {
  constexpr int kBacklog = 128;
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool listens = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::listen(fd, kBacklog) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (listens) return DemoListener{.fd = fd, .port = ntohs(address.sin_port)};
  const int error = errno;
  if (fd >= 0) ::close(fd);
  return fail(fmt::format("cannot listen on 127.0.0.1: {}", std::strerror(error)), error);
}

Result<uint16_t> demo_free_port() {
  const Result<DemoListener> listener = demo_listen();
  if (!listener) return std::unexpected(listener.error());
  ::close(listener->fd);
  return listener->port;
}

int demo_connect(uint16_t port) {
  const sockaddr_in address = loopback(port);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fd;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

bool demo_send(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string_view demo_target(std::string_view head) {
  const size_t begin = std::min(head.find(' '), head.size() - 1) + 1;
  return head.substr(begin, head.find(' ', begin) - begin);
}

std::string_view demo_field(std::string_view head, std::string_view name) {
  for (size_t line = head.find("\r\n"); line != std::string_view::npos;) {
    line += 2;
    const size_t end = head.find("\r\n", line);
    const std::string_view field = head.substr(line, end - line);
    const bool named = field.size() > name.size() && field[name.size()] == ':' &&
                       ::strncasecmp(field.data(), name.data(), name.size()) == 0;
    if (named) {
      const size_t value = field.find_first_not_of(" \t", name.size() + 1);
      return value == std::string_view::npos ? std::string_view() : field.substr(value);
    }
    line = end;
  }
  return {};
}

std::optional<std::string> DemoReader::head() {
  constexpr std::string_view kEnd = "\r\n\r\n";
  size_t end;
  while ((end = buffer_.find(kEnd)) == std::string::npos) {
    if (buffer_.size() > kHeadMax || !read_more()) return std::nullopt;
  }
  std::string head = buffer_.substr(0, end + kEnd.size());
  buffer_.erase(0, head.size());
  return head;
}

bool DemoReader::skip_body(std::string_view head) {
  if (!demo_field(head, "transfer-encoding").empty()) return false;
  const std::string_view length = demo_field(head, "content-length");
  size_t left = 0;
  std::from_chars(length.data(), length.data() + length.size(), left);
  while (buffer_.size() < left) {
    left -= buffer_.size();
    buffer_.clear();
    if (!read_more()) return false;
  }
  buffer_.erase(0, left);
  return true;
}

bool DemoReader::read_more() {
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t got = ::recv(fd_, chunk.data(), chunk.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    buffer_.append(chunk.data(), static_cast<size_t>(got));
    return true;
  }
}

}  // namespace shunt::app
