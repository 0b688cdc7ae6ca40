// The WebSocket clients of the benchmark: each sends a message, waits until the same comes back,
// and sends the next. One thread, one epoll. Prints one line of JSON with the keys of load.lua; a
// message that comes back changed, or a connection that ends, is an error that ends the run.
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "loopback.h"
#include "websocket.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kEventsPerTurn = 256;

struct Options {
  uint16_t port = 0;
  uint32_t connections = 0;
  uint32_t seconds = 0;
  uint32_t bytes = 0;  // Of a message.
};

[[noreturn]] void give_up(const char* why) {
  std::fprintf(stderr, "websocket_load: %s\n", why);
  std::exit(EXIT_FAILURE);
}

// What all clients have in common.
struct Load {
  explicit Load(size_t size) {
    std::string payload;
    for (size_t i = 0; i < size; ++i) payload += static_cast<char>('a' + i % 26);
    bench::append_frame_head(answer, size, false);
    answer += payload;
    bench::append_frame_head(message, size, true);
    message += payload;
    bench::mask_payload(message.data() + message.size() - size, size, bench::kMask);
  }

  std::string message;  // As sent…
  std::string answer;   // …and as it must come back.
  std::vector<uint32_t> round_trips_us;
  uint64_t bytes = 0;  // Received.
};

class Client {
 public:
  Client(Load& load, uint16_t port) : load_(load), fd_(bench::connect_loopback(port)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { close(fd_); }

  int fd() const { return fd_; }

  // Waits for the agreement; the clients open one after the other.
  void open(uint16_t port) {
    const std::string request =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: " +
        std::string(bench::kWebSocketKey) + "\r\n\r\n";
    if (send(fd_, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size()))
      bench::fail("send");
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) {
      char part[1024];
      await_bytes();
      const ssize_t count = recv(fd_, part, sizeof part, 0);
      if (count == 0) give_up("the connection was closed instead of opened");
      if (count < 0 && !bench::would_block()) bench::fail("recv");
      if (count > 0) head.append(part, static_cast<size_t>(count));
    }
    if (!head.starts_with("HTTP/1.1 101 ")) give_up("no 101");
    if (head.find(bench::kWebSocketAccept) == std::string::npos) give_up("no accept");
    if (!head.ends_with("\r\n\r\n")) give_up("bytes behind the agreement");
  }

  void begin(Clock::time_point now) {
    begun_ = now;
    sent_ = 0;
    received_ = 0;
    push();
  }

  // After an edge. True: the message has come back.
  bool advance() {
    push();
    while (received_ < load_.answer.size()) {
      static std::array<char, bench::kMessageMax + 16> buffer;
      const ssize_t count = recv(fd_, buffer.data(), load_.answer.size() - received_, 0);
      if (count == 0) give_up("a connection was closed");
      if (count < 0 && bench::would_block()) return false;
      if (count < 0) bench::fail("recv");
      const auto size = static_cast<size_t>(count);
      if (std::memcmp(buffer.data(), load_.answer.data() + received_, size) != 0)
        give_up("a message came back changed");
      received_ += size;
      load_.bytes += size;
    }
    return true;
  }

  void note(Clock::time_point now) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - begun_);
    load_.round_trips_us.push_back(static_cast<uint32_t>(took.count()));
  }

 private:
  void push() {
    while (sent_ < load_.message.size()) {
      const ssize_t count =
          send(fd_, load_.message.data() + sent_, load_.message.size() - sent_, MSG_NOSIGNAL);
      if (count < 0 && bench::would_block()) return;
      if (count < 0) bench::fail("send");
      sent_ += static_cast<size_t>(count);
    }
  }

  void await_bytes() const {
    constexpr int kLongestMs = 10'000;
    pollfd waited{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&waited, 1, kLongestMs) == 0) give_up("no answer within 10 s");
  }

  Load& load_;
  const int fd_;
  Clock::time_point begun_;
  size_t sent_ = 0;
  size_t received_ = 0;
};

// Until the time is over; how long that was.
Clock::duration run(const Options& options, Load& load) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) bench::fail("epoll_create1");
  std::vector<std::unique_ptr<Client>> clients;
  for (uint32_t i = 0; i < options.connections; ++i) {
    clients.push_back(std::make_unique<Client>(load, options.port));
    clients.back()->open(options.port);
    bench::watch(epoll, clients.back()->fd(), {.ptr = clients.back().get()});
  }
  const Clock::time_point begun = Clock::now();
  const Clock::time_point end = begun + std::chrono::seconds(options.seconds);
  for (const auto& client : clients) client->begin(begun);
  std::array<epoll_event, kEventsPerTurn> events;
  Clock::time_point now = begun;
  while (now < end) {
    const int count = epoll_wait(epoll, events.data(), kEventsPerTurn, 100);
    if (count < 0 && errno != EINTR) bench::fail("epoll_wait");
    now = Clock::now();
    for (int i = 0; i < count; ++i) {
      auto& client = *static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr);
      if (!client.advance()) continue;
      client.note(now);
      client.begin(now);
    }
  }
  close(epoll);
  return now - begun;
}

uint32_t percentile(std::vector<uint32_t>& times, size_t percent) {
  const size_t at = times.size() * percent / 100;
  std::ranges::nth_element(times, times.begin() + static_cast<ptrdiff_t>(at));
  return times[at];
}

bool read_number(std::string_view text, uint32_t most, uint32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out > 0 && out <= most;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  const auto port = count == 5 ? bench::parse_port(arguments[1]) : std::nullopt;
  if (!port || !read_number(arguments[2], 10'000, options.connections) ||
      !read_number(arguments[3], 3'600, options.seconds) ||
      !read_number(arguments[4], bench::kMessageMax, options.bytes)) {
    std::fputs("usage: websocket_load PORT CONNECTIONS SECONDS BYTES\n", stderr);
    return 2;
  }
  options.port = *port;
  Load load(options.bytes);
  const auto took = run(options, load);
  if (load.round_trips_us.empty()) give_up("no message came back");
  std::printf(
      "BENCH {\"duration_us\": %lld, \"requests\": %zu, \"bytes\": %llu, \"p50_us\": %u, "
      "\"p99_us\": %u, \"connect\": 0, \"read\": 0, \"write\": 0, \"timeout\": 0, \"status\": 0}\n",
      static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()),
      load.round_trips_us.size(), static_cast<unsigned long long>(load.bytes),
      percentile(load.round_trips_us, 50), percentile(load.round_trips_us, 99));
  return 0;
}
