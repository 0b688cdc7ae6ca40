// The ratchet: each step derives a key and the next secret from the last one by HKDF (RFC 5869).
#include "io/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr int64_t kStepsMost = 1000;  // At once: most of a year.

// Fills `out` from `secret`; `label` keeps the uses of one secret apart.
void derive(std::span<const uint8_t> secret, std::string_view label, std::span<uint8_t> out) {
  const std::unique_ptr<EVP_KDF, void (*)(EVP_KDF*)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr),
                                                         &EVP_KDF_free);
  SHUNT_ASSERT(kdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, void (*)(EVP_KDF_CTX*)> context(EVP_KDF_CTX_new(kdf.get()),
                                                                     &EVP_KDF_CTX_free);
  SHUNT_ASSERT(context != nullptr);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, const_cast<uint8_t*>(secret.data()),
                                        secret.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, const_cast<char*>(label.data()),
                                        label.size()),
      OSSL_PARAM_construct_end()};
  const int done = EVP_KDF_derive(context.get(), out.data(), out.size(), parameters);
  SHUNT_ASSERT(done == 1);
}

}  // namespace

TlsTicketKeys::TlsTicketKeys(int64_t now) {
  ring_.until = now;
  const int done = RAND_priv_bytes(secret_.data(), static_cast<int>(secret_.size()));
  SHUNT_ASSERT(done == 1);
  fill();
}

TlsTicketKeys::TlsTicketKeys(const std::array<uint8_t, TlsTicketKey::kSecretSize>& secret,
                             int64_t now)
    : secret_(secret) {
  ring_.until = now;
  fill();
}

void TlsTicketKeys::fill() {
  const int64_t now = ring_.until;
  for (size_t i = 0; i < TlsTicketRing::kKept; ++i) step();
  ring_.until = now + kRotationSeconds;
}

TlsTicketRing TlsTicketKeys::ring(int64_t now) {
  const std::scoped_lock lock(mutex_);
  // A clock that was set from 1970 would cost a second of steps.
  ring_.until = std::max(ring_.until, now - kStepsMost * kRotationSeconds);
  while (ring_.until <= now) step();
  return ring_;
}

void TlsTicketKeys::step() {
  std::shift_right(ring_.keys.begin(), ring_.keys.end(), 1);
  ring_.until += kRotationSeconds;
  TlsTicketKey& key = ring_.keys[0];
  derive(secret_, "shunt ticket name", key.name);
  derive(secret_, "shunt ticket encryption", key.encryption);
  derive(secret_, "shunt ticket integrity", key.integrity);
  std::array<uint8_t, TlsTicketKey::kSecretSize> next;
  derive(secret_, "shunt ticket next", next);
  secret_ = next;
  OPENSSL_cleanse(next.data(), next.size());
}

const TlsTicketKey* TlsTicketRing::find(
    std::span<const uint8_t, TlsTicketKey::kNameSize> name) const {
  const auto found = std::ranges::find_if(
      keys, [name](const TlsTicketKey& key) { return std::ranges::equal(key.name, name); });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace shunt::io
