// Contexts from files, and what OpenSSL asks during a handshake. See the header.
#include "io/tls_context.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "core/address.h"
#include "core/wall_clock.h"

namespace shunt::io {
namespace {

// Mozilla's "intermediate" profile for TLS 1.2, in its order, without its finite-field DHE suites:
// no client needs these any more, and each costs the server a large exponentiation on demand.
constexpr const char* kIntermediateCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
// The same profile's order for TLS 1.3.
constexpr const char* kIntermediateSuites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr long kSessionSeconds = 2 * TlsTicketKeys::kRotationSeconds;

// Servers send large answers: several records with each read of the socket.
constexpr size_t kClientReadSize = 64 * 1024;

Result<ContextHandle> make_plain_context(const SSL_METHOD* method, OSSL_LIB_CTX* library,
                                         config::TlsVersion minimum) {
  ERR_clear_error();
  ContextHandle context(SSL_CTX_new_ex(library, nullptr, method));
  if (context == nullptr) return fail(openssl_error());
  SSL_CTX_set_min_proto_version(
      context.get(), minimum == config::TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection holds no record buffers.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                                      SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set1_groups_list(context.get(), kGroups);
  return context;
}

Result<void> use_identity(SSL_CTX* context, const TlsIdentity& identity, OSSL_LIB_CTX* library) {
  auto chain = parse_certificates(identity.certificate, library);
  if (!chain) return std::unexpected(chain.error());
  if (chain->empty()) return fail("no certificate");
  auto key = parse_key(identity.key, library);
  if (!key) return std::unexpected(key.error());
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) return fail(openssl_error());
  for (size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1) return fail(openssl_error());
  }
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1) return fail(openssl_error());
  return {};
}

Result<void> trust(SSL_CTX* context, std::string_view authorities, OSSL_LIB_CTX* library,
                   bool announce) {
  auto parsed = parse_certificates(authorities, library);
  if (!parsed) return std::unexpected(parsed.error());
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const X509Handle& authority : *parsed) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) return fail(openssl_error());
    if (announce) SSL_CTX_add_client_CA(context, authority.get());
  }
  return {};
}

}  // namespace

// --- Listeners ---

TlsServerContext::TlsServerContext(Private, const TlsServerFiles& files, TlsTicketKeys& tickets,
                                   OSSL_LIB_CTX* library)
    : use{.digest = files.digest},
      library_(library),
      names_(files.names),
      tickets_(tickets),
      ticket_cipher_(EVP_CIPHER_fetch(library, "AES-256-CBC", nullptr)) {}

Result<std::unique_ptr<TlsServerContext>> TlsServerContext::create(const TlsServerFiles& files,
                                                                   TlsTicketKeys& tickets,
                                                                   OSSL_LIB_CTX* library) {
  auto made = std::make_unique<TlsServerContext>(Private(), files, tickets, library);
  if (made->ticket_cipher_ == nullptr) return fail("AES-256-CBC is not available");
  for (const TlsNames::Group& group : made->names_.groups()) {
    auto context = made->make_context(files, group);
    if (!context) return std::unexpected(context.error());
    made->contexts_.push_back(std::move(*context));
  }
  return made;
}

Result<ContextHandle> TlsServerContext::make_context(const TlsServerFiles& files,
                                                     const TlsNames::Group& group) {
  auto made = make_plain_context(TLS_server_method(), library_, files.settings.minimum_version);
  if (!made) return made;
  SSL_CTX* context = made->get();
  const char* ciphers =
      files.settings.ciphers.empty() ? kIntermediateCiphers : files.settings.ciphers.c_str();
  if (SSL_CTX_set_cipher_list(context, ciphers) != 1)
    return fail(fmt::format("\"ciphers\": {}", openssl_error()));
  if (SSL_CTX_set_ciphersuites(context, kIntermediateSuites) != 1) return fail(openssl_error());
  // The order is the list's, and with it what is weakest is up to the list, not to a client. One
  // that has no AES instructions says so by beginning with ChaCha20.
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Many clients end without close_notify. What they send says by itself where it ends.
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  for (const uint32_t index : group) SHUNT_TRY(add_identity(context, files.identities[index]));
  SHUNT_TRY(ask_for_certificates(context, files));

  // Sessions live in tickets only: nothing is kept here. Those of other settings are not taken.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context, kSessionSeconds);
  const auto* id = reinterpret_cast<const unsigned char*>(files.digest.data());
  SSL_CTX_set_session_id_context(context, id,
                                 static_cast<unsigned>(std::min<size_t>(files.digest.size(), 32)));
  SSL_CTX_set_app_data(context, this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &on_ticket);
  SSL_CTX_set_alpn_select_cb(context, &on_alpn, this);
  SSL_CTX_set_tlsext_servername_callback(context, &on_name);
  SSL_CTX_set_tlsext_servername_arg(context, this);
  SSL_CTX_set_tlsext_status_cb(context, &on_status);
  SSL_CTX_set_tlsext_status_arg(context, this);
  return made;
}

Result<void> TlsServerContext::add_identity(SSL_CTX* context, const TlsIdentity& identity) {
  SHUNT_TRY(use_identity(context, identity, library_));
  if (identity.ocsp.empty()) return {};
  X509* certificate = SSL_CTX_get0_certificate(context);
  X509_up_ref(certificate);
  staples_.push_back({X509Handle(certificate), identity.ocsp, identity.ocsp_until});
  return {};
}

