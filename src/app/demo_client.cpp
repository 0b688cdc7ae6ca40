// Visitors take the next request off a shared counter, so that both rounds of the demo send the
// same ones in the same order.
#include "app/demo_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

#include "app/demo_http.h"

namespace shunt::app {
namespace {

constexpr size_t kVisitors = 8;
constexpr timeval kPatience{.tv_sec = 10, .tv_usec = 0};

// One visitor's connection, opened anew when it is gone.
class Visitor {
 public:
  explicit Visitor(uint16_t port) : port_(port) {}
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;
  ~Visitor() { hang_up(); }

  DemoAnswer ask(const DemoRequest& request) {
    const auto begun = std::chrono::steady_clock::now();
    DemoAnswer answer;
    if (!connect()) return answer;
    const std::string text = fmt::format(
        "GET {} HTTP/1.1\r\nHost: demo\r\nUser-Agent: shunt-demo\r\n\r\n", request.target);
    const auto head = demo_send(fd_, text) ? reader_->head() : std::nullopt;
    if (!head || !reader_->skip_body(*head)) {
      hang_up();
      return answer;
    }
    answer.latency = std::chrono::steady_clock::now() - begun;
    answer.fine = head->starts_with("HTTP/1.1 200 ");
    answer.cache_hit = demo_field(*head, "x-cache") == "hit";
    answer.server = demo_field(*head, "x-server");
    if (demo_field(*head, "connection") == "close") hang_up();
    return answer;
  }

 private:
  bool connect() {
    if (fd_ >= 0) return true;
    fd_ = demo_connect(port_);
    if (fd_ < 0) return false;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    reader_.emplace(fd_);
    return true;
  }

  void hang_up() {
    reader_.reset();
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  const uint16_t port_;
  int fd_ = -1;
  std::optional<DemoReader> reader_;
};

}  // namespace

std::vector<DemoAnswer> send_demo_requests(uint16_t port, std::span<const DemoRequest> requests) {
  std::vector<DemoAnswer> answers(requests.size());
  std::atomic<size_t> next{0};
  const auto visit = [&] {
    Visitor visitor(port);
    while (true) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= requests.size()) return;
      answers[i] = visitor.ask(requests[i]);
    }
  };
  std::vector<std::thread> visitors;
  for (size_t i = 0; i < kVisitors; ++i) visitors.emplace_back(visit);
  for (std::thread& visitor : visitors) visitor.join();
  return answers;
}

}  // namespace shunt::app
