// What the tests of the real event loops share: a loop, operations that record what they get,
// connected sockets, and LOOP_TEST, which runs a test over each loop. Everything on loopback or
// socketpairs.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/event_loop.h"
#include "io/listener.h"

namespace shunt::io {

// An operation that records its completions.
template <class Base>
struct Recorded : Base {
  Recorded() { bind<&Recorded::record>(static_cast<Base&>(*this), *this); }
  Recorded(const Recorded&) = delete;
  Recorded& operator=(const Recorded&) = delete;
  void record(int32_t result) { results.push_back(result); }
  bool done() const { return !results.empty(); }
  std::vector<int32_t> results;
};
using TestOp = Recorded<Op>;
using TestRecv = Recorded<RecvOp>;

inline std::string_view bytes(const Buffer& buffer) {
  return {buffer.data, buffer.size};
}

// The message of a check is evaluated whether it fails or not.
template <class T>
std::string why(const Result<T>& result) {
  return result ? "" : result.error().text;
}

inline constexpr config::EventLoop kLoops[] = {config::EventLoop::kIoUring,
                                               config::EventLoop::kEpoll};

// Containers refuse io_uring by default; what needs it is left out there and said to be.
inline boost::test_tools::assertion_result io_uring_is_allowed(boost::unit_test::test_unit_id) {
  const auto features = probe();
  boost::test_tools::assertion_result result(features.has_value());
  result.message() << why(features);
  return result;
}

// Indices of kLoops.
inline std::vector<int> usable_loops() {
  return io_uring_is_allowed({}) ? std::vector{0, 1} : std::vector{1};
}

struct LoopFixture {
  explicit LoopFixture(config::EventLoop kind = config::EventLoop::kAuto,
                       const BufferOptions& buffers = {}) {
    auto choice = choose_loop(kind);
    BOOST_REQUIRE_MESSAGE(choice, why(choice));
    start(*choice, buffers);
  }

  void start(const LoopChoice& choice, const BufferOptions& buffers = {}) {
    auto created = EventLoop::create(choice, buffers);
    BOOST_REQUIRE_MESSAGE(created, why(created));
    io = std::move(*created);
  }

  // Turns the loop until `condition` holds; fails the test after two seconds.
  template <class Condition>
  void run_until(Condition condition) {
    const Instant end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (!condition()) {
      BOOST_REQUIRE_MESSAGE(std::chrono::steady_clock::now() < end, "waited too long");
      io->run_once(std::chrono::milliseconds(20));
      ++turns;
    }
  }
  void turn(int count = 3) {
    for (int i = 0; i < count; ++i) io->run_once(std::chrono::milliseconds(1));
  }

  int64_t send(Fd fd, std::string_view text) {
    const iovec part{const_cast<char*>(text.data()), text.size()};
    return io->send_now(fd, {&part, 1}, false);
  }

  std::pair<Fd, Fd> socket_pair() {
    int fds[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    return {fds[0], fds[1]};
  }

  Fd listen(SocketAddress& address, bool share_port = true) {
    auto listener = open_listener(address, {.share_port = share_port});
    BOOST_REQUIRE_MESSAGE(listener, why(listener));
    address = io->local_address(*listener);
    return *listener;
  }

  // A TCP connection over loopback: {client, server}.
  std::pair<Fd, Fd> tcp_pair() {
    SocketAddress address = *SocketAddress::parse("127.0.0.1:0");
    const Fd listener = listen(address);
    TestOp accepted;
    TestOp connected;
    const Fd client = io->open_socket(address);
    io->accept(accepted, listener);
    io->connect(connected, client, address);
    run_until([&] { return accepted.done() && connected.done(); });
    BOOST_REQUIRE(connected.results[0] == 0);
    BOOST_REQUIRE(accepted.results[0] >= 0);
    io->cancel(accepted);
    run_until([&] { return !accepted.submitted; });
    io->close(listener);
    return {client, accepted.results[0]};
  }

  std::unique_ptr<EventLoop> io;
  unsigned turns = 0;  // Made by run_until.
};

inline const char* name_of(config::EventLoop kind) {
  return kind == config::EventLoop::kEpoll ? "epoll" : "io_uring";
}

// A test that has to pass on every event loop; its body is that of a member of LoopFixture.
#define LOOP_TEST(name)                                                                 \
  struct name##_test : LoopFixture {                                                    \
    using LoopFixture::LoopFixture;                                                     \
    void run();                                                                         \
  };                                                                                    \
  BOOST_DATA_TEST_CASE(name, boost::unit_test::data::make(usable_loops()), loop) {      \
    BOOST_TEST_CONTEXT("on " << name_of(kLoops[loop])) name##_test(kLoops[loop]).run(); \
  }                                                                                     \
  void name##_test::run()

}  // namespace shunt::io
