// Pipes: reuse, bounds, and bytes that must never reach the next user; and splice through them.
#include "io/pipe_pool.h"

#include <numeric>

#include "loop_fixture.h"

namespace shunt::io {
namespace {

BOOST_AUTO_TEST_SUITE(pipe_pool)

bool is_open(Fd fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

LOOP_TEST(last_in_first_out_and_bounded) {
  PipePool pool(*io, 2);
  std::vector<Pipe> pipes;
  for (int i = 0; i < 3; ++i) pipes.push_back(*pool.acquire());
  BOOST_TEST(pool.in_use() == 3u);
  BOOST_TEST(::fcntl(pipes[0].write, F_GETPIPE_SZ) >= 4096);
  BOOST_TEST((::fcntl(pipes[0].read, F_GETFL) & O_NONBLOCK) != 0);
  for (const Pipe& pipe : pipes) pool.give_back(pipe);
  BOOST_TEST(pool.idle() == 2u);
  BOOST_TEST(!is_open(pipes[2].read));
  BOOST_TEST(!is_open(pipes[2].write));
  const Pipe again = *pool.acquire();
  BOOST_TEST(again.read == pipes[1].read);
  pool.give_back(again);
  pool.trim();
  BOOST_TEST(pool.idle() == 0u);
  BOOST_TEST(!is_open(pipes[0].read));
}

LOOP_TEST(pipe_with_bytes_is_closed) {
  PipePool pool(*io, 2);
  Pipe pipe = *pool.acquire();
  const auto [a, b] = socket_pair();
  send(a, "secret");
  const int64_t moved = io->splice_in(b, pipe.write, 100);
  BOOST_REQUIRE(moved == 6);
  pipe.bytes += static_cast<uint64_t>(moved);
  pool.give_back(pipe);
  BOOST_TEST(pool.idle() == 0u);
  BOOST_TEST(!is_open(pipe.read));
  io->close(a);
  io->close(b);
}

// One MiB from a connection to another without a copy; the ends see EAGAIN and the end of stream.
LOOP_TEST(splice_moves_a_stream) {
  const auto [sender, in] = tcp_pair();
  const auto [out, receiver] = tcp_pair();
  PipePool pool(*io, 1);
  Pipe pipe = *pool.acquire();
  BOOST_TEST(io->splice_in(in, pipe.write, 100) == -EAGAIN);
  BOOST_TEST(io->splice_out(pipe.read, out, 100, false) == -EAGAIN);

  std::string message(1 << 20, 0);
  std::iota(message.begin(), message.end(), char{0});
  std::string received;
  size_t sent = 0;
  int64_t in_result = -EAGAIN;
  while (in_result != 0 || pipe.bytes > 0) {
    if (sent < message.size()) {
      const int64_t n = send(sender, std::string_view(message).substr(sent));
      if (n > 0) sent += static_cast<size_t>(n);
      if (sent == message.size()) io->shutdown_write(sender);
    }
    in_result = io->splice_in(in, pipe.write, 1 << 20);
    if (in_result > 0) pipe.bytes += static_cast<uint64_t>(in_result);
    const int64_t n = io->splice_out(pipe.read, out, pipe.bytes + 1, false);
    if (n > 0) pipe.bytes -= static_cast<uint64_t>(n);
    char chunk[65536];
    const int64_t got = io->recv_now(receiver, chunk, sizeof chunk, false);
    if (got > 0) received.append(chunk, static_cast<size_t>(got));
  }
  io->shutdown_write(out);
  char chunk[65536];
  for (int64_t got; (got = io->recv_now(receiver, chunk, sizeof chunk, false)) != 0;)
    if (got > 0) received.append(chunk, static_cast<size_t>(got));
  BOOST_TEST((received == message));
  pool.give_back(pipe);
  BOOST_TEST(pool.idle() == 1u);
  for (const Fd fd : {sender, in, out, receiver}) io->close(fd);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