Result<void> TlsServerContext::ask_for_certificates(SSL_CTX* context, const TlsServerFiles& files) {
  using config::ClientCertificate;
  if (files.settings.client_certificate == ClientCertificate::kOff) return {};
  const bool required = files.settings.client_certificate == ClientCertificate::kRequired;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  return trust(context, files.client_ca, library_, true);
}

SslHandle TlsServerContext::make_ssl() {
  return SslHandle(SSL_new(contexts_.front().get()));
}

int TlsServerContext::on_name(SSL* ssl, int*, void* self) {
  auto& context = *static_cast<TlsServerContext*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const uint32_t group = context.names_.find(name);
  if (group != 0 && SSL_set_SSL_CTX(ssl, context.contexts_[group].get()) == nullptr)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  return SSL_TLSEXT_ERR_OK;
}

// RFC 7301 §3.2: a client that offers protocols, but not ours, is told so.
int TlsServerContext::on_alpn(SSL*, const unsigned char** out, unsigned char* out_size,
                              const unsigned char* in, unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  const int outcome =
      SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11, in, in_size);
  if (outcome != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// An answer that is out of date does more harm than none.
int TlsServerContext::on_status(SSL* ssl, void* self) {
  const auto& context = *static_cast<TlsServerContext*>(self);
  const X509* certificate = SSL_get_certificate(ssl);
  const auto found = std::ranges::find_if(context.staples_, [certificate](const Staple& staple) {
    return X509_cmp(staple.certificate.get(), certificate) == 0;
  });
  if (found == context.staples_.end() || found->until <= wall_clock_ms() / 1000)
    return SSL_TLSEXT_ERR_NOACK;
  auto* copy = static_cast<unsigned char*>(OPENSSL_memdup(found->ocsp.data(), found->ocsp.size()));
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(found->ocsp.size()));
  return SSL_TLSEXT_ERR_OK;
}

// RFC 5077 §4. Returns as OpenSSL wants: 1 fine, 2 fine but renew it, 0 not ours, -1 an error.
int TlsServerContext::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv,
                                EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt) {
  auto& self = *static_cast<TlsServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const int64_t now = wall_clock_ms() / 1000;
  if (now >= self.ring_.until) self.ring_ = self.tickets_.ring(now);
  const TlsTicketKey* key = &self.ring_.newest();
  if (encrypt != 0) {
    std::ranges::copy(key->name, name);
    if (RAND_bytes_ex(self.library_, iv, 16, 0) != 1) return -1;
  } else {
    key = self.ring_.find(
        std::span<const uint8_t, TlsTicketKey::kNameSize>(name, TlsTicketKey::kNameSize));
    if (key == nullptr) return 0;
  }
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  if (EVP_CipherInit_ex2(cipher, self.ticket_cipher_.get(), key->encryption.data(), iv, encrypt,
                         nullptr) != 1 ||
      EVP_MAC_init(mac, key->integrity.data(), key->integrity.size(), parameters) != 1)
    return -1;
  return key == &self.ring_.newest() ? 1 : 2;
}

// --- Servers ---

TlsClientContext::TlsClientContext(Private, const TlsClientFiles& files)
    : use{.digest = files.digest}, verify_(files.settings.verify) {}

Result<std::unique_ptr<TlsClientContext>> TlsClientContext::create(const TlsClientFiles& files,
                                                                   OSSL_LIB_CTX* library) {
  auto made = std::make_unique<TlsClientContext>(Private(), files);
  auto context = make_plain_context(TLS_client_method(), library, config::TlsVersion::kTls12);
  if (!context) return std::unexpected(context.error());
  made->context_ = std::move(*context);
  SSL_CTX* raw = made->context_.get();
  SSL_CTX_set_default_read_buffer_len(raw, kClientReadSize);
  SSL_CTX_set_alpn_protos(raw, kHttp11, sizeof kHttp11);
  // OpenSSL hands over each session that a server gives, and keeps none.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(raw, &on_session);
  if (!files.identity.certificate.empty()) SHUNT_TRY(use_identity(raw, files.identity, library));
  if (!files.settings.verify) return made;
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  if (!files.ca.empty()) {
    SHUNT_TRY(trust(raw, files.ca, library, false));
  } else if (SSL_CTX_set_default_verify_paths(raw) != 1) {
    return fail(openssl_error());
  }
  return made;
}

// 1: the session is ours to free.
int TlsClientContext::on_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<TlsStream*>(SSL_get_app_data(ssl))->keep_session(SessionHandle(session));
  return 1;
}

SslHandle TlsClientContext::make_ssl(std::string_view name) {
  SslHandle ssl(SSL_new(context_.get()));
  if (ssl == nullptr) return nullptr;
  const std::string text(name);
  if (IpAddress::parse(name)) {
    if (verify_) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), text.c_str());
    return ssl;
  }
  if (text.empty()) return ssl;
  SSL_set_tlsext_host_name(ssl.get(), text.c_str());
  SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (verify_) SSL_set1_host(ssl.get(), text.c_str());
  return ssl;
}

}  // namespace shunt::io
