// One connection's transport, as the layers above use it: receiving, sending, waiting and closing,
// whatever lies between them and the descriptor. A value: owned by its connection, used on the
// worker's thread only. Plain, each call is the event loop's own behind one branch; with TLS it
// goes to a TlsStream. The errors, and the rules for operations, are those of io/io.h.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "core/assert.h"
#include "io/io.h"
#include "io/tls_stream.h"

namespace shunt::io {

class TlsEngine;
class TlsClientContext;
class TlsServerContext;

class Stream {
 public:
  Stream() = default;  // Not open yet.
  explicit Stream(Fd fd) : fd_(fd) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { SHUNT_ASSERT(tls_ == nullptr); }

  Fd fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

  // For a connection that had to wait for its descriptor.
  void open(Fd fd) {
    SHUNT_ASSERT(!is_open());
    fd_ = fd;
  }

  // From here on the connection speaks TLS; handshake() comes next. False if memory is short.
  [[nodiscard]] bool accept_tls(TlsEngine& engine, TlsServerContext& context);
  [[nodiscard]] bool connect_tls(TlsEngine& engine, TlsClientContext& context, const TlsPeer& peer);
  void handshake(Op& op) { tls_->handshake(op); }

  bool is_tls() const { return tls_ != nullptr; }
  const TlsStream* tls() const { return tls_; }  // What was agreed; null if plain.

  // Whether the kernel may move bytes past us: as they are, or, on the way out, encrypted by it.
  // That takes a connection over if there are `size` bytes to come for which it is worth while.
  bool may_splice_in() const { return tls_ == nullptr; }
  bool may_splice_out(uint64_t size) { return tls_ == nullptr || tls_->may_splice_out(size); }
  // A send has taken more than it said, and the rest cannot be replaced by other bytes.
  bool holds_unsent() const { return tls_ != nullptr && tls_->holds_unsent(); }
  // Whether nothing is left, in us or above TCP in the kernel, that ending now would cut off.
  bool may_end() const { return tls_ == nullptr || tls_->may_end(); }

  void recv(Io& io, RecvOp& op) {
    if (tls_ != nullptr) return tls_->recv(op);
    io.recv(op, fd_);
  }
  void poll(Io& io, Op& op, uint32_t events) {
    if (tls_ != nullptr) return tls_->poll(op, events);
    io.poll(op, fd_, events);
  }

  int64_t recv_now(Io& io, std::span<char> room, bool peek = false) {
    if (tls_ != nullptr) return tls_->recv_now(room, peek);
    return io.recv_now(fd_, room.data(), room.size(), peek);
  }
  int64_t send_now(Io& io, std::span<const iovec> parts, bool more = false) {
    if (tls_ != nullptr) return tls_->send_now(parts, more);
    return io.send_now(fd_, parts, more);
  }
  // Require may_splice_in() and may_splice_out().
  int64_t splice_in(Io& io, Fd pipe, size_t size) { return io.splice_in(fd_, pipe, size); }
  int64_t splice_out(Io& io, Fd pipe, size_t size, bool more = false) {
    return io.splice_out(pipe, fd_, size, more);
  }

  // Bytes on the wire that were sent, or accepted for sending, and that the peer has not
  // acknowledged. With TLS they are those of its records.
  uint64_t unacknowledged(Io& io) const {
    return io.unacknowledged(fd_) + (tls_ != nullptr ? tls_->unsent() : 0);
  }

  // Ends our direction; that of the peer goes on.
  void end_write(Io& io) {
    if (tls_ != nullptr) return tls_->end_write();
    io.shutdown_write(fd_);
  }
  // Ends our direction; what the peer still sends can be read away, and no more.
  void shutdown_write(Io& io) {
    if (tls_ != nullptr) return tls_->shutdown_write();
    io.shutdown_write(fd_);
  }
  // Both require that no operation on the stream is submitted; it is not open afterwards.
  void close(Io& io) {
    if (tls_ != nullptr) end_tls(true);
    io.close(std::exchange(fd_, -1));
  }
  void close_reset(Io& io) {
    if (tls_ != nullptr) end_tls(false);
    io.close_reset(std::exchange(fd_, -1));
  }

 private:
  void end_tls(bool goodbye);

  Fd fd_ = -1;
  TlsStream* tls_ = nullptr;
};

}  // namespace shunt::io
