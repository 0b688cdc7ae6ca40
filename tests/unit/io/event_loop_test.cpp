// Both event loops over real sockets: what completes, with what, and what happens when something
// runs out. What only one of them has is in uring_io_test.cpp and epoll_io_test.cpp.
#include "io/event_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <deque>
#include <set>

#include "io/buffer_ring.h"
#include "loop_fixture.h"

namespace shunt::io {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(event_loop)

LOOP_TEST(connection_from_accept_to_end) {
  const auto [client, server] = tcp_pair();
  TestRecv recv;
  io->recv(recv, server);
  BOOST_TEST(recv.submitted);
  turn();
  BOOST_TEST(!recv.done());

  BOOST_TEST(send(client, "hello") == 5);
  run_until([&] { return recv.done(); });
  BOOST_TEST(!recv.submitted);
  BOOST_TEST(recv.results[0] == 5);
  BOOST_TEST(bytes(recv.buffer) == "hello");
  BOOST_TEST(recv.buffer.capacity == 4096u);
  BOOST_TEST(io->buffers_held() == 1u);
  io->release(recv.buffer);
  BOOST_TEST(!recv.buffer);
  BOOST_TEST(io->buffers_held() == 0u);

  io->shutdown_write(client);
  io->recv(recv, server);
  run_until([&] { return !recv.submitted; });
  BOOST_TEST(recv.results.back() == 0);
  BOOST_TEST(!recv.buffer);
  BOOST_TEST(send(server, "bye") == 3);
  char reply[8];
  BOOST_TEST(io->recv_now(client, reply, sizeof reply, true) == 3);
  BOOST_TEST(io->recv_now(client, reply, sizeof reply, false) == 3);
  BOOST_TEST(io->recv_now(client, reply, sizeof reply, false) == -EAGAIN);
  io->close(client);
  io->close(server);
  BOOST_TEST(io->in_flight() == 0u);
}

LOOP_TEST(reset_is_seen_as_reset) {
  const auto [client, server] = tcp_pair();
  TestRecv recv;
  io->recv(recv, server);
  turn();
  io->close_reset(client);
  run_until([&] { return recv.done(); });
  BOOST_TEST(recv.results[0] == -ECONNRESET);
  BOOST_TEST(!recv.buffer);
  BOOST_TEST(send(server, "late") == -EPIPE);  // And no signal.
  io->close(server);
  BOOST_TEST(io->buffers_held() == 0u);
}

LOOP_TEST(refused_connect_says_so) {
  SocketAddress address = *SocketAddress::parse("127.0.0.1:0");
  io->close(listen(address));
  TestOp connect;
  const Fd fd = io->open_socket(address);
  io->connect(connect, fd, address);
  run_until([&] { return connect.done(); });
  BOOST_TEST(connect.results[0] == -ECONNREFUSED);
  io->close(fd);
}

LOOP_TEST(addresses_of_both_ends) {
  const auto [client, server] = tcp_pair();
  BOOST_TEST((io->peer_address(client) == io->local_address(server)));
  BOOST_TEST((io->peer_address(server) == io->local_address(client)));
  io->close(client);
  io->close_reset(server);
}

// Again from its own callback: each turn brings one, so that others get theirs.
LOOP_TEST(posted_operations_complete_in_the_next_turn) {
  struct Repeating : Op {
    Io* io;
    int32_t times = 0;
    void again(int32_t result) {
      if (++times < 3) io->post(*this, fd, result + 1);
      last = result;
    }
    int32_t last = 0;
  } op;
  op.io = io.get();
  bind<&Repeating::again>(op, op);
  const auto [client, server] = tcp_pair();
  io->post(op, server, 7);
  BOOST_TEST(op.submitted);
  BOOST_TEST(op.arrived);
  for (const int32_t times : {1, 2, 3}) {
    io->run_once(10s);  // Does not wait.
    BOOST_TEST(op.times == times);
    BOOST_TEST(op.last == 6 + times);
  }
  BOOST_TEST(!op.submitted);
  io->post(op, server, 1);
  io->cancel(op);  // Too late, as a cancel may be.
  run_until([&] { return !op.submitted; });
  io->close(client);
  io->close(server);
  BOOST_TEST(io->in_flight() == 0u);
}

LOOP_TEST(cancelled_operations_complete_as_such) {
  const auto [client, server] = tcp_pair();
  SocketAddress address = *SocketAddress::parse("127.0.0.1:0");
  const Fd listener = listen(address);
  TestRecv recv;
  TestOp poll;
  TestOp accept;
  io->recv(recv, server);
  io->poll(poll, client, POLLIN);
  io->accept(accept, listener);
  turn();
  BOOST_TEST(io->in_flight() == 3u);
  io->cancel(recv);
  io->cancel(recv);  // Twice is once.
  io->cancel(poll);
  io->cancel(accept);
  BOOST_TEST(!recv.done());  // Not from within the call.
  run_until([&] { return !recv.submitted && !poll.submitted && !accept.submitted; });
  for (const auto* results : {&recv.results, &poll.results, &accept.results}) {
    BOOST_TEST(results->size() == 1u);
    BOOST_TEST(results->front() == -ECANCELED);
  }
  io->cancel(poll);  // Nothing to cancel.
  turn();
  BOOST_TEST(poll.results.size() == 1u);
  for (const Fd fd : {client, server, listener}) io->close(fd);
}

LOOP_TEST(cancel_before_the_submission_and_reuse) {
  const auto [client, server] = tcp_pair();
  TestRecv recv;
  io->recv(recv, server);
  io->cancel(recv);
  run_until([&] { return recv.done(); });
  BOOST_TEST(recv.results[0] == -ECANCELED);
  // The cancel must not reach the next operation at the same address.
  io->recv(recv, server);
  send(client, "x");
  run_until([&] { return !recv.submitted; });
  BOOST_TEST(recv.results.back() == 1);
  io->release(recv.buffer);
  io->close(client);
  io->close(server);
}

LOOP_TEST(poll_reports_events_once) {
  const auto [a, b] = socket_pair();
  TestOp poll;
  io->poll(poll, a, POLLIN | POLLRDHUP);
  send(b, "x");
  run_until([&] { return poll.done(); });
  BOOST_TEST(poll.results[0] == POLLIN);
  BOOST_TEST(!poll.submitted);
  io->close(b);
  io->poll(poll, a, POLLRDHUP);
  run_until([&] { return !poll.submitted; });
  BOOST_TEST((poll.results[1] & (POLLRDHUP | POLLHUP)) == (POLLRDHUP | POLLHUP));
  io->close(a);
}

// No descriptor can be opened while it lives.
class DescriptorLimit {
 public:
  DescriptorLimit() : highest_(::dup(0)) {  // The lowest free one: all below are in use.
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low{static_cast<rlim_t>(highest_), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &low);
  }
  ~DescriptorLimit() {
    ::setrlimit(RLIMIT_NOFILE, &before_);
    ::close(highest_);
  }

