// The WebSocket server of the benchmark: agrees to every upgrade and sends each message back,
// unmasked. One thread, one epoll. It trusts its client, the proxy under test: not a server for
// anything else.
#include <algorithm>
#include <array>
#include <string>

#include "loopback.h"
#include "websocket.h"

namespace {

constexpr int kEventsPerTurn = 256;
constexpr size_t kReceiveSize = 128 * 1024;

const std::string kAgreed =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: " +
    std::string(bench::kWebSocketAccept) + "\r\n\r\n";
const std::string kRefused =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(fd_); }

  // Goes as far as the socket allows after an edge; false when the connection is over.
  bool advance() {
    static std::array<char, kReceiveSize> buffer;
    for (;;) {
      if (!send_rest()) return false;
      if (!unsent_.empty()) return true;
      const ssize_t count = recv(fd_, buffer.data(), buffer.size(), 0);
      if (count == 0) return false;
      if (count < 0) return bench::would_block();
      received_.append(buffer.data(), static_cast<size_t>(count));
      if (!(open_ ? echo() : agree())) return false;
    }
  }

 private:
  bool send_rest() {
    if (unsent_.empty()) return true;
    const ssize_t sent = send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0) return bench::would_block();
    unsent_.erase(0, static_cast<size_t>(sent));
    return true;
  }

  // The request that opens it, whose key must have come through.
  bool agree() {
    const size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return received_.size() < kReceiveSize;
    open_ = std::string_view(received_).substr(0, end).find(bench::kWebSocketKey) !=
            std::string_view::npos;
    unsent_ = open_ ? kAgreed : kRefused;
    received_.erase(0, end + 4);
    return echo();
  }

  bool echo() {
    size_t used = 0;
    for (;;) {
      const std::string_view rest = std::string_view(received_).substr(used);
      const bench::FrameHead head = bench::read_frame_head(rest);
      if (!head.valid) return false;
      if (head.size == 0 || rest.size() < head.size + head.payload) break;
      bench::append_frame_head(unsent_, head.payload, false);
      unsent_ += rest.substr(head.size, head.payload);
      bench::mask_payload(unsent_.data() + unsent_.size() - head.payload, head.payload, head.mask);
      used += head.size + head.payload;
    }
    received_.erase(0, used);
    return true;
  }

  const int fd_;
  bool open_ = false;
  std::string received_;  // Not used yet.
  std::string unsent_;
};

[[noreturn]] void serve(uint16_t port) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) bench::fail("epoll_create1");
  const int listener = bench::listen_loopback(port);
  bench::watch_listener(epoll, listener, {.ptr = nullptr});
  std::array<epoll_event, kEventsPerTurn> events;
  for (;;) {
    const int count = epoll_wait(epoll, events.data(), kEventsPerTurn, -1);
    if (count < 0 && errno != EINTR) bench::fail("epoll_wait");
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if (connection == nullptr) {
        for (int fd; (fd = bench::accept_client(listener)) >= 0;)
          bench::watch(epoll, fd, {.ptr = new Connection(fd)});  // Owned by the epoll set.
      } else if (!connection->advance()) {
        delete connection;  // One event per connection and turn: nothing else points to it.
      }
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const auto port = count == 3 && std::string_view(arguments[1]) == "--listen"
                        ? bench::parse_port(arguments[2])
                        : std::nullopt;
  if (!port) {
    std::fputs("usage: websocket_origin --listen PORT\n", stderr);
    return 2;
  }
  serve(*port);
}
