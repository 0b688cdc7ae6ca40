// What only the loop on epoll has: descriptors registered once, readiness that is remembered, and
// numbers of descriptors that come back for others.
#include "io/epoll_io.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <deque>

#include "loop_fixture.h"

namespace shunt::io {
namespace {

using namespace std::chrono_literals;

struct EpollFixture : LoopFixture {
  EpollFixture() : LoopFixture(config::EventLoop::kEpoll) {}
  const EpollCounters& counters() const { return static_cast<EpollIo&>(*io).counters(); }
  void receive(TestRecv& recv, Fd fd) {
    recv.results.clear();
    io->recv(recv, fd);
    run_until([&] { return recv.done(); });
  }
};

BOOST_AUTO_TEST_SUITE(epoll_io)

BOOST_FIXTURE_TEST_CASE(one_registration_for_many_receives, EpollFixture) {
  const auto [client, server] = tcp_pair();
  TestRecv recv;
  send(client, "x");
  receive(recv, server);
  io->release(recv.buffer);
  const uint64_t before = counters().registrations;
  for (int i = 0; i < 50; ++i) {
    send(client, "x");
    receive(recv, server);
    BOOST_TEST(recv.results[0] == 1);
    io->release(recv.buffer);
  }
  BOOST_TEST(counters().registrations == before);
  io->close(client);
  io->close(server);
}

// An edge comes once: what a receive leaves behind, and an end that came together with the bytes,
// must be found without another.
BOOST_FIXTURE_TEST_CASE(rest_and_end_are_remembered, EpollFixture) {
  const auto [client, server] = tcp_pair();
  TestRecv recv;
  io->recv(recv, server);
  turn();
  const std::string much(10'000, 'm');
  BOOST_TEST(send(client, much) == 10'000);
  io->shutdown_write(client);
  size_t received = 0;
  run_until([&] { return recv.done(); });
  while (recv.results[0] > 0) {
    received += static_cast<size_t>(recv.results[0]);
    io->release(recv.buffer);
    receive(recv, server);
  }
  BOOST_TEST(recv.results[0] == 0);
  BOOST_TEST(received == much.size());
  io->close(client);
  io->close(server);
}

// Whoever reads without a receive uses up what the loop remembers, whole or in part.
BOOST_FIXTURE_TEST_CASE(calls_use_up_readiness, EpollFixture) {
  const auto [client, server] = tcp_pair();
  TestOp poll;
  io->poll(poll, server, POLLIN | POLLRDHUP);
  send(client, "two");
  run_until([&] { return poll.done(); });
  BOOST_TEST(poll.results[0] == POLLIN);

  char byte;
  BOOST_TEST(io->recv_now(server, &byte, 1, false) == 1);
  io->poll(poll, server, POLLIN);  // There is more.
  run_until([&] { return poll.results.size() == 2; });
  char rest[2];
  BOOST_TEST(io->recv_now(server, rest, 2, false) == 2);
  io->poll(poll, server, POLLIN);  // Now there is not, although no call had to wait.
  turn(10);
  BOOST_TEST(poll.results.size() == 2u);
  send(client, "x");
  run_until([&] { return poll.results.size() == 3; });
  BOOST_TEST(io->recv_now(server, &byte, 1, false) == 1);
  BOOST_TEST(io->recv_now(server, &byte, 1, false) == -EAGAIN);
  TestRecv recv;
  io->recv(recv, server);
  turn(10);
  BOOST_TEST(!recv.done());
  io->cancel(recv);
  run_until([&] { return recv.done(); });
  io->close(client);
  io->close(server);
}

// A full socket: room is told once, when there is some.
BOOST_FIXTURE_TEST_CASE(room_comes_back, EpollFixture) {
  const auto [client, server] = tcp_pair();
  const std::string much(1 << 20, 'm');
  uint64_t sent = 0;
  for (int64_t now; (now = send(client, much)) > 0;) sent += static_cast<uint64_t>(now);
  TestOp room;
  io->poll(room, client, POLLOUT);
  turn(10);
  BOOST_TEST(!room.done());
  std::string sink(1 << 20, 0);
  uint64_t received = 0;
  run_until([&] {
    int64_t now;
    while ((now = io->recv_now(server, sink.data(), sink.size(), false)) > 0)
      received += static_cast<uint64_t>(now);
    return room.done();
  });
  BOOST_TEST(room.results[0] == POLLOUT);
  BOOST_TEST(send(client, "more") == 4);
  io->poll(room, client, POLLOUT);  // Still room, which is no news.
  run_until([&] { return room.results.size() == 2; });
  io->close(client);
  io->close(server);
}

// The number of a closed descriptor goes to the next one: nothing of the old one sticks to it,
// whoever closed it.
BOOST_FIXTURE_TEST_CASE(numbers_are_used_again, EpollFixture) {
  for (const bool by_loop : {true, false}) {
    for (int i = 0; i < 20; ++i) {
      const auto [client, server] = tcp_pair();
      TestRecv recv;
      io->recv(recv, server);
      turn(1);
      BOOST_TEST(!recv.done());
      send(client, "bytes and an end, both unread at the close of the server's side");
      io->shutdown_write(client);
      run_until([&] { return recv.done(); });
      BOOST_TEST(recv.results[0] > 40);
      io->release(recv.buffer);
      for (const Fd fd : {client, server}) by_loop ? io->close(fd) : void(::close(fd));
    }
  }
}

// A connection that one loop accepted and another serves: the first keeps nothing of it, so that
// its number may be anybody's afterwards.
BOOST_FIXTURE_TEST_CASE(connection_served_by_another_loop, EpollFixture) {
  LoopFixture other(config::EventLoop::kEpoll);
  const auto [client, server] = tcp_pair();
  TestRecv recv;
  for (size_t i = 1; i <= 3; ++i) {
    other.io->recv(recv, server);
    other.turn(1);
    send(client, "x");
    other.run_until([&] { return recv.results.size() == i; });
    other.io->release(recv.buffer);
  }
  BOOST_TEST(static_cast<EpollIo&>(*other.io).counters().registrations == 1u);
  other.io->close(server);
  const Fd event = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  BOOST_REQUIRE(::dup3(event, server, O_CLOEXEC) == server);
  TestOp poll;
  io->poll(poll, server, POLLIN);
  run_until([&] { return poll.done(); });
  for (const Fd fd : {client, server, event}) io->close(fd);
}

// Descriptors of others are looked at anew each time, and left alone meanwhile.
BOOST_FIXTURE_TEST_CASE(foreign_descriptors, EpollFixture) {
  const Fd event = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  TestOp poll;
  for (size_t i = 1; i <= 3; ++i) {
    io->poll(poll, event, POLLIN);
    run_until([&] { return poll.results.size() == i; });
  }
  uint64_t count;
  BOOST_TEST(::read(event, &count, sizeof count) == 8);  // Behind the loop's back.
  io->poll(poll, event, POLLIN);
  turn(10);
  BOOST_TEST(poll.results.size() == 3u);

  TestOp
      room;  // Waits for something else on the same descriptor, and does not keep the loop awake.
  io->poll(room, event, POLLOUT);
  run_until([&] { return room.done(); });
  const Instant begin = io->now();
  io->run_once(20ms);
  BOOST_TEST((io->now() - begin >= 19ms));
  io->cancel(poll);
  run_until([&] { return !poll.submitted; });
  BOOST_TEST(poll.results.back() == -ECANCELED);
  ::close(event);

  const Fd next = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  BOOST_TEST(next == event);
  io->poll(poll, next, POLLIN);
  run_until([&] { return !poll.submitted; });
  BOOST_TEST(poll.results.back() == POLLIN);
  ::close(next);
}

// Many clients at once: all are accepted, and one accept does not keep others from their turn.
BOOST_FIXTURE_TEST_CASE(accept_takes_all_and_can_be_cancelled_within, EpollFixture) {
  struct Acceptor {
    EventLoop& io;
    Op op;
    size_t stop_at;
    std::vector<int32_t> results;
    void on_done(int32_t result) {
      results.push_back(result);
      if (results.size() == stop_at) io.cancel(op);
    }
  } acceptor{.io = *io, .op = {}, .stop_at = 150, .results = {}};
  bind<&Acceptor::on_done>(acceptor.op, acceptor);
  SocketAddress address = *SocketAddress::parse("127.0.0.1:0");
  const Fd listener = listen(address);
  std::deque<TestOp> connects(200);
  std::vector<Fd> fds;
  for (TestOp& connect : connects) {
    fds.push_back(io->open_socket(address));
    io->connect(connect, fds.back(), address);
  }
  run_until([&] { return io->in_flight() == 0; });
  io->accept(acceptor.op, listener);
  io->run_once(100ms);
  BOOST_TEST(acceptor.results.size() < 150u);  // Others have their turn.
  run_until([&] { return !acceptor.op.submitted; });
  BOOST_TEST(acceptor.results.size() == 151u);
  BOOST_TEST(acceptor.results.back() == -ECANCELED);
  acceptor.results.pop_back();
  acceptor.stop_at = SIZE_MAX;
  io->accept(acceptor.op, listener);
  run_until([&] { return acceptor.results.size() == connects.size(); });
  io->cancel(acceptor.op);
  run_until([&] { return !acceptor.op.submitted; });
  acceptor.results.pop_back();
  for (const int32_t fd : acceptor.results) io->close(fd);
  for (const Fd fd : fds) io->close(fd);
  io->close(listener);
}

// A unix socket's accept queue has many descriptors: each loop accepts on its own.
BOOST_FIXTURE_TEST_CASE(shared_accept_queue, EpollFixture) {
  SocketAddress address =
      *SocketAddress::parse("unix:@shunt-epoll-test-" + std::to_string(::getpid()));
  const Fd listener = *open_listener(address, {});
  LoopFixture other(config::EventLoop::kEpoll);
  const Fd copy = ::fcntl(listener, F_DUPFD_CLOEXEC, 0);
  TestOp here, there;
  io->accept(here, listener);
  other.io->accept(there, copy);
  std::vector<Fd> clients;
  for (size_t i = 1; i <= 10; ++i) {
    clients.push_back(io->open_socket(address));
    TestOp connect;
    io->connect(connect, clients.back(), address);
    run_until([&] {
      other.io->run_once(0ms);
      return connect.done() && here.results.size() + there.results.size() == i;
    });
    BOOST_TEST(connect.results[0] == 0);
  }
  io->cancel(here);
  run_until([&] { return !here.submitted; });
  here.results.pop_back();
  io->close(listener);
  clients.push_back(io->open_socket(address));
  TestOp connect;
  io->connect(connect, clients.back(), address);
  run_until([&] { return connect.done(); });
  const size_t before = there.results.size();
  other.run_until([&] { return there.results.size() == before + 1; });
  other.io->cancel(there);
  other.run_until([&] { return !there.submitted; });
  there.results.pop_back();
  for (const int32_t fd : here.results) io->close(fd);
  for (const int32_t fd : there.results) other.io->close(fd);
  for (const Fd fd : clients) io->close(fd);
  other.io->close(copy);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
