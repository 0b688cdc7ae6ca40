// The simulation itself: that it behaves like Linux's TCP, keeps streams whole under every seed,
// repeats itself, and notices when the contract of the loop is broken.
#include "sim/sim_io.h"

#include <poll.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <optional>
#include <set>

#include "io/pipe_pool.h"

namespace shunt::sim {
namespace {

using namespace std::chrono_literals;
using io::Op;
using io::RecvOp;

BOOST_AUTO_TEST_SUITE(sim_io)

template <class Base>
struct Recorded : Base {
  Recorded() { bind<&Recorded::record>(static_cast<Base&>(*this), *this); }
  void record(int32_t result) { results.push_back(result); }
  std::vector<int32_t> results;
};

SocketAddress address(uint16_t port) {
  return {IpAddress::from_v4(0x0a000001), port};
}

int64_t send(SimIo& io, Fd fd, std::string_view text) {
  const iovec part{const_cast<char*>(text.data()), text.size()};
  return io.send_now(fd, {&part, 1}, false);
}

// A listener with one accepted client.
struct Connection {
  explicit Connection(const SimOptions& options = {})
      : io(options), listener(io.listen(address(80))) {
    client = &io.connect(listener);
    io.accept(accept, listener);
    BOOST_REQUIRE(io.run_until([&] { return !accept.results.empty(); }));
    BOOST_REQUIRE(accept.results[0] >= 0);
    fd = accept.results[0];
  }
  // Closes what this opened, and checks that nothing else is left.
  void finish(bool close_fd = true) {
    io.cancel(accept);
    BOOST_REQUIRE(io.run_until([&] { return !accept.submitted; }));
    io.close(listener);
    if (close_fd) io.close(fd);
    io.settle();
    io.check_clean();
  }
  SimIo io;
  Recorded<Op> accept;
  Fd listener;
  SimPeer* client = nullptr;
  Fd fd = -1;
};

BOOST_AUTO_TEST_CASE(calm_exchange) {
  Connection c;
  Recorded<RecvOp> recv;
  c.io.recv(recv, c.fd);
  c.io.settle();
  BOOST_TEST(recv.results.empty());
  c.client->send("hello");
  c.io.settle();
  BOOST_TEST(recv.results.back() == 5);
  BOOST_TEST(std::string_view(recv.buffer.data, recv.buffer.size) == "hello");
  c.io.release(recv.buffer);
  BOOST_TEST(send(c.io, c.fd, "world") == 5);
  c.client->finish();
  c.io.recv(recv, c.fd);
  c.io.settle();
  BOOST_TEST(c.client->take() == "world");
  BOOST_TEST(recv.results.back() == 0);
  BOOST_TEST(!c.client->ended());
  c.io.shutdown_write(c.fd);
  c.io.settle();
  BOOST_TEST(c.client->ended());
  BOOST_TEST(c.io.peer_address(c.fd).to_string() == c.client->address().to_string());
  c.finish();
  BOOST_TEST(!c.client->was_reset());
}

BOOST_AUTO_TEST_CASE(what_arrived_before_a_reset_can_be_read) {
  Connection c;
  c.client->send("last words");
  c.io.settle();
  c.client->reset();
  char data[16];
  BOOST_TEST(c.io.recv_now(c.fd, data, sizeof data) == 10);
  BOOST_TEST(c.io.recv_now(c.fd, data, sizeof data) == -ECONNRESET);
  BOOST_TEST(c.io.recv_now(c.fd, data, sizeof data) == 0);
  BOOST_TEST(send(c.io, c.fd, "x") == -EPIPE);
  Recorded<Op> poll;
  c.io.poll(poll, c.fd, POLLOUT);
  c.io.settle();
  BOOST_TEST((poll.results[0] & POLLHUP) != 0);
  c.finish();
}

BOOST_AUTO_TEST_CASE(closing_with_unread_bytes_resets_and_destroys_the_answer) {
  Connection c;
  c.client->pause();
  c.client->send("unread");
  c.io.settle();
  BOOST_TEST(send(c.io, c.fd, "answer") == 6);
  c.finish();
  c.client->resume();
  c.io.settle();
  BOOST_TEST(c.client->was_reset());
  BOOST_TEST(c.client->received().empty());
}

BOOST_AUTO_TEST_CASE(closing_cleanly_delivers_everything) {
  Connection c;
  c.client->pause();
  BOOST_TEST(send(c.io, c.fd, "answer") == 6);
  c.finish();
  BOOST_TEST(!c.client->over());
  c.client->resume();
  c.io.settle();
  BOOST_TEST(c.client->received() == "answer");
  BOOST_TEST(c.client->ended());
  // Data for the closed socket is answered by a reset.
  c.client->send("too late");
  c.io.settle();
  BOOST_TEST(c.client->was_reset());
}

BOOST_AUTO_TEST_CASE(sending_to_a_closed_peer_resets) {
  Connection c;
  c.client->close();
  c.io.settle();
  BOOST_TEST(send(c.io, c.fd, "x") == 1);
  c.io.settle();
  BOOST_TEST(send(c.io, c.fd, "x") == -EPIPE);  // After the end of stream it is EPIPE.
  BOOST_TEST(c.client->received().empty());
  c.finish();
}

BOOST_AUTO_TEST_CASE(slow_reader_pushes_back) {
  Connection c({.send_buffer = 1000});
  c.client->pause();
  const std::string much(3000, 'm');
  BOOST_TEST(send(c.io, c.fd, much) == 1000);
  BOOST_TEST(send(c.io, c.fd, much) == -EAGAIN);
  Recorded<Op> writable;
  c.io.poll(writable, c.fd, POLLOUT);
  c.io.settle();
  BOOST_TEST(writable.results.empty());
  c.client->slow_down(100, 10ms);
  c.client->resume();
  const Instant begin = c.io.now();
  BOOST_TEST(c.io.run_until([&] { return c.client->received().size() == 1000; }));
  BOOST_TEST((c.io.now() - begin == 90ms));
  BOOST_TEST(writable.results.size() == 1u);
  c.finish();
}

BOOST_AUTO_TEST_CASE(fast_sender_is_held_back) {
  Connection c({.receive_buffer = 1000});
  c.client->send(std::string(5000, 'x'));
  c.io.settle();
  BOOST_TEST(c.client->unsent() == 4000u);
  std::string data(5000, 0);
  BOOST_TEST(c.io.recv_now(c.fd, data.data(), data.size()) == 1000);
  c.io.settle();
  BOOST_TEST(c.client->unsent() == 3000u);
  c.io.close_reset(c.fd);
  BOOST_TEST(c.client->was_reset());
  c.finish(false);
}

BOOST_AUTO_TEST_CASE(receives_wait_for_buffers) {
  Connection c({.recv_size = 4, .buffers_max = 1});
  c.client->send("abcdefgh");
  Recorded<RecvOp> first;
  c.io.recv(first, c.fd);
  c.io.settle();
  BOOST_TEST(first.results.size() == 1u);
  Recorded<RecvOp> second;
  c.io.recv(second, c.fd);
  c.io.settle();
  BOOST_TEST(second.results.empty());
  c.io.release(first.buffer);
  c.io.settle();
  BOOST_TEST(std::string_view(second.buffer.data, second.buffer.size) == "efgh");
  c.io.release(second.buffer);
  c.finish();
}

BOOST_AUTO_TEST_CASE(connects_succeed_fail_and_hang) {
  SimIo io;
  int connected = 0;
  io.serve(address(1), [&](SimPeer& peer) {
    ++connected;
    peer.send("welcome");
  });
  io.black_hole(address(2));
  const SocketAddress served = address(1), silent = address(2), unknown = address(3);
  Recorded<Op> to_served, to_silent, to_unknown, unlucky;
  std::array<Fd, 4> fds;
  for (Fd& fd : fds) fd = io.open_socket(served);
  io.fail_connect(ENETUNREACH);
  io.connect(unlucky, fds[3], served);
  io.settle();
  BOOST_TEST(unlucky.results[0] == -ENETUNREACH);
  io.connect(to_served, fds[0], served);
  io.connect(to_silent, fds[1], silent);
  io.connect(to_unknown, fds[2], unknown);
  io.settle();
  BOOST_TEST(to_served.results[0] == 0);
  BOOST_TEST(connected == 1);
  BOOST_TEST(to_unknown.results[0] == -ECONNREFUSED);
  BOOST_TEST(to_silent.results.empty());
  char data[8];
  BOOST_TEST(io.recv_now(fds[0], data, sizeof data) == 7);
  io.cancel(to_silent);
  io.settle();
  BOOST_TEST(to_silent.results[0] == -ECANCELED);
  for (const Fd fd : fds) io.close(fd);
  io.check_clean();
}

BOOST_AUTO_TEST_CASE(accept_without_descriptors_ends_and_can_go_on) {
  Connection c({.descriptors_max = 2});  // The listener and the first client.
  c.io.connect(c.listener);
  c.io.settle();
  BOOST_TEST(c.accept.results.back() == -EMFILE);
  BOOST_TEST(!c.accept.submitted);
  c.io.close(c.fd);
  c.io.fail_accept(ENOBUFS);
  c.io.accept(c.accept, c.listener);
  c.io.settle();
  BOOST_TEST(c.accept.results.back() == -ENOBUFS);
  c.io.accept(c.accept, c.listener);
  c.io.settle();
  c.fd = c.accept.results.back();
  BOOST_TEST(c.fd >= 0);
  c.finish();
}

BOOST_AUTO_TEST_CASE(timers_follow_the_virtual_clock) {
  struct Owner {
    SimIo io;
    Timer timer;
    Instant fired{};
    void on_fire() { fired = io.now(); }
  } owner;
  bind<&Owner::on_fire>(owner.timer, owner);
  owner.io.arm(owner.timer, Instant(1h));
  owner.io.run_for(59min);
  BOOST_TEST((owner.fired == Instant{}));
  owner.io.run_for(2min);
  BOOST_TEST((owner.fired >= Instant(1h)));
  BOOST_TEST((owner.fired <= Instant(1h + 1ms)));
  BOOST_TEST((owner.io.now() == Instant(61min)));
}

// A relay between two connections, as simple as it can be right: copying, or through a pipe.
class Relay {
 public:
  Relay(SimIo& io, io::PipePool* pipes, Fd from, Fd to)
      : io_(io), pipes_(pipes), from_(from), to_(to) {
    bind<&Relay::on_recv>(recv_, *this);
    bind<&Relay::on_ready>(poll_, *this);
    if (pipes_ != nullptr) pipe_ = *pipes_->acquire();
    pull();
  }
  bool done() const { return done_; }

