// What a TLS connection sends: records made by OpenSSL, up to 64 KiB for one call on the socket, or
// plain bytes that the kernel makes records of.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/assert.h"
#include "io/tls_engine.h"
#include "io/tls_stream.h"

namespace shunt::io {
namespace {

// Of one send_now: more than any caller has (BodyRelay's chunks are the most).
constexpr size_t kPartsMax = 64;

// Goes through gathered parts in pieces of at most a record: large parts as they are, small ones
// moved together.
class Records {
 public:
  Records(std::span<const iovec> parts, std::span<char> room) : parts_(parts), room_(room) {}

  void skip(size_t size) {
    while (size > 0) {
      const std::span<char> rest = current();
      SHUNT_ASSERT(!rest.empty());
      const size_t step = std::min(size, rest.size());
      offset_ += step;
      size -= step;
    }
  }

  // Empty at the end.
  std::span<const char> next() {
    std::span<char> rest = current();
    if (rest.size() >= room_.size() || is_last()) {
      rest = rest.first(std::min(rest.size(), room_.size()));
      offset_ += rest.size();
      return rest;
    }
    size_t filled = 0;
    for (; filled < room_.size() && !rest.empty(); rest = current()) {
      const size_t step = std::min(rest.size(), room_.size() - filled);
      std::memcpy(room_.data() + filled, rest.data(), step);
      filled += step;
      offset_ += step;
    }
    return room_.first(filled);
  }

 private:
  // What is left of the first part that has anything left.
  std::span<char> current() {
    while (!parts_.empty() && offset_ == parts_.front().iov_len) {
      parts_ = parts_.subspan(1);
      offset_ = 0;
    }
    if (parts_.empty()) return {};
    return {static_cast<char*>(parts_.front().iov_base) + offset_,
            parts_.front().iov_len - offset_};
  }
  bool is_last() const { return parts_.size() <= 1; }

  std::span<const iovec> parts_;
  std::span<char> room_;
  size_t offset_ = 0;  // In the first part.
};

}  // namespace

int64_t TlsStream::send_now(std::span<const iovec> parts, bool more) {
  SHUNT_ASSERT(ssl_ != nullptr);
  if (broken_) return socket_error_;
  if (by_kernel_) return send_by_kernel(parts, more);
  if (!flush_unsent()) return socket_error_;
  if (unsent() > 0) return -EAGAIN;
  // `more` is not looked at: every call ends with a record and a push.
  size_t accepted = 0;
  if (!encrypt(parts, std::exchange(owed_, false) ? 1 : 0, accepted)) return socket_error_;
  if (unsent() == 0) return static_cast<int64_t>(accepted);
  owed_ = true;
  return accepted > 1 ? static_cast<int64_t>(accepted - 1) : -EAGAIN;
}

// Until everything is accepted, `skip` bytes included, or the kernel has no room. False on an
// error.
bool TlsStream::encrypt(std::span<const iovec> parts, size_t skip, size_t& accepted) {
  Records records(parts, engine_.record_);
  records.skip(skip);
  accepted = skip;
  for (std::span<const char> record = records.next(); !record.empty(); record = records.next()) {
    size_t written = 0;
    ERR_clear_error();
    const int done = SSL_write_ex(ssl_.get(), record.data(), record.size(), &written);
    if (done != 1) {
      // The BIO takes whatever it gets here, so this is never a want of room.
      const int64_t reason = failed(done);
      SHUNT_ASSERT(reason < 0 && reason != -EAGAIN);
      flush();
      return false;
    }
    accepted += written;
    if (engine_.outgoing_.size < TlsEngine::kWriteSize) continue;
    if (!flush()) return false;
    if (unsent() > 0) return true;
  }
  return flush();
}

// Sends what OpenSSL has encrypted in this call; what the kernel does not take is kept. False on an
// error of the socket.
bool TlsStream::flush() {
  TlsEngine::Outgoing& out = engine_.outgoing_;
  const size_t size = std::exchange(out.size, 0);
  if (size == 0) return true;
  SHUNT_ASSERT(unsent() == 0);
  const iovec part{out.bytes.data(), size};
  int64_t sent = engine_.io().send_now(fd_, {&part, 1}, false);
  if (sent == -EAGAIN) sent = 0;
  if (sent < 0) {
    socket_error_ = static_cast<int>(sent);
    broken_ = true;
    return false;
  }
  const size_t rest = size - static_cast<size_t>(sent);
  if (rest == 0) return true;
  unsent_ = std::make_unique_for_overwrite<char[]>(rest);
  std::memcpy(unsent_.get(), out.bytes.data() + sent, rest);
  unsent_begin_ = 0;
  unsent_size_ = static_cast<uint32_t>(rest);
  return true;
}

// False on an error of the socket; what is left may still be unsent otherwise.
bool TlsStream::flush_unsent() {
  if (unsent() == 0) return true;
  const iovec part{unsent_.get() + unsent_begin_, unsent_size_};
  const int64_t sent = engine_.io().send_now(fd_, {&part, 1}, false);
  if (sent == -EAGAIN) return true;
  if (sent < 0) {
    socket_error_ = static_cast<int>(sent);
    broken_ = true;
    return false;
  }
  unsent_begin_ += static_cast<uint32_t>(sent);
  unsent_size_ -= static_cast<uint32_t>(sent);
  if (unsent_size_ == 0) unsent_.reset();
  return true;
}

// --- By the kernel ---

bool TlsStream::may_splice_out(uint64_t size) {
  if (by_kernel_) return !broken_;
  if (size < TlsEngine::kTakeOverMinimum || !keys_.known()) return false;
  if (!established_ || broken_ || holds_unsent()) return false;
  // The peer has asked for new keys, which OpenSSL changes with its next record.
  if (SSL_get_key_update_type(ssl_.get()) != SSL_KEY_UPDATE_NONE) return false;
  const std::span<const char> value = keys_.value();
  by_kernel_ = !value.empty() && engine_.io().encrypt_sends(fd_, value) == 0;
  keys_.forget();  // In use, or of no use.
  return by_kernel_;
}

bool TlsStream::may_end() const {
  return !by_kernel_ || engine_.io().is_writable(fd_);
}

// As with OpenSSL, the last byte counts only once nothing may be left behind.
int64_t TlsStream::send_by_kernel(std::span<const iovec> parts, bool more) {
  std::array<iovec, kPartsMax> rest;
  size_t count = 0;
  size_t total = 0;
  size_t taken = owed_ ? 1 : 0;
  for (const iovec& part : parts) {
    if (part.iov_len == 0) continue;
    const size_t skip = total == 0 ? taken : 0;
    total += part.iov_len;
    if (part.iov_len == skip) continue;
    SHUNT_ASSERT(count < rest.size());
    rest[count++] = {static_cast<char*>(part.iov_base) + skip, part.iov_len - skip};
  }
  if (count > 0) {
    const int64_t sent = engine_.io().send_now(fd_, std::span(rest).first(count), more);
    if (sent < 0 && sent != -EAGAIN) return sent;
    taken += sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  owed_ = taken == total && !may_end();
  if (owed_) --taken;
  return taken > 0 ? static_cast<int64_t>(taken) : -EAGAIN;
}

}  // namespace shunt::io
