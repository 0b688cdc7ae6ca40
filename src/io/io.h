// The event loop's interface: the only way in which the layers above reach the kernel's sockets.
// One per worker, used by that worker's thread alone. Implementations: uring_io (io_uring),
// epoll_io (epoll), sim_io in the tests (a seeded simulation).
//
// What has to wait (data, room, a connection, a new client) is an operation that completes later;
// what cannot wait is a plain non-blocking call. Sends are such calls: measured, a send costs the
// same either way, and done at once it is on the wire a loop turn earlier and no buffer stays with
// the kernel.
//
// Completions are collected first and dispatched afterwards: no callback runs inside a call into
// this interface.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "core/address.h"
#include "core/instant.h"
#include "core/timer_wheel.h"
#include "io/op.h"

namespace shunt::io {

using Fd = int;

// Results below zero are negative errno values everywhere in this interface.
class Io {
 public:
  virtual ~Io() = default;

  // Time of this loop turn.
  virtual Instant now() const = 0;

  // --- Operations: each completes exactly once (accept: many times) unless it says otherwise. ---

  // Receives once data arrives, up to kRecvBufferSize bytes. Result: bytes, 0 at end of stream, or
  // an error. Shortage of buffers is not an error: the loop waits until some come back.
  virtual void recv(RecvOp& op, Fd fd) = 0;
  // Result: the ready events (POLLIN, POLLOUT, POLLRDHUP, POLLERR, POLLHUP), once.
  virtual void poll(Op& op, Fd fd, uint32_t events) = 0;
  // Result of each completion: a connected, non-blocking descriptor, or an error; goes on until
  // cancelled or until a completion with op.submitted == false.
  virtual void accept(Op& op, Fd listener) = 0;
  // `address` must live until completion. Result: 0 or an error.
  virtual void connect(Op& op, Fd fd, const SocketAddress& address) = 0;
  // Completes in the next turn, with `result`: for owners that wait for `fd` and find that what
  // they would wait for is here already.
  virtual void post(Op& op, Fd fd, int32_t result) = 0;
  // Asks for an early end: a submitted `op` completes with -ECANCELED (or with its result, if that
  // was faster).
  virtual void cancel(Op& op) = 0;

  // --- Calls that do not wait. -EAGAIN where they would have to. ---

  virtual Fd open_socket(
      const SocketAddress& peer) = 0;  // Non-blocking TCP (TCP_NODELAY) or unix stream socket.
  // getpeername and getsockname; an address of family AF_UNSPEC if the connection is gone.
  virtual SocketAddress peer_address(Fd fd) = 0;
  virtual SocketAddress local_address(Fd fd) = 0;
  // `peek`: the bytes stay in the socket (MSG_PEEK). 0: end of stream.
  virtual int64_t recv_now(Fd fd, void* data, size_t size, bool peek = false) = 0;
  // `more`: further bytes of the same message follow at once.
  virtual int64_t send_now(Fd fd, std::span<const iovec> parts, bool more) = 0;
  // A non-blocking pipe with room for about 256 KiB: ends[0] to read, ends[1] to write. 0 or an
  // error. io/pipe_pool.h keeps them for reuse; both ends are closed with close().
  virtual int open_pipe(Fd (&ends)[2]) = 0;
  // Moves up to `size` bytes from a socket into a pipe, which must be empty, or from a pipe, which
  // must hold so many, into a socket. 0: end of stream.
  virtual int64_t splice_in(Fd socket, Fd pipe, size_t size) = 0;
  virtual int64_t splice_out(Fd pipe, Fd socket, size_t size, bool more) = 0;
  // Bytes sent that the peer has not acknowledged: what the kernel still holds of them. 0 if it
  // does not tell.
  virtual uint64_t unacknowledged(Fd fd) = 0;
  // Whether a poll for POLLOUT would complete at once.
  virtual bool is_writable(Fd fd) = 0;
  // From here on the kernel encrypts what is sent (kTLS); `value` is that of the option TLS_TX. 0
  // or an error, after which the socket is as it was.
  virtual int encrypt_sends(Fd fd, std::span<const char> value) = 0;
  // On such a socket: a record of another type than application data, whole or not at all.
  virtual int64_t send_record(Fd fd, uint8_t type, std::span<const char> bytes) = 0;
  virtual void shutdown_write(Fd fd) = 0;
  // Requires that no operation on `fd` is submitted.
  virtual void close(Fd fd) = 0;
  // Like close, but so that the peer sees a reset (SO_LINGER 0).
  virtual void close_reset(Fd fd) = 0;

  // An unused receive buffer (of size 0), for bytes that come by another way than a recv; null when
  // all are in use.
  virtual Buffer take_buffer() = 0;
  // Gives back what a recv or take_buffer brought; `buffer` becomes empty.
  virtual void release(Buffer& buffer) = 0;

  virtual void arm(Timer& timer, Instant deadline) = 0;
  virtual void cancel(Timer& timer) = 0;
};

}  // namespace shunt::io