 private:
  void pull() {
    if (pipes_ == nullptr) return io_.recv(recv_, from_);
    for (;;) {
      const int64_t in = io_.splice_in(from_, pipe_.write, 1 << 20);
      if (in == 0) return end();
      if (in < 0) return io_.poll(poll_, from_, POLLIN);
      pipe_.bytes += static_cast<uint64_t>(in);
      if (!push()) return;
    }
  }
  // Whether all is out; if not, on_ready goes on.
  bool push() {
    while (pending() > 0) {
      const int64_t out =
          pipes_ != nullptr
              ? io_.splice_out(pipe_.read, to_, pipe_.bytes, true)
              : send(io_, to_, std::string_view(buffer_.data, buffer_.size).substr(sent_));
      if (out == -EAGAIN) {
        io_.poll(poll_, to_, POLLOUT);
        return false;
      }
      if (out <= 0) throw std::runtime_error("send failed");
      if (pipes_ != nullptr) pipe_.bytes -= static_cast<uint64_t>(out);
      sent_ += static_cast<size_t>(out);
    }
    return true;
  }
  size_t pending() const { return pipes_ != nullptr ? pipe_.bytes : buffer_.size - sent_; }
  void on_recv(int32_t result) {
    if (result < 0) throw std::runtime_error("receive failed");
    if (result == 0) return end();
    buffer_ = std::exchange(recv_.buffer, {});
    sent_ = 0;
    on_ready(0);
  }
  void on_ready(int32_t) {
    if (!push()) return;
    if (buffer_) io_.release(buffer_);
    pull();
  }
  void end() {
    io_.shutdown_write(to_);
    if (pipes_ != nullptr) pipes_->give_back(pipe_);
    done_ = true;
  }

