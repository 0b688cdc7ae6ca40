// OpenSSL's contexts of one worker: made of files that have been checked (tls_files.h), with keys
// and certificates of their own, so that no lock or count is shared with other workers. Owned by
// the worker's TlsEngine, used on its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "io/tls_files.h"
#include "io/tls_names.h"
#include "io/tls_objects.h"
#include "io/tls_stream.h"
#include "io/tls_tickets.h"

namespace shunt::io {

// What both kinds have: who uses them, and of what they were made.
struct TlsContextUse {
  std::string digest;
  bool wanted = true;    // By the configuration in use.
  uint32_t streams = 0;  // Made of it and not freed.
};

// A listener's: one SSL_CTX for each group of certificates that some name asks for.
class TlsServerContext {
  struct Private {
    explicit Private() = default;
  };

 public:
  // `library`: null for the process's own. The error: what OpenSSL refuses, for the user.
  static Result<std::unique_ptr<TlsServerContext>> create(const TlsServerFiles& files,
                                                          TlsTicketKeys& tickets,
                                                          OSSL_LIB_CTX* library);
  TlsServerContext(Private, const TlsServerFiles& files, TlsTicketKeys& tickets,
                   OSSL_LIB_CTX* library);  // For create().
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  SslHandle make_ssl();  // Null if memory is short.

  TlsContextUse use;

 private:
  // A certificate with its OCSP answer.
  struct Staple {
    X509Handle certificate;
    std::string ocsp;
    int64_t until = 0;
  };

  Result<ContextHandle> make_context(const TlsServerFiles& files, const TlsNames::Group& group);
  Result<void> add_identity(SSL_CTX* context, const TlsIdentity& identity);
  Result<void> ask_for_certificates(SSL_CTX* context, const TlsServerFiles& files);

  static int on_name(SSL* ssl, int* alert, void* self);
  static int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                     const unsigned char* in, unsigned in_size, void* self);
  static int on_status(SSL* ssl, void* self);
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, int encrypt);

  OSSL_LIB_CTX* const library_;
  const TlsNames names_;
  TlsTicketKeys& tickets_;
  TlsTicketRing ring_;  // Copied from there.
  std::unique_ptr<EVP_CIPHER, FreeWith<EVP_CIPHER_free>> ticket_cipher_;
  std::vector<ContextHandle> contexts_;  // Parallel to names_.groups().
  std::vector<Staple> staples_;
};

// For connections to servers with the same settings but for the name.
class TlsClientContext {
  struct Private {
    explicit Private() = default;
  };

 public:
  static Result<std::unique_ptr<TlsClientContext>> create(const TlsClientFiles& files,
                                                          OSSL_LIB_CTX* library);
  TlsClientContext(Private, const TlsClientFiles& files);  // For create().
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  // `name`: a host name or an IP address, which the server's certificate must have.
  SslHandle make_ssl(std::string_view name);

  TlsContextUse use;

 private:
  static int on_session(SSL* ssl, SSL_SESSION* session);

  const bool verify_;
  ContextHandle context_;
};

}  // namespace shunt::io
