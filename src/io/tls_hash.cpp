// HMAC and randomness of OpenSSL; both fail only when it is broken.
#include "io/tls_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "core/assert.h"

namespace shunt::io {

std::array<uint8_t, 32> keyed_hash(std::string_view key, std::string_view text) {
  std::array<uint8_t, 32> out;
  unsigned size = 0;
  const uint8_t* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const uint8_t*>(text.data()), text.size(), out.data(), &size);
  SHUNT_ASSERT(done != nullptr && size == out.size());
  return out;
}

std::string random_key() {
  std::string key(32, '\0');
  const int done =
      RAND_priv_bytes(reinterpret_cast<uint8_t*>(key.data()), static_cast<int>(key.size()));
  SHUNT_ASSERT(done == 1);
  return key;
}

}  // namespace shunt::io