  SimIo& io_;
  io::PipePool* pipes_;
  Fd from_;
  Fd to_;
  RecvOp recv_;
  Op poll_;
  io::Buffer buffer_;
  io::Pipe pipe_;
  size_t sent_ = 0;
  bool done_ = false;
};

struct RelayRun {
  uint64_t steps = 0;
  Instant end;
  friend bool operator==(const RelayRun&, const RelayRun&) = default;
};

// Several clients send random streams; each arrives whole, whatever the seed does.
RelayRun run_relays(uint64_t seed, bool splice) {
  SimOptions options = SimOptions::from_seed(seed);
  SimIo io(options);
  std::optional<io::PipePool> pipes(std::in_place, io, 4);
  RelayRun run;
  const Fd listener = io.listen(address(80));
  Recorded<Op> accept;
  io.accept(accept, listener);
  constexpr size_t kClients = 5;
  std::vector<std::string> streams;
  std::vector<SimPeer*> clients;
  for (size_t i = 0; i < kClients; ++i) {
    std::string stream(io.random().below(20'000), 0);
    for (char& c : stream) c = static_cast<char>(io.random().next());
    clients.push_back(&io.connect(listener));
    for (size_t at = 0; at < stream.size();) {
      const size_t size = io.random().some_of(stream.size() - at);
      clients.back()->send(std::string_view(stream).substr(at, size));
      at += size;
    }
    clients.back()->finish();
    streams.push_back(std::move(stream));
  }
  BOOST_REQUIRE(io.run_until([&] { return accept.results.size() == kClients; }));

  std::vector<SimPeer*> sinks;
  io.serve(address(1), [&](SimPeer& peer) {
    sinks.push_back(&peer);
    if (io.random().chance(0.5)) peer.slow_down(200 + io.random().below(5000), 1ms);
  });
  std::vector<std::unique_ptr<Relay>> relays;
  std::vector<Fd> outs;
  const SocketAddress origin = address(1);
  for (size_t i = 0; i < kClients; ++i) {  // One by one, so that sinks and clients are in order.
    Recorded<Op> connect;
    outs.push_back(io.open_socket(origin));
    io.connect(connect, outs[i], origin);
    BOOST_REQUIRE(io.run_until([&] { return !connect.submitted; }));
    relays.push_back(
        std::make_unique<Relay>(io, splice ? &*pipes : nullptr, accept.results[i], outs[i]));
  }
  BOOST_REQUIRE(io.run_until([&] {
    ++run.steps;
    return std::ranges::all_of(sinks, &SimPeer::ended);
  }));
  for (size_t i = 0; i < kClients; ++i) {
    // Which client a connection is from is known by its address: they are accepted in order.
    BOOST_TEST(relays[i]->done());
    BOOST_TEST((sinks[i]->received() == streams[i]));
    io.close(outs[i]);
    io.close(accept.results[i]);
  }
  io.cancel(accept);
  io.settle();
  io.close(listener);
  pipes.reset();
  io.check_clean();
  run.end = io.now();
  return run;
}

BOOST_AUTO_TEST_CASE(streams_stay_whole_under_every_seed) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      run_relays(seed, false);
      run_relays(seed, true);
    }
  }
}

BOOST_AUTO_TEST_CASE(same_seed_same_run) {
  std::set<uint64_t> lengths;
  for (uint64_t seed = 100; seed < 105; ++seed) {
    const RelayRun run = run_relays(seed, true);
    BOOST_TEST((run == run_relays(seed, true)));
    lengths.insert(run.steps);
  }
  BOOST_TEST(lengths.size() > 1u);
}

// A cancelled receive ends either way, and never takes data away without handing it over.
BOOST_AUTO_TEST_CASE(cancel_races_with_data) {
  std::set<int32_t> results;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Connection c({.seed = seed});
    Recorded<RecvOp> recv;
    c.io.recv(recv, c.fd);
    c.client->send("data");
    c.io.cancel(recv);
    c.io.settle();
    BOOST_REQUIRE(recv.results.size() == 1u);
    results.insert(recv.results[0]);
    char data[8];
    if (recv.buffer)
      c.io.release(recv.buffer);
    else
      BOOST_TEST(c.io.recv_now(c.fd, data, sizeof data) == 4);
    c.finish();
  }
  BOOST_TEST((results == std::set<int32_t>{-ECANCELED, 4}));
}

