// The origin of the benchmark: an HTTP/1.1 server that is cheap enough not to be what is measured.
// One thread, one epoll. Answers are built once per size and sent from memory; request bodies are
// dropped in the kernel.
//   GET /any/path?bytes=N     200 with N bytes (default 1024), the alphabet over and over
//   POST …                    reads the body whole (Content-Length), then the same
//   …?bytes=N&linger          says "Connection: close" but leaves the closing to the client (see
//   bare_relay)
// It trusts its client, the proxy under test: not a server for anything else.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "loopback.h"

namespace {

constexpr size_t kReceiveSize = 64 * 1024;  // Also the longest request head.
constexpr size_t kBodySizeMax = 64 * 1024 * 1024;
constexpr size_t kDropSize = 1024 * 1024;
constexpr int kEventsPerTurn = 256;

// What the origin wants to know of a request head.
struct Request {
  size_t answer_size = 1024;
  uint64_t body_size = 0;
  bool close = false;   // "Connection: close": the origin closes after the answer.
  bool linger = false;  // Say close, stay open.
  bool valid = true;
};

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(left, right, {}, lower, lower);
}

void read_target(std::string_view line, Request& request) {
  constexpr std::string_view kBytes = "bytes=";
  const size_t at = line.find(kBytes);
  if (at != std::string_view::npos) {
    const char* first = line.data() + at + kBytes.size();
    const auto [end, error] =
        std::from_chars(first, line.data() + line.size(), request.answer_size);
    request.valid = error == std::errc{} && request.answer_size <= kBodySizeMax;
  }
  request.linger = line.find("linger") != std::string_view::npos;
}

void read_field(std::string_view line, Request& request) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    request.valid = false;
    return;
  }
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (equal_ignoring_case(name, "content-length")) {
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), request.body_size);
    if (error != std::errc{}) request.valid = false;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    request.valid = false;  // Nobody here needs it: a proxy that sends it is misconfigured.
  } else if (equal_ignoring_case(name, "connection")) {
    request.close = equal_ignoring_case(value, "close");
  }
}

// `head` ends behind its last field's line end, before the empty line.
Request read_head(std::string_view head) {
  Request request;
  for (bool first = true; !head.empty(); first = false) {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    first ? read_target(line, request) : read_field(line, request);
  }
  return request;
}

// Whole answers, head and body in one piece, built at the first use.
class Answers {
 public:
  const std::string& get(const Request& request) {
    if (!request.valid) return refusal_;
    const bool says_close = request.close || request.linger;
    std::string& answer = answers_[{request.answer_size, says_close}];
    if (answer.empty()) answer = build(request.answer_size, says_close);
    return answer;
  }

 private:
  static std::string build(size_t size, bool says_close) {
    std::string answer =
        "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: ";
    answer += std::to_string(size) + (says_close ? "\r\nConnection: close" : "") + "\r\n\r\n";
    answer.reserve(answer.size() + size);
    for (size_t i = 0; i < size; ++i) answer += static_cast<char>('a' + i % 26);
    return answer;
  }

  std::map<std::pair<size_t, bool>, std::string> answers_;
  const std::string refusal_ =
      "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
};

// One connection: receive, read heads, drop bodies, answer in order. Alternates between reading and
// sending, so that a client that does not read does not get further requests read.
class Connection {
 public:
  Connection(int fd, Answers& answers) : fd_(fd), answers_(answers) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { close(fd_); }

  // Goes as far as the socket allows after an edge; false when the connection is over.
  bool advance(uint32_t events) {
    hung_up_ = bench::hung_up(events);
    drained_ = false;
    for (;;) {
      if (!send_rest()) return false;
      if (unsent_ > 0) return true;  // The socket is full: the next edge continues.
      if (closing_) return false;
      if (body_left_ == 0 && take_request()) continue;
      switch (receive()) {
        case Received::kSome:
          break;
        case Received::kNothing:
          return true;
        case Received::kEnd:
          return false;
      }
    }
  }

 private:
  enum class Received : uint8_t { kSome, kNothing, kEnd };

  bool send_rest() {
    if (unsent_ == 0) return true;
    const ssize_t sent =
        send(fd_, answer_->data() + answer_->size() - unsent_, unsent_, MSG_NOSIGNAL);
    if (sent < 0) return bench::would_block();
    unsent_ -= static_cast<size_t>(sent);
    return true;
  }

  void begin_answer() {
    answer_ = &answers_.get(request_);
    closing_ = !request_.valid || (request_.close && !request_.linger);
    unsent_ = answer_->size();
    in_request_ = false;
  }

  // Takes a finished body, or the next head, from what was received; true if there is now an answer
  // to send.
  bool take_request() {
    if (in_request_) {
      begin_answer();
      return true;
    }
    const size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    request_ = read_head(std::string_view(received_).substr(0, end + 2));
    in_request_ = true;
    const size_t body_here = std::min<uint64_t>(request_.body_size, received_.size() - end - 4);
    body_left_ = request_.valid ? request_.body_size - body_here : 0;
    received_.erase(0, end + 4 + body_here);
    if (body_left_ > 0) return false;
    begin_answer();
    return true;
  }

  // Receives more of a head, or drops more of a body: MSG_TRUNC makes TCP discard without a copy
  // (tcp(7)).
  Received receive() {
    if (drained_) return Received::kNothing;
    static std::array<char, kReceiveSize> buffer;
    const bool dropping = body_left_ > 0;
    const size_t wanted =
        dropping ? std::min<uint64_t>(body_left_, kDropSize) : buffer.size() - received_.size();
    const ssize_t count =
        dropping ? recv(fd_, nullptr, wanted, MSG_TRUNC) : recv(fd_, buffer.data(), wanted, 0);
    if (count == 0) return Received::kEnd;
    if (count < 0) return bench::would_block() ? Received::kNothing : Received::kEnd;
    const size_t size = static_cast<size_t>(count);
    drained_ = size < wanted && !hung_up_;
    if (dropping) {
      body_left_ -= size;
    } else {
      received_.append(buffer.data(), size);
    }
    return Received::kSome;
  }

  const int fd_;
  Answers& answers_;
  std::string received_;  // Bytes of heads not read yet.
  Request request_;
  bool in_request_ = false;  // A head was read and its answer not begun.
  uint64_t body_left_ = 0;
  const std::string* answer_ = nullptr;
  size_t unsent_ = 0;  // Bytes at the end of *answer_.
  bool closing_ = false;
  bool hung_up_ = false;  // The client will send no more than it has.
  bool drained_ = false;  // Everything there is was received; an edge will tell of more.
};

[[noreturn]] void serve(uint16_t port) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) bench::fail("epoll_create1");
  const int listener = bench::listen_loopback(port);
  bench::watch_listener(epoll, listener, {.ptr = nullptr});
  Answers answers;
  std::array<epoll_event, kEventsPerTurn> events;
  for (;;) {
    const int count = epoll_wait(epoll, events.data(), kEventsPerTurn, -1);
    if (count < 0 && errno != EINTR) bench::fail("epoll_wait");
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if (connection == nullptr) {
        for (int fd; (fd = bench::accept_client(listener)) >= 0;) {
          bench::watch(epoll, fd, {.ptr = new Connection(fd, answers)});  // Owned by the epoll set.
        }
      } else if (!connection->advance(events[static_cast<size_t>(i)].events)) {
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
    std::fputs("usage: origin --listen PORT\n", stderr);
    return 2;
  }
  serve(*port);
}
