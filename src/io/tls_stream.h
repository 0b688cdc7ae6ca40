// A TLS connection over a descriptor: what a Stream (stream.h) that is not plain hands its calls
// to. Made and freed by the worker's TlsEngine, used on its thread only.
//
// OpenSSL never touches the socket. What it wants to send collects in memory of the engine and
// leaves in one send per call; what it wants to read comes by Io::recv_now. So it runs on every
// event loop, the simulated one included. Receives wait as polls of their own operation, whose
// callback is kept here meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "io/io.h"
#include "io/tls_kernel.h"
#include "io/tls_sessions.h"

struct bio_st;
struct ssl_st;

namespace shunt::io {

class TlsEngine;
struct TlsContextUse;

// The server at the other end of a connection, as TLS must know it.
struct TlsPeer {
  std::string_view name;            // Host name or IP address, which its certificate must have.
  TlsSessions* sessions = nullptr;  // Outlives the connection.
  uint64_t settings = 0;            // TlsClientFiles::key: what the connection is checked by.
};

struct SslFree {
  void operator()(ssl_st* ssl) const;
};
using SslHandle = std::unique_ptr<ssl_st, SslFree>;

class TlsStream {
 public:
  // For TlsEngine. `ssl` is set to be a server or a client.
  TlsStream(TlsEngine& engine, Fd fd, SslHandle ssl, TlsContextUse& use);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;
  ~TlsStream();

  // Result: 0, -EPROTO (failure() says why), -ECONNABORTED if the peer closed, or the socket's
  // error. Nothing else may be called before it has completed with 0, but what closes.
  void handshake(Op& op);

  // As those of Io. Also -EPROTO; -ECONNABORTED for an end without close_notify, where an attacker
  // could have cut off the rest (a client's stream then just ends, see TlsServerContext).
  void recv(RecvOp& op);
  void poll(Op& op, uint32_t events);
  int64_t recv_now(std::span<char> room, bool peek);
  // What is accepted is encrypted for good; the last byte counts only when all of it has left, so
  // that the caller waits for room as on a plain socket and comes again with the same bytes.
  int64_t send_now(std::span<const iovec> parts, bool more);
  // Bytes that a send_now did not report as sent are on their way all the same.
  bool holds_unsent() const { return owed_ || unsent() > 0; }
  uint32_t unsent() const { return unsent_size_; }  // Bytes of records.
  // Whether the kernel encrypts what is sent. It takes over here, if it can and `size` bytes are
  // worth the trouble; then the descriptor takes plain bytes, by splice too.
  bool may_splice_out(uint64_t size);
  // False while records may wait in the kernel for room in TCP's buffer: an end of our direction
  // would overtake them. Room for more (POLLOUT) ends that.
  bool may_end() const;
  // Whether the peer has sent anything at all.
  bool has_heard() const { return heard_; }

  // close_notify, then the end of our direction; that of the peer goes on.
  void end_write();
  // The same, but what the peer still sends is raw and unread.
  void shutdown_write();
  // Before the descriptor is closed: close_notify if that may still go out.
  void say_goodbye();

  void free();  // Ends this object.

  // --- After the handshake ---
  // What the client asked for; empty if that is no host name: it goes into fields and logs.
  std::string_view sni() const;
  bool has_peer_certificate() const;
  // The subject of the peer's certificate (RFC 2253), at most `room.size()` bytes of it; empty
  // without one.
  std::string_view peer_subject(std::span<char> room) const;
  bool resumed() const;
  std::string_view version() const;  // "TLSv1.3"; a constant.
  std::string_view cipher() const;   // As OpenSSL calls it; a constant.

  // Why a handshake or the connection failed, a constant text; "" if it did not.
  const char* failure() const { return failure_; }

  void keep_session(SessionHandle session);  // One that the server gave us; for the contexts.

  Fd fd() const { return fd_; }
  ssl_st* ssl() const { return ssl_.get(); }  // For TlsEngine and the contexts.

 private:
  friend class TlsBio;
  friend class TlsEngine;

  void on_handshake_ready(int32_t result);
  void on_receive_ready(int32_t result);
  void hold(Op& op);
  void complete(int32_t result);
  void wait_for_bytes(Op& op);
  int64_t read_now(std::span<char> room, bool peek);
  bool encrypt(std::span<const iovec> parts, size_t skip, size_t& accepted);
  int64_t failed(int result);
  bool flush();
  bool flush_unsent();
  int64_t send_by_kernel(std::span<const iovec> parts, bool more);
  void send_close_notify();

  TlsEngine& engine_;
  TlsContextUse& use_;
  const Fd fd_;
  SslHandle ssl_;  // Null once our direction has ended.

  bool established_ = false;
  bool heard_ = false;
  bool broken_ = false;      // A fatal error: OpenSSL must not be asked for anything more.
  bool drained_ = false;     // In this call, the socket gave less than was asked for.
  bool has_bytes_ = false;   // OpenSSL has some that it was not asked for yet.
  bool owed_ = false;        // The first byte of the next send_now has been taken already.
  bool by_kernel_ = false;   // The kernel encrypts; OpenSSL only reads any more.
  uint64_t put_off_in_ = 0;  // Number of the turn that had no room for our step.
  int socket_error_ = 0;     // Of the last failed call on the socket, negative.
  const char* failure_ = "";

  TlsKernelKeys keys_;  // For sending; known only if the kernel might take over.

  // Encrypted and not taken by the kernel.
  std::unique_ptr<char[]> unsent_;
  uint32_t unsent_begin_ = 0;
  uint32_t unsent_size_ = 0;

  // Of a server.
  TlsSessions* sessions_ = nullptr;
  uint64_t settings_ = 0;
  int64_t proven_at_ = 0;  // The session it began with; seconds since 1970.

  // The operation that waits for us, with its own callback.
  Op* held_ = nullptr;
  Op::OnDone held_done_ = nullptr;
  void* held_owner_ = nullptr;
};

}  // namespace shunt::io
