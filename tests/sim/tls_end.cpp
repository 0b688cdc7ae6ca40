// See the header. Keys are Ed25519: their signatures have one size, so that runs of one seed are
// alike.
#include "sim/tls_end.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>

#include "core/assert.h"
#include "io/tls_objects.h"

namespace shunt::sim {
namespace {

using namespace shunt::io;

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

TlsIdentity make_identity() {
  const KeyHandle key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const X509Handle certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * 3600);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("sim.test"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key.get());
  SHUNT_ASSERT(X509_sign(certificate.get(), key.get(), nullptr) > 0);
  const BioHandle certificate_text(BIO_new(BIO_s_mem()));
  const BioHandle key_text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate_text.get(), certificate.get());
  PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {.certificate = text_of(certificate_text.get()), .key = text_of(key_text.get())};
}

TlsServerFiles make_server_files() {
  TlsServerFiles files;
  files.settings.certificates.emplace_back();
  files.identities.push_back(make_identity());
  files.names.push_back({{"sim.test"}, TlsKeyKind::kOther});
  files.digest = "sim server";
  return files;
}

TlsClientFiles make_client_files() {
  TlsClientFiles files;
  files.settings.enabled = true;
  files.settings.verify = false;
  files.digest = "sim client";
  files.key = 1;
  return files;
}

ContextHandle make_context(TlsEnd::Side side) {
  const bool server = side == TlsEnd::Side::kServer;
  ContextHandle context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  SHUNT_ASSERT(context != nullptr);
  if (!server) return context;
  const TlsIdentity& identity = tls_server_files().identities[0];
  const auto chain = parse_certificates(identity.certificate, nullptr);
  const auto key = parse_key(identity.key, nullptr);
  SSL_CTX_use_certificate(context.get(), chain->front().get());
  SSL_CTX_use_PrivateKey(context.get(), key->get());
  return context;
}

SSL_CTX* context_of(TlsEnd::Side side) {
  static const ContextHandle kClient = make_context(TlsEnd::Side::kClient);
  static const ContextHandle kServer = make_context(TlsEnd::Side::kServer);
  return side == TlsEnd::Side::kServer ? kServer.get() : kClient.get();
}

}  // namespace

const TlsServerFiles& tls_server_files() {
  static const TlsServerFiles kFiles = make_server_files();
  return kFiles;
}

const TlsClientFiles& tls_client_files() {
  static const TlsClientFiles kFiles = make_client_files();
  return kFiles;
}

void TlsEnd::SslFree::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

TlsEnd::TlsEnd(SimPeer& peer, Side side, std::function<void(TlsEnd&)> on_event)
    : peer_(peer), on_event_(std::move(on_event)), ssl_(SSL_new(context_of(side))) {
  SHUNT_ASSERT(ssl_ != nullptr);
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  if (side == Side::kServer) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
  peer_.on_event = [this](SimPeer&) { on_bytes(); };
  step();
}

TlsEnd::~TlsEnd() {
  peer_.on_event = {};
}

void TlsEnd::send(std::string_view text) {
  SHUNT_ASSERT(!closing_);
  to_send_ += text;
  step();
}

void TlsEnd::close() {
  closing_ = true;
  step();
}

bool TlsEnd::resumed() const {
  return SSL_session_reused(ssl_.get()) != 0;
}

void TlsEnd::on_bytes() {
  const std::string bytes = peer_.take();
  if (!bytes.empty())
    BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
  step();
  if (on_event_) on_event_(*this);
}

void TlsEnd::step() {
  ERR_clear_error();
  const bool ready = SSL_do_handshake(ssl_.get()) == 1;
  write_out();
  // A handshake that will not be finished any more.
  if (!ready && closing_ && peer_.over() && !std::exchange(closed_, true)) peer_.close();
  if (!ready) return;
  std::array<char, 4096> room;
  for (int size = 0; (size = SSL_read(ssl_.get(), room.data(), room.size())) > 0;)
    received_.append(room.data(), static_cast<size_t>(size));
  ended_ = (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  if (closed_) return;
  if (!to_send_.empty() &&
      SSL_write(ssl_.get(), to_send_.data(), static_cast<int>(to_send_.size())) > 0)
    to_send_.clear();
  if (closing_) SSL_shutdown(ssl_.get());
  write_out();
  if (!closing_) return;
  closed_ = true;
  peer_.close();
}

void TlsEnd::write_out() {
  BIO* out = SSL_get_wbio(ssl_.get());
  if (!closed_ && BIO_pending(out) > 0) peer_.send(text_of(out));
  static_cast<void>(BIO_reset(out));
}

}  // namespace shunt::sim
