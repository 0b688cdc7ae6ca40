// OpenSSL's objects with owners, and PEM and DER texts made into them. Only for the other tls_
// files. Any thread.
#pragma once

#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace shunt::io {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

using X509Handle = std::unique_ptr<X509, FreeWith<X509_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using BioHandle = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using OcspHandle = std::unique_ptr<OCSP_RESPONSE, FreeWith<OCSP_RESPONSE_free>>;
using ContextHandle = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

// The text of OpenSSL's last error, which is forgotten.
std::string openssl_error();

// All certificates of a PEM text, in order; the error: one is damaged. `library`: null for the
// process's own.
Result<std::vector<X509Handle>> parse_certificates(std::string_view pem, OSSL_LIB_CTX* library);
// The private key of a PEM text; never asks for a passphrase.
Result<KeyHandle> parse_key(std::string_view pem, OSSL_LIB_CTX* library);

}  // namespace shunt::io