bool mentions_seed(const ContractViolation& violation) {
  return std::string_view(violation.what()).contains("seed 1");
}

BOOST_AUTO_TEST_CASE(broken_contracts_are_noticed) {
  const struct {
    const char* description;
    void (*breaks)(Connection&, Recorded<RecvOp>&, Recorded<Op>&);
  } cases[] = {
      {"closing with an operation in flight",
       [](auto& c, auto& recv, auto&) {
         c.io.recv(recv, c.fd);
         c.io.close(c.fd);
       }},
      {"closing the listener while it accepts",
       [](auto& c, auto&, auto&) { c.io.close(c.listener); }},
      {"submitting twice",
       [](auto& c, auto&, auto& op) {
         c.io.poll(op, c.fd, POLLIN);
         c.io.poll(op, c.fd, POLLIN);
       }},
      {"no callback",
       [](auto& c, auto&, auto& op) {
         op.on_done = nullptr;
         c.io.poll(op, c.fd, POLLIN);
       }},
      {"two receives on one socket",
       [](auto& c, auto& recv, auto&) {
         Recorded<RecvOp> other;
         c.io.recv(recv, c.fd);
         c.io.recv(other, c.fd);
       }},
      {"receive over a buffer that is held",
       [](auto& c, auto& recv, auto&) {
         c.client->send("x");
         c.io.recv(recv, c.fd);
         c.io.settle();
         c.io.recv(recv, c.fd);
       }},
      {"operation changed in flight",
       [](auto& c, auto&, auto& op) {
         c.io.poll(op, c.fd, POLLIN);
         op.submitted = false;
         c.io.step();
       }},
      {"release twice",
       [](auto& c, auto& recv, auto&) {
         c.client->send("x");
         c.io.recv(recv, c.fd);
         c.io.settle();
         io::Buffer copy = recv.buffer;
         c.io.release(recv.buffer);
         c.io.release(copy);
       }},
      {"use of a closed descriptor",
       [](auto& c, auto&, auto&) {
         c.io.close(c.fd);
         send(c.io, c.fd, "x");
       }},
      {"use of a listener as a connection",
       [](auto& c, auto&, auto&) { send(c.io, c.listener, "x"); }},
      {"connect of what is connected",
       [](auto& c, auto&, auto& op) {
         const SocketAddress to = address(1);
         c.io.connect(op, c.fd, to);
       }},
      {"send of nothing", [](auto& c, auto&, auto&) { send(c.io, c.fd, ""); }},
      {"running the loop from a callback",
       [](auto& c, auto&, auto& op) {
         op.owner = &c.io;
         op.on_done = [](Op& done, int32_t) { static_cast<SimIo*>(done.owner)->step(); };
         c.io.poll(op, c.fd, POLLOUT);
         c.io.settle();
       }},
      {"operation left over", [](auto& c, auto&, auto&) { c.io.check_clean(); }},
      {"descriptor left over",
       [](auto& c, auto&, auto&) {
         c.io.cancel(c.accept);
         c.io.settle();
         c.io.check_clean();
       }},
      {"buffer left over",
       [](auto& c, auto& recv, auto&) {
         c.client->send("x");
         c.io.recv(recv, c.fd);
         c.io.settle();
         c.finish();
       }},
      {"pipe left over",
       [](auto& c, auto&, auto&) {
         Fd ends[2];
         c.io.open_pipe(ends);
         c.io.close(ends[0]);
         c.finish();
       }},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      Recorded<RecvOp> recv;
      Recorded<Op> op;
      Connection c;
      BOOST_CHECK_EXCEPTION(test.breaks(c, recv, op), ContractViolation, mentions_seed);
    }
  }
}

BOOST_AUTO_TEST_CASE(armed_timer_is_left_over) {
  SimIo io;
  Timer timer;
  timer.on_fire = [](Timer&) {};
  io.arm(timer, Instant(1s));
  BOOST_CHECK_THROW(io.check_clean(), ContractViolation);
  io.cancel(timer);
  io.check_clean();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::sim
