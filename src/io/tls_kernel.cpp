// The layouts of linux/tls.h, the count of records, and the probe. See the header.
#include "io/tls_kernel.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "core/assert.h"

namespace shunt::io {
namespace {

// In all of them the record's number stands at the end, in network order.
constexpr size_t kNumberSize = 8;
// In those of AES-GCM the nonce's explicit part (RFC 5288 §3) stands first. In TLS 1.2 OpenSSL and
// the kernel both count it up from a random beginning, in TLS 1.3 there is none.
constexpr size_t kExplicitNonce = sizeof(tls_crypto_info);
static_assert(offsetof(tls12_crypto_info_aes_gcm_128, iv) == kExplicitNonce);
static_assert(offsetof(tls12_crypto_info_aes_gcm_256, iv) == kExplicitNonce);
static_assert(TLS_CIPHER_AES_GCM_128_IV_SIZE == kNumberSize);
static_assert(TLS_CIPHER_AES_GCM_256_IV_SIZE == kNumberSize);

bool has_explicit_nonce(const tls_crypto_info& head) {
  return head.version == TLS_1_2_VERSION && head.cipher_type != TLS_CIPHER_CHACHA20_POLY1305;
}

// A number in network order.
void count_up(std::span<char, kNumberSize> number) {
  for (size_t i = kNumberSize; i > 0; --i)
    if (++number[i - 1] != 0) return;
}

// The size of the value for a cipher; 0: one that we do not know.
uint32_t size_for(uint16_t cipher) {
  switch (cipher) {
    case TLS_CIPHER_AES_GCM_128:
      return sizeof(tls12_crypto_info_aes_gcm_128);
    case TLS_CIPHER_AES_GCM_256:
      return sizeof(tls12_crypto_info_aes_gcm_256);
    case TLS_CIPHER_CHACHA20_POLY1305:
      return sizeof(tls12_crypto_info_chacha20_poly1305);
    default:
      return 0;
  }
}

class Socket {
 public:
  Socket() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// The option is for established connections only, so it takes one to ask.
KernelTls ask_kernel() {
  const Socket listener;
  const Socket connection;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  const bool connected = ::bind(listener.fd(), raw, size) == 0 && ::listen(listener.fd(), 1) == 0 &&
                         ::getsockname(listener.fd(), raw, &size) == 0 &&
                         ::connect(connection.fd(), raw, size) == 0;
  if (!connected)
    return {.reason = fmt::format("127.0.0.1 cannot be used to find out: {}", strerror(errno))};
  if (::setsockopt(connection.fd(), IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls") == 0)
    return {.available = true};
  if (errno == ENOENT) return {.reason = "the kernel has no module \"tls\", or it is not loaded"};
  return {.reason = fmt::format("the kernel refuses it: {}", strerror(errno))};
}

KernelTls find_out() {
#ifdef OPENSSL_NO_KTLS
  return {.reason = "OpenSSL was built without it"};
#else
  return ask_kernel();
#endif
}

}  // namespace

const KernelTls& kernel_tls() {
  static const KernelTls kFound = find_out();
  return kFound;
}

void TlsKernelKeys::keep(const void* info) {
  forget();
  tls_crypto_info head{};
  std::memcpy(&head, info, sizeof head);
  const uint32_t size = size_for(head.cipher_type);
  if (size == 0) return;
  SHUNT_ASSERT(size <= info_.size());
  std::memcpy(info_.data(), info, size);
  size_ = size;
  explicit_nonce_ = has_explicit_nonce(head);
}

void TlsKernelKeys::forget() {
  OPENSSL_cleanse(info_.data(), size_);
  size_ = header_seen_ = left_ = 0;
}

void TlsKernelKeys::count(std::span<const char> bytes) {
  if (!known()) return;
  while (!bytes.empty()) {
    if (header_seen_ < kHeaderSize) {
      // The length is the last two bytes of the header.
      if (header_seen_ >= 3) left_ = left_ << 8 | static_cast<uint8_t>(bytes.front());
      ++header_seen_;
      bytes = bytes.subspan(1);
    }
    if (header_seen_ < kHeaderSize) continue;
    const size_t step = std::min<size_t>(left_, bytes.size());
    left_ -= static_cast<uint32_t>(step);
    bytes = bytes.subspan(step);
    if (left_ > 0) continue;
    header_seen_ = 0;
    count_up(std::span(info_).subspan(size_ - kNumberSize).first<kNumberSize>());
    if (explicit_nonce_) count_up(std::span(info_).subspan<kExplicitNonce, kNumberSize>());
  }
}

std::span<const char> TlsKernelKeys::value() {
  if (header_seen_ > 0) return {};
  return {info_.data(), size_};
}

}  // namespace shunt::io
