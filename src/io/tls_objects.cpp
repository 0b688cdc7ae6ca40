// PEM texts made into OpenSSL's objects.
#include "io/tls_objects.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cstring>

namespace shunt::io {
namespace {

BioHandle reader_of(std::string_view text) {
  return BioHandle(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Called where a passphrase would be asked for on the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

bool last_error_is_end_of_text() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

}  // namespace

std::string openssl_error() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return text != nullptr ? text : "unknown error";
}

Result<std::vector<X509Handle>> parse_certificates(std::string_view pem, OSSL_LIB_CTX* library) {
  std::vector<X509Handle> out;
  const BioHandle reader = reader_of(pem);
  ERR_clear_error();
  for (;;) {
    X509* certificate = X509_new_ex(library, nullptr);
    if (PEM_read_bio_X509(reader.get(), &certificate, &no_passphrase, nullptr) == nullptr) {
      X509_free(certificate);
      break;
    }
    out.emplace_back(certificate);
  }
  if (!last_error_is_end_of_text()) return fail(openssl_error());
  ERR_clear_error();
  return out;
}

Result<KeyHandle> parse_key(std::string_view pem, OSSL_LIB_CTX* library) {
  const BioHandle reader = reader_of(pem);
  ERR_clear_error();
  KeyHandle key(
      PEM_read_bio_PrivateKey_ex(reader.get(), nullptr, &no_passphrase, nullptr, library, nullptr));
  if (key == nullptr) return fail(openssl_error());
  return key;
}

}  // namespace shunt::io
