// The BIO through which OpenSSL reads and writes, and the life of TLS streams.
#include "io/tls_engine.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/wall_clock.h"
#include "io/tls_context.h"

namespace shunt::io {

// The callbacks of the BIO; its data is the TlsStream.
class TlsBio {
 public:
  static BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shunt stream");
    SHUNT_ASSERT(method != nullptr);
    BIO_meth_set_read_ex(method, &TlsBio::read);
    BIO_meth_set_write_ex(method, &TlsBio::write);
    BIO_meth_set_ctrl(method, &TlsBio::control);
    return method;
  }

  // Keys that OpenSSL does not tell of: of messages, only ours to change keys matters.
  static void on_message(int sent, int, int type, const void* message, size_t size, SSL*,
                         void* stream) {
    const bool is_key_update = type == SSL3_RT_HANDSHAKE && size > 0 &&
                               *static_cast<const uint8_t*>(message) == SSL3_MT_KEY_UPDATE;
    if (sent != 0 && is_key_update) static_cast<TlsStream*>(stream)->keys_.forget();
  }

 private:
  // BIO_CTRL_SET_KTLS, which OpenSSL's headers have as a comment only.
  static constexpr int kSetKernelKeys = 72;

  static TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  // One read of the socket that did not give all that was asked for is the last in a call: the next
  // would almost always find nothing.
  static int read(BIO* bio, char* data, size_t size, size_t* received) {
    TlsStream& stream = stream_of(bio);
    BIO_clear_retry_flags(bio);
    *received = 0;
    if (stream.drained_) {
      BIO_set_retry_read(bio);
      return 0;
    }
    const int64_t result = stream.engine_.io().recv_now(stream.fd_, data, size);
    stream.drained_ = result < static_cast<int64_t>(size);
    if (result > 0) {
      stream.heard_ = true;
      *received = static_cast<size_t>(result);
      return 1;
    }
    if (result == -EAGAIN) BIO_set_retry_read(bio);
    if (result == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (result < 0 && result != -EAGAIN) stream.socket_error_ = static_cast<int>(result);
    return 0;
  }

  // Collects; the stream sends it at the end of its call. While the kernel has no room nothing more
  // is taken.
  static int write(BIO* bio, const char* data, size_t size, size_t* written) {
    TlsStream& stream = stream_of(bio);
    TlsEngine::Outgoing& out = stream.engine_.outgoing_;
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (stream.by_kernel_) return refuse(stream);
    if (out.size == out.bytes.size() && !stream.flush()) return 0;
    if (stream.unsent() > 0) {
      BIO_set_retry_write(bio);
      return 0;
    }
    *written = std::min(size, out.bytes.size() - out.size);
    std::memcpy(out.bytes.data() + out.size, data, *written);
    out.size += *written;
    stream.keys_.count({data, *written});
    return 1;
  }

  // Once the kernel encrypts, OpenSSL has nothing to send but an alert, which the end of the
  // connection says as well, and new keys, which the peer has asked for and only kernels from 6.14
  // on can take.
  static int refuse(TlsStream& stream) {
    stream.socket_error_ = -EPROTO;
    stream.failure_ = "the peer asked for new keys, which kTLS has not";
    return 0;
  }

  // kSetKernelKeys: OpenSSL's offer of the keys to the kernel, in the kernel's layout; for sending
  // if `number` is not 0. It is declined, since most connections are never worth it; the stream
  // keeps them for later. OpenSSL goes on encrypting.
  static long control(BIO* bio, int command, long number, void* data) {
    if (command == kSetKernelKeys && number != 0) stream_of(bio).keys_.keep(data);
    if (command == BIO_CTRL_FLUSH) return 1;  // Done at the end of the stream's call.
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return 0;
  }
};

void TlsEngine::MethodFree::operator()(BIO_METHOD* method) const {
  BIO_meth_free(method);
}

void TlsEngine::LibraryFree::operator()(OSSL_LIB_CTX* library) const {
  OSSL_LIB_CTX_free(library);
}

TlsEngine::TlsEngine(Io& io, TlsTicketKeys& tickets)
    : io_(io), tickets_(tickets), library_(OSSL_LIB_CTX_new()), method_(TlsBio::make_method()) {
  SHUNT_ASSERT(library_ != nullptr);
}

TlsEngine::~TlsEngine() {
  SHUNT_ASSERT(streams_.in_use() == 0);
}

// --- Contexts ---

TlsServerContext* TlsEngine::context_of(const TlsServerFiles& files) {
  const auto same = [&files](const auto& one) { return one->use.digest == files.digest; };
  auto found = std::ranges::find_if(servers_, same);
  if (found == servers_.end()) {
    auto made = TlsServerContext::create(files, tickets_, library_.get());
    if (!made) return nullptr;
    found = servers_.insert(servers_.end(), std::move(*made));
  }
  (*found)->use.wanted = true;
  return found->get();
}

TlsClientContext* TlsEngine::context_of(const TlsClientFiles& files) {
  const auto same = [&files](const auto& one) { return one->use.digest == files.digest; };
  auto found = std::ranges::find_if(clients_, same);
  if (found == clients_.end()) {
    auto made = TlsClientContext::create(files, library_.get());
    if (!made) return nullptr;
    found = clients_.insert(clients_.end(), std::move(*made));
  }
  (*found)->use.wanted = true;
  return found->get();
}

void TlsEngine::keep(TlsServerContext& context) {
  context.use.wanted = true;
}

void TlsEngine::begin_generation() {
  for (const auto& context : servers_) context->use.wanted = false;
  for (const auto& context : clients_) context->use.wanted = false;
}

void TlsEngine::forget_unwanted() {
  const auto unwanted = [](const auto& context) {
    return !context->use.wanted && context->use.streams == 0;
  };
  std::erase_if(servers_, unwanted);
  std::erase_if(clients_, unwanted);
}

// --- Streams ---

TlsStream* TlsEngine::accept(TlsServerContext& context, Fd fd) {
  SslHandle ssl = context.make_ssl();
  if (ssl == nullptr) return nullptr;
  SSL_set_accept_state(ssl.get());
  return make(std::move(ssl), fd, context.use);
}

TlsStream* TlsEngine::connect(TlsClientContext& context, Fd fd, const TlsPeer& peer) {
  SslHandle ssl = context.make_ssl(peer.name);
  if (ssl == nullptr) return nullptr;
  SSL_set_connect_state(ssl.get());
  TlsSession session;
  if (peer.sessions != nullptr)
    session = peer.sessions->take(peer.settings, wall_clock_ms() / 1000);
  if (session.handle != nullptr) SSL_set_session(ssl.get(), session.handle.get());
  TlsStream* stream = make(std::move(ssl), fd, context.use);
  if (stream == nullptr) return nullptr;
  stream->sessions_ = peer.sessions;
  stream->settings_ = peer.settings;
  stream->proven_at_ = session.proven_at;
  return stream;
}

TlsStream* TlsEngine::make(SslHandle ssl, Fd fd, TlsContextUse& use) {
  BIO* bio = BIO_new(method_.get());
  if (bio == nullptr) return nullptr;
  SSL_set_bio(ssl.get(), bio, bio);
  TlsStream* stream = streams_.make(*this, fd, std::move(ssl), use);
  BIO_set_data(bio, stream);
  BIO_set_init(bio, 1);
  SSL_set_app_data(stream->ssl(), stream);
  if (use_kernel_) {
    SSL_set_options(stream->ssl(), SSL_OP_ENABLE_KTLS);
    SSL_set_msg_callback(stream->ssl(), &TlsBio::on_message);
    SSL_set_msg_callback_arg(stream->ssl(), stream);
  }
  ++use.streams;
  return stream;
}

void TlsEngine::free(TlsStream& stream) {
  TlsContextUse& use = stream.use_;
  streams_.free(&stream);
  if (--use.streams == 0 && !use.wanted) forget_unwanted();
}

// A turn is over when the clock has moved, and when one whose step it has put off comes again.
bool TlsEngine::may_step(TlsStream& stream) {
  if (turn_time_ != io_.now() || stream.put_off_in_ == turn_) {
    ++turn_;
    steps_ = 0;
  }
  turn_time_ = io_.now();
  if (++steps_ <= kStepsPerTurn) return true;
  stream.put_off_in_ = turn_;
  return false;
}

}  // namespace shunt::io