 private:
  Fd highest_;
  rlimit before_{};
};

LOOP_TEST(accept_goes_on_and_pauses_without_descriptors) {
  SocketAddress address = *SocketAddress::parse("127.0.0.1:0");
  const Fd listener = listen(address);
  TestOp accept;
  std::deque<TestOp> connects(5);
  std::vector<Fd> clients;
  for (TestOp& connect : connects) {
    clients.push_back(io->open_socket(address));
    io->connect(connect, clients.back(), address);
  }
  run_until([&] { return std::ranges::all_of(connects, &TestOp::done); });
  {
    const DescriptorLimit limit;
    io->accept(accept, listener);
    run_until([&] { return accept.done(); });
  }
  BOOST_TEST(accept.results[0] == -EMFILE);
  BOOST_TEST(!accept.submitted);

  // The connections still wait in the listener's queue.
  accept.results.clear();
  io->accept(accept, listener);
  run_until([&] { return accept.results.size() == connects.size(); });
  BOOST_TEST(accept.submitted);
  for (const int32_t fd : accept.results) {
    BOOST_REQUIRE(fd >= 0);
    BOOST_TEST((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    io->close(fd);
  }
  io->cancel(accept);
  run_until([&] { return !accept.submitted; });
  for (const Fd fd : clients) io->close(fd);
  io->close(listener);
}

LOOP_TEST(gather_and_would_block) {
  const auto [a, b] = socket_pair();
  char one[] = "one ", two[] = "two";
  const iovec parts[] = {{one, 4}, {two, 3}};
  BOOST_TEST(io->send_now(a, parts, false) == 7);
  char got[16];
  BOOST_TEST(io->recv_now(b, got, sizeof got, false) == 7);
  BOOST_TEST(std::string_view(got, 7) == "one two");
  const std::string much(1 << 20, 'm');
  while (send(a, much) > 0) continue;
  BOOST_TEST(send(a, much) == -EAGAIN);
  TestOp writable;
  io->poll(writable, a, POLLOUT);
  turn();
  BOOST_TEST(!writable.done());
  std::string sink(1 << 20, 0);
  while (io->recv_now(b, sink.data(), sink.size(), false) > 0) continue;
  run_until([&] { return writable.done(); });
  BOOST_TEST(writable.results[0] == POLLOUT);
  io->close(a);
  io->close(b);
}

LOOP_TEST(timers_fire_in_time_and_bound_the_wait) {
  struct Owner {
    Timer timer;
    int fired = 0;
    void on_fire() { ++fired; }
  } soon, cancelled;
  bind<&Owner::on_fire>(soon.timer, soon);
  bind<&Owner::on_fire>(cancelled.timer, cancelled);
  const Instant begin = io->now();
  io->arm(soon.timer, begin + 20ms);
  io->arm(cancelled.timer, begin + 5ms);
  io->cancel(cancelled.timer);
  run_until([&] { return soon.fired > 0; });
  BOOST_TEST((io->now() - begin >= 20ms));
  BOOST_TEST((io->now() - begin < 200ms));
  BOOST_TEST(cancelled.fired == 0);
  turn();
  BOOST_TEST(soon.fired == 1);

  const Instant idle = io->now();
  io->run_once(10ms);
  BOOST_TEST((io->now() - idle >= 9ms));
  BOOST_TEST((io->now() - idle < 200ms));
}

BOOST_DATA_TEST_CASE(buffers_are_lent_until_none_is_left,
                     boost::unit_test::data::make(usable_loops()), kind) {
  LoopFixture loop(kLoops[kind], {.buffers_max = BufferSlabs::kSlab});
  std::vector<Buffer> taken;
  while (Buffer buffer = loop.io->take_buffer()) {
    BOOST_TEST(buffer.size == 0u);
    BOOST_TEST(buffer.capacity == 4096u);
    buffer.data[buffer.capacity - 1] = 'x';
    taken.push_back(buffer);
  }
  // The kernel keeps its own.
  const uint32_t posted = kLoops[kind] == config::EventLoop::kIoUring ? BufferRing::kPostedMin : 0;
  BOOST_TEST(taken.size() == BufferSlabs::kSlab - posted);
  BOOST_TEST(loop.io->buffers_held() == taken.size());
  loop.io->release(taken.back());
  BOOST_TEST(!taken.back());
  taken.back() = loop.io->take_buffer();
  BOOST_TEST(!!taken.back());
  for (Buffer& buffer : taken) loop.io->release(buffer);
  BOOST_TEST(loop.io->buffers_held() == 0u);
}

// 300 connections have data and 256 buffers exist: 44 wait, none is lost, none gets another's
// bytes.
BOOST_DATA_TEST_CASE(buffers_run_out_and_come_back, boost::unit_test::data::make(usable_loops()),
                     kind) {
  LoopFixture loop(kLoops[kind], {.buffer_size = 1024, .buffers_max = 256});
  constexpr size_t kCount = 300;
  std::vector<std::pair<Fd, Fd>> pairs;
  std::deque<TestRecv> receives(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    pairs.push_back(loop.socket_pair());
    loop.io->recv(receives[i], pairs[i].first);
    BOOST_REQUIRE(loop.send(pairs[i].second, std::to_string(i)) > 0);
  }
  const auto done = [&] { return std::ranges::count_if(receives, &TestRecv::done); };
  loop.run_until([&] { return done() == 256; });
  loop.turn(10);
  BOOST_TEST(done() == 256);
  BOOST_TEST(loop.io->buffers_held() == 256u);
  BOOST_TEST(loop.io->in_flight() == kCount - 256);

  // One that waits is cancelled; the others get what is given back.
  const auto waiting = std::ranges::find_if(receives, &TestRecv::submitted);
  loop.io->cancel(*waiting);
  loop.run_until([&] { return waiting->done(); });
  BOOST_TEST(waiting->results[0] == -ECANCELED);

  std::set<uint32_t> held;
  for (TestRecv& recv : receives)
    if (recv.buffer) held.insert(recv.buffer.id);
  BOOST_TEST(held.size() == 256u);
  for (size_t turns = 0; turns < kCount; ++turns) {
    const auto full = std::ranges::find_if(receives, [](auto& recv) { return bool(recv.buffer); });
    if (full == receives.end()) break;
    const auto index = static_cast<size_t>(full - receives.begin());
    BOOST_TEST(bytes(full->buffer) == std::to_string(index));
    loop.io->release(full->buffer);
    loop.turn(1);
  }
  loop.run_until([&] { return loop.io->in_flight() == 0; });
  for (size_t i = 0; i < kCount; ++i) {
    if (receives[i].buffer) {
      BOOST_TEST(bytes(receives[i].buffer) == std::to_string(i));
      loop.io->release(receives[i].buffer);
    }
    BOOST_TEST(receives[i].results.size() == 1u);
    ::close(pairs[i].first);
    ::close(pairs[i].second);
  }
  BOOST_TEST(loop.io->buffers_held() == 0u);
}

// A burst larger than the posted set: the loop posts more and serves all without a release.
LOOP_TEST(burst_beyond_the_posted_buffers) {
  constexpr size_t kCount = 700;
  std::vector<std::pair<Fd, Fd>> pairs;
  std::deque<TestRecv> receives(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    pairs.push_back(socket_pair());
    io->recv(receives[i], pairs[i].first);
    send(pairs[i].second, std::to_string(i));
  }
  run_until([&] { return io->in_flight() == 0; });
  for (size_t i = 0; i < kCount; ++i) {
    BOOST_TEST(bytes(receives[i].buffer) == std::to_string(i));
    io->release(receives[i].buffer);
    io->close(pairs[i].first);
    io->close(pairs[i].second);
  }
}

// More than the submission queue, the dispatch of one turn and the completion queue hold.
LOOP_TEST(queues_overflow_without_loss) {
  const Fd ready = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  std::deque<TestOp> polls(20'000);
  for (TestOp& poll : polls) io->poll(poll, ready, POLLIN);
  run_until([&] { return io->in_flight() == 0; });
  const bool once = std::ranges::all_of(
      polls, [](const TestOp& poll) { return poll.results == std::vector<int32_t>{POLLIN}; });
  BOOST_TEST(once);

  const Fd silent = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  for (TestOp& poll : polls) io->poll(poll, silent, POLLIN);
  for (TestOp& poll : polls) io->cancel(poll);
  run_until([&] { return io->in_flight() == 0; });
  const bool cancelled = std::ranges::all_of(
      polls, [](const TestOp& poll) { return poll.results.back() == -ECANCELED; });
  BOOST_TEST(cancelled);
  io->close(ready);
  io->close(silent);
}

// A receive whose bytes have left the socket says so before its callback: to callbacks of the same
// turn, and while it waits for a buffer.
LOOP_TEST(arrived_is_known_before_the_dispatch) {
  struct Pair {
    RecvOp receives[2];
    std::vector<std::pair<bool, bool>> seen;  // {own, the other's} `arrived`, in each callback.
    void on_done(int32_t) {
      const size_t own = receives[0].submitted ? 1 : 0;
      if (seen.empty()) seen.emplace_back(receives[own].arrived, receives[1 - own].arrived);
    }
  } pair;
  const auto [a, a_end] = socket_pair();
  const auto [b, b_end] = socket_pair();
  for (RecvOp& op : pair.receives) bind<&Pair::on_done>(op, pair);
  io->recv(pair.receives[0], a);
  io->recv(pair.receives[1], b);
  turn();
  BOOST_TEST(!pair.receives[0].arrived);
  send(a_end, "one");
  send(b_end, "two");
  run_until([&] { return io->in_flight() == 0; });
  BOOST_REQUIRE(pair.seen.size() == 1u);
  BOOST_TEST(!pair.seen[0].first);
  BOOST_TEST(pair.seen[0].second);
  for (RecvOp& op : pair.receives) {
    BOOST_TEST(!op.arrived);
    io->release(op.buffer);
  }
  for (const Fd fd : {a, a_end, b, b_end}) io->close(fd);
}

// What has completed when a timer is due goes first, however much that is: an answer that came in
// time is not late.
LOOP_TEST(timers_wait_for_what_has_arrived) {
  struct Deadline {
    EventLoop& io;
    Timer timer;
    size_t left_when_fired = SIZE_MAX;
    void on_fire() { left_when_fired = io.in_flight(); }
  } deadline{.io = *io, .timer = {}};
  bind<&Deadline::on_fire>(deadline.timer, deadline);
  const Fd ready = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  std::deque<TestOp> polls(4'000);
  for (TestOp& poll : polls) io->poll(poll, ready, POLLIN);
  const Instant due = io->now() + 2ms;
  io->arm(deadline.timer, due);
  while (std::chrono::steady_clock::now() < due + 2ms) continue;
  run_until([&] { return deadline.left_when_fired != SIZE_MAX; });
  BOOST_TEST(deadline.left_when_fired == 0u);
  io->close(ready);
}

// …but not for ever, if more comes than is dispatched.
LOOP_TEST(timers_fire_under_lasting_overload) {
  struct Again {
    EventLoop* io;
    Fd fd;
    Op op;
    const bool* stop;
    void on_done(int32_t) {
      if (!*stop) io->poll(op, fd, POLLIN);
    }
  };
  struct Stop {
    Timer timer;
    bool fired = false;
    void on_fire() { fired = true; }
  } stop;
  bind<&Stop::on_fire>(stop.timer, stop);
  const Fd ready = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
  std::deque<Again> chains(2'000);
  for (Again& chain : chains) {
    chain = {io.get(), ready, {}, &stop.fired};
    bind<&Again::on_done>(chain.op, chain);
    io->poll(chain.op, ready, POLLIN);
  }
  const Instant due = io->now() + 2ms;
  io->arm(stop.timer, due);
  while (std::chrono::steady_clock::now() < due + 2ms) continue;
  turns = 0;
  run_until([&] { return stop.fired; });
  BOOST_TEST(turns > 1u);
  BOOST_TEST(turns <= 20u);
  run_until([&] { return io->in_flight() == 0; });
  io->close(ready);
}

// What a callback starts is not completed within it, and dispatch order is arrival order.
LOOP_TEST(callbacks_start_operations) {
  struct Chain {
    EventLoop& io;
    Fd fd;
    Op op;
    int left = 1000;
    bool inside = false;
    void on_done(int32_t) {
      BOOST_REQUIRE(!inside);
      inside = true;
      if (--left > 0) io.poll(op, fd, POLLIN);
      inside = false;
    }
  } chain{.io = *io, .fd = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), .op = {}};
  bind<&Chain::on_done>(chain.op, chain);
  io->poll(chain.op, chain.fd, POLLIN);
  run_until([&] { return chain.left == 0; });
  io->close(chain.fd);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
