// One connection's transport, as the layers above use it: receiving, sending, waiting and closing,
// whatever lies between them and the descriptor. A value: owned by its connection, used on the
// worker's thread only. Plain, each call is the event loop's own and nothing more; the errors, and
// the rules for operations, are those of io/io.h.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "core/assert.h"
#include "io/io.h"

namespace shunt::io {

class Stream {
 public:
  Stream() = default;  // Not open yet.
  explicit Stream(Fd fd) : fd_(fd) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Fd fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

  // For a connection that had to wait for its descriptor.
  void open(Fd fd) {
    SHUNT_ASSERT(!is_open());
    fd_ = fd;
  }

  // Whether bytes go through as they are, so that the kernel may move them past us.
  bool may_splice() const { return true; }

  void recv(Io& io, RecvOp& op) { io.recv(op, fd_); }
  void poll(Io& io, Op& op, uint32_t events) { io.poll(op, fd_, events); }

  int64_t recv_now(Io& io, std::span<char> room, bool peek = false) {
    return io.recv_now(fd_, room.data(), room.size(), peek);
  }
  int64_t send_now(Io& io, std::span<const iovec> parts, bool more = false) {
    return io.send_now(fd_, parts, more);
  }
  // Require may_splice().
  int64_t splice_in(Io& io, Fd pipe, size_t size) { return io.splice_in(fd_, pipe, size); }
  int64_t splice_out(Io& io, Fd pipe, size_t size, bool more = false) {
    return io.splice_out(pipe, fd_, size, more);
  }

  // Ends our direction; what the peer still sends can be read away.
  void shutdown_write(Io& io) { io.shutdown_write(fd_); }
  // Both require that no operation on the stream is submitted; it is not open afterwards.
  void close(Io& io) { io.close(std::exchange(fd_, -1)); }
  void close_reset(Io& io) { io.close_reset(std::exchange(fd_, -1)); }

 private:
  Fd fd_ = -1;
};

}  // namespace shunt::io
