// The keys of session tickets (RFC 5077, RFC 8446 §4.6.1), the same for all workers of a process.
// Each key comes from the last secret, which is then forgotten: a stolen key opens no older
// sessions. Owned by the process; workers copy the ring of keys and come back when it is out of
// date, a few times a day.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>

namespace shunt::io {

struct TlsTicketKey {
  static constexpr size_t kNameSize = 16;
  static constexpr size_t kSecretSize = 32;

  std::array<uint8_t, kNameSize> name;
  std::array<uint8_t, kSecretSize> encryption;  // AES-256-CBC.
  std::array<uint8_t, kSecretSize> integrity;   // HMAC-SHA-256.
};

// The keys in use. A value.
struct TlsTicketRing {
  static constexpr size_t kKept = 3;

  std::array<TlsTicketKey, kKept> keys;  // The newest first.
  int64_t until = 0;                     // From then on there is a newer one.

  const TlsTicketKey& newest() const { return keys[0]; }
  // The key of a ticket; null if it is too old, or not ours.
  const TlsTicketKey* find(std::span<const uint8_t, TlsTicketKey::kNameSize> name) const;
};

class TlsTicketKeys {
 public:
  // A ticket is good for two to three of these.
  static constexpr int64_t kRotationSeconds = 6 * 3600;

  // Times are seconds since 1970. The secret is random, but for tests.
  explicit TlsTicketKeys(int64_t now);
  TlsTicketKeys(const std::array<uint8_t, TlsTicketKey::kSecretSize>& secret, int64_t now);
  TlsTicketKeys(const TlsTicketKeys&) = delete;
  TlsTicketKeys& operator=(const TlsTicketKeys&) = delete;

  // The keys at `now`; a time that has passed gets those of the latest. Any thread.
  TlsTicketRing ring(int64_t now);

 private:
  void fill();
  void step();

  std::mutex mutex_;
  std::array<uint8_t, TlsTicketKey::kSecretSize> secret_;  // What the next key comes from.
  TlsTicketRing ring_;
};

}  // namespace shunt::io
