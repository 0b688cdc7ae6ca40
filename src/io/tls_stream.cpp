// One TLS connection: the handshake, receiving, and the end. Sending is in tls_stream_send.cpp, the
// BIO between OpenSSL and the event loop in tls_engine.cpp.
#include "io/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/assert.h"
#include "io/tls_engine.h"

namespace shunt::io {
namespace {

constexpr char kCloseNotify[] = {SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY};

}  // namespace

void SslFree::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

TlsStream::TlsStream(TlsEngine& engine, Fd fd, SslHandle ssl, TlsContextUse& use)
    : engine_(engine), use_(use), fd_(fd), ssl_(std::move(ssl)) {}

TlsStream::~TlsStream() {
  SHUNT_ASSERT(held_ == nullptr);
}

// --- Operations ---

// Takes over the callback of `op` until complete().
void TlsStream::hold(Op& op) {
  SHUNT_ASSERT(held_ == nullptr);
  held_ = &op;
  held_done_ = op.on_done;
  held_owner_ = op.owner;
}

void TlsStream::complete(int32_t result) {
  Op& op = *std::exchange(held_, nullptr);
  op.on_done = held_done_;
  op.owner = held_owner_;
  op.on_done(op, result);
}

void TlsStream::wait_for_bytes(Op& op) {
  if (has_bytes_) return engine_.io().post(op, fd_, POLLIN);
  const uint32_t room = unsent() > 0 ? POLLOUT : 0;
  engine_.io().poll(op, fd_, POLLIN | POLLRDHUP | room);
}

void TlsStream::handshake(Op& op) {
  hold(op);
  bind<&TlsStream::on_handshake_ready>(op, *this);
  if (SSL_is_server(ssl_.get()) != 0) return wait_for_bytes(op);
  engine_.io().post(op, fd_, POLLOUT);
}

void TlsStream::on_handshake_ready(int32_t result) {
  Op& op = *held_;
  if (result < 0 || op.cancelled || ssl_ == nullptr) return complete(-ECANCELED);
  if (!engine_.may_step(*this)) return engine_.io().post(op, fd_, result);
  drained_ = false;
  if (!flush_unsent()) return complete(socket_error_);
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  int64_t outcome = done == 1 ? 0 : failed(done);
  if (done != 1 && outcome == 0) outcome = -ECONNABORTED;
  if (!flush() && (outcome == 0 || outcome == -EAGAIN)) outcome = socket_error_;
  if (outcome == -EAGAIN) return wait_for_bytes(op);
  established_ = outcome == 0;
  has_bytes_ = established_ && SSL_has_pending(ssl_.get()) != 0;
  complete(static_cast<int32_t>(outcome));
}

void TlsStream::recv(RecvOp& op) {
  SHUNT_ASSERT(!op.buffer);
  if (ssl_ == nullptr) return engine_.io().recv(op, fd_);
  hold(op);
  bind<&TlsStream::on_receive_ready>(op, *this);
  wait_for_bytes(op);
}

void TlsStream::on_receive_ready(int32_t result) {
  RecvOp& op = *static_cast<RecvOp*>(held_);
  if (result < 0 || op.cancelled) return complete(-ECANCELED);
  Buffer buffer = engine_.io().take_buffer();
  // Rare, and over soon: asks again every turn.
  if (!buffer) return engine_.io().post(op, fd_, result);
  const int64_t received = recv_now({buffer.data, buffer.capacity}, false);
  if (received <= 0) engine_.io().release(buffer);
  if (received == -EAGAIN) return wait_for_bytes(op);
  if (received > 0) {
    buffer.size = static_cast<uint32_t>(received);
    op.buffer = buffer;
  }
  complete(static_cast<int32_t>(received));
}

void TlsStream::poll(Op& op, uint32_t events) {
  if (ssl_ != nullptr && (events & POLLIN) != 0) {
    if (has_bytes_) return engine_.io().post(op, fd_, POLLIN);
    if (unsent() > 0) events |= POLLOUT;
  }
  engine_.io().poll(op, fd_, events);
}

// --- Receiving ---

int64_t TlsStream::recv_now(std::span<char> room, bool peek) {
  if (ssl_ == nullptr) return engine_.io().recv_now(fd_, room.data(), room.size(), peek);
  if (broken_) return socket_error_;
  if (!flush_unsent()) return socket_error_;
  const int64_t result = read_now(room, peek);
  flush();  // Answers to what was read; an error shows with the next call.
  return result;
}

// Record by record, until `room` is full or the socket has given all it had.
int64_t TlsStream::read_now(std::span<char> room, bool peek) {
  drained_ = false;
  size_t total = 0;
  do {
    size_t size = 0;
    ERR_clear_error();
    const std::span<char> rest = room.subspan(total);
    const int done = peek ? SSL_peek_ex(ssl_.get(), rest.data(), rest.size(), &size)
                          : SSL_read_ex(ssl_.get(), rest.data(), rest.size(), &size);
    if (done != 1) {
      const int64_t reason = failed(done);
      has_bytes_ = false;
      // An end or an error behind bytes shows again with the next call.
      return total > 0 ? static_cast<int64_t>(total) : reason;
    }
    total += size;
  } while (!peek && total < room.size() && (SSL_has_pending(ssl_.get()) != 0 || !drained_));
  has_bytes_ = peek || SSL_has_pending(ssl_.get()) != 0;
  return static_cast<int64_t>(total);
}

// What a call of OpenSSL that did not succeed means, as a result of ours.
int64_t TlsStream::failed(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return -EAGAIN;
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  broken_ = true;
  const unsigned long code = ERR_peek_error();
  if (error == SSL_ERROR_SYSCALL && socket_error_ < 0) return socket_error_;
  if (error == SSL_ERROR_SYSCALL || (ERR_GET_LIB(code) == ERR_LIB_SSL &&
                                     ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
    socket_error_ = -ECONNABORTED;
    return socket_error_;
  }
  const char* text = ERR_reason_error_string(code);
  const long verified = SSL_get_verify_result(ssl_.get());
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
    text = X509_verify_cert_error_string(verified);
  failure_ = text != nullptr ? text : "unknown TLS error";
  socket_error_ = -EPROTO;
  return socket_error_;
}

// --- Ending ---

// Only behind everything else: an end that was announced is one that the peer may rely on.
void TlsStream::send_close_notify() {
  if (ssl_ == nullptr || !established_ || broken_) return;
  if (by_kernel_) {
    engine_.io().send_record(fd_, SSL3_RT_ALERT, kCloseNotify);
    return;
  }
  flush_unsent();
  if (broken_ || unsent() > 0) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  flush();
}

void TlsStream::end_write() {
  send_close_notify();
  engine_.io().shutdown_write(fd_);
}

void TlsStream::shutdown_write() {
  end_write();
  // A connection that lingers needs no keys; and what is unsent now, a close_notify at most, the
  // socket takes no more.
  ssl_.reset();
  has_bytes_ = false;
  unsent_.reset();
  unsent_size_ = 0;
}

void TlsStream::say_goodbye() {
  send_close_notify();
}

void TlsStream::free() {
  engine_.free(*this);
}

// --- What was agreed ---

std::string_view TlsStream::sni() const {
  const char* name = ssl_ ? SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name) : nullptr;
  if (name == nullptr) return "";
  const std::string_view text = name;
  const bool is_host = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
  return is_host ? text : "";
}

bool TlsStream::has_peer_certificate() const {
  return ssl_ != nullptr && SSL_get0_peer_certificate(ssl_.get()) != nullptr;
}

std::string_view TlsStream::peer_subject(std::span<char> room) const {
  const X509* certificate = ssl_ ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  if (certificate == nullptr) return {};
  const std::unique_ptr<BIO, int (*)(BIO*)> text(BIO_new(BIO_s_mem()), &BIO_free);
  if (text == nullptr) return {};
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  if (size <= 0) return {};
  const size_t kept = std::min(static_cast<size_t>(size), room.size());
  std::memcpy(room.data(), data, kept);
  return {room.data(), kept};
}

void TlsStream::keep_session(SessionHandle session) {
  if (sessions_ == nullptr) return;
  const int64_t now = SSL_SESSION_get_time(session.get());
  sessions_->keep({std::move(session), resumed() ? proven_at_ : now}, settings_);
}

bool TlsStream::resumed() const {
  return ssl_ != nullptr && SSL_session_reused(ssl_.get()) != 0;
}

std::string_view TlsStream::version() const {
  return ssl_ ? SSL_get_version(ssl_.get()) : "";
}

std::string_view TlsStream::cipher() const {
  const SSL_CIPHER* cipher = ssl_ ? SSL_get_current_cipher(ssl_.get()) : nullptr;
  return cipher != nullptr ? SSL_CIPHER_get_name(cipher) : "";
}

}  // namespace shunt::io
