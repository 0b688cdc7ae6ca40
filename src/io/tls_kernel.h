// kTLS: the kernel encrypts what a connection sends, so that bodies can be spliced to it. Here is
// whether this kernel can, and what it must be told to take over from OpenSSL in the middle of a
// connection. TlsKernelKeys are owned by their TlsStream and used on its thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace shunt::io {

struct KernelTls {
  bool available = false;
  std::string reason = {};  // Why not; for the log.
};

// Found out at the first call, by trying; any thread. That call should still have root's rights:
// the kernel loads its module "tls" for none else.
const KernelTls& kernel_tls();

// The keys for sending of one connection, and how many records they have encrypted.
class TlsKernelKeys {
 public:
  TlsKernelKeys() = default;
  TlsKernelKeys(const TlsKernelKeys&) = delete;
  TlsKernelKeys& operator=(const TlsKernelKeys&) = delete;
  ~TlsKernelKeys() { forget(); }

  // `info` begins as the value of the option TLS_TX (linux/tls.h): version, cipher and what that
  // needs. Ciphers of which nothing is known leave no keys.
  void keep(const void* info);
  void forget();
  bool known() const { return size_ > 0; }

  // What OpenSSL has encrypted with these keys, in order and without a gap.
  void count(std::span<const char> bytes);
  // The value of TLS_TX for whoever sends the next record; valid until the next call. Empty without
  // keys, or in the middle of a record.
  std::span<const char> value();

 private:
  static constexpr size_t kSizeMax = 64;
  static constexpr size_t kHeaderSize = 5;  // RFC 8446 §5.1: type, version, length.

  std::array<char, kSizeMax> info_{};
  uint32_t size_ = 0;            // Of info_; 0: no keys.
  bool explicit_nonce_ = false;  // Part of info_, counted as the records are.
  uint32_t header_seen_ = 0;     // Bytes of the header of the record at hand.
  uint32_t left_ = 0;            // Its length, then bytes of it that have not been seen.
};

}  // namespace shunt::io
