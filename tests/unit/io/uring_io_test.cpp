// What only the loop on io_uring has: rings of older kernels, a completion queue that overflows,
// buffers posted to the kernel.
#include "io/uring_io.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <deque>

#include "loop_fixture.h"

namespace shunt::io {
namespace {

struct UringFixture : LoopFixture {
  UringFixture() : LoopFixture(config::EventLoop::kIoUring) {}
};

BOOST_AUTO_TEST_SUITE(uring_io, *boost::unit_test::precondition(io_uring_is_allowed))

// The sets of flags for kernels before 6.1 work on newer ones too.
BOOST_FIXTURE_TEST_CASE(older_kernels_ring, UringFixture) {
  constexpr uint32_t kClamp = 1u << 4, kSubmitAll = 1u << 7, kCoop = 1u << 8, kSingle = 1u << 12;
  for (const uint32_t flags :
       {kClamp | kSubmitAll | kCoop | kSingle, kClamp | kSubmitAll | kCoop}) {
    BOOST_TEST_CONTEXT("flags " << flags) {
      io.reset();
      start({.uring = Features{.setup_flags = flags}});
      const auto [client, server] = tcp_pair();
      TestRecv recv;
      io->recv(recv, server);
      BOOST_TEST(send(client, "hello") == 5);
      run_until([&] { return recv.done(); });
      BOOST_TEST(bytes(recv.buffer) == "hello");
      io->release(recv.buffer);
      io->close(client);
      io->close(server);
    }
  }
}

// An accept that the kernel ended because the completion queue was full goes on by itself.
BOOST_FIXTURE_TEST_CASE(accept_survives_an_overflow, UringFixture) {
  SocketAddress address = *SocketAddress::parse("127.0.0.1:0");
  const Fd listener = listen(address);
  TestOp accept;
  io->accept(accept, listener);
  turn();
  const Fd ready = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  std::deque<TestOp> polls(12'000);
  std::deque<TestOp> connects(20);
  std::vector<Fd> clients;
  for (TestOp& poll : polls) io->poll(poll, ready, POLLIN);
  for (TestOp& connect : connects) {
    clients.push_back(io->open_socket(address));
    io->connect(connect, clients.back(), address);
  }
  run_until([&] { return accept.results.size() == connects.size(); });
  BOOST_TEST(static_cast<UringIo&>(*io).counters().overflows > 0u);
  BOOST_TEST(accept.submitted);
  run_until([&] { return io->in_flight() == 1; });
  io->cancel(accept);
  run_until([&] { return !accept.submitted; });
  BOOST_TEST(accept.results.back() == -ECANCELED);
  accept.results.pop_back();
  for (const Fd fd : accept.results) io->close(fd);
  for (const Fd fd : clients) io->close(fd);
  for (const Fd fd : {ready, listener}) io->close(fd);
}

// More receives with data than there are buffers: each that found none is counted, and tried again.
BOOST_AUTO_TEST_CASE(shortages_are_counted) {
  LoopFixture loop(config::EventLoop::kIoUring, {.buffer_size = 1024, .buffers_max = 256});
  std::vector<std::pair<Fd, Fd>> pairs;
  std::deque<TestRecv> receives(300);
  for (TestRecv& recv : receives) {
    pairs.push_back(loop.socket_pair());
    loop.io->recv(recv, pairs.back().first);
    loop.send(pairs.back().second, "x");
  }
  loop.run_until([&] { return loop.io->buffers_held() == 256; });
  loop.turn();
  BOOST_TEST(static_cast<UringIo&>(*loop.io).counters().shortages >= 44u);
  loop.run_until([&] {
    for (TestRecv& recv : receives)
      if (recv.buffer) loop.io->release(recv.buffer);
    return loop.io->in_flight() == 0;
  });
  for (TestRecv& recv : receives)
    if (recv.buffer) loop.io->release(recv.buffer);
  for (const auto& [a, b] : pairs) {
    loop.io->close(a);
    loop.io->close(b);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
