// The ClientHello: records put together, then the message taken apart, field by field as RFC 8446
// §4.1.2 lists them (which TLS 1.0 to 1.2 agree with).
#include "io/client_hello.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace shunt::io {
namespace {

using Status = ClientHello::Status;

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr uint8_t kMajorVersion = 3;
constexpr size_t kRecordHeader = 5;
constexpr size_t kMessageHeader = 4;
constexpr size_t kRecordMax = 16 * 1024;
constexpr size_t kRandom = 32;
constexpr size_t kSessionIdMax = 32;
constexpr uint32_t kServerNameExtension = 0;
constexpr uint32_t kHostName = 0;

// Takes fields off the front of a message. What is asked for beyond its end is nothing.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }

  std::optional<std::string_view> take(size_t size) {
    if (size > bytes_.size()) return std::nullopt;
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  // A number of `size` bytes, the highest first.
  std::optional<uint32_t> number(size_t size) {
    const auto taken = take(size);
    if (!taken) return std::nullopt;
    uint32_t value = 0;
    for (const char byte : *taken) value = value << 8 | static_cast<uint8_t>(byte);
    return value;
  }

  // A vector: its length in `size` bytes, then so many.
  std::optional<std::string_view> vector(size_t size) {
    const auto length = number(size);
    return length ? take(*length) : std::nullopt;
  }

 private:
  std::string_view bytes_;
};

ClientHello ended(Status status) {
  ClientHello hello;
  hello.status = status;
  return hello;
}

ClientHello malformed(const char* why) {
  ClientHello hello = ended(Status::kMalformed);
  hello.why = why;
  return hello;
}

// Letters, digits, "-", "_" and dots: what a rule can name.
bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// The list has one element of one kind: other kinds were never defined, and would have a form that
// nobody knows (RFC 6066 §3).
ClientHello read_server_name(std::string_view extension) {
  Fields outer(extension);
  const auto list = outer.vector(2);
  if (!list || !outer.empty()) return malformed("server_name: a wrong length");
  Fields inner(*list);
  const auto kind = inner.number(1);
  const auto name = inner.vector(2);
  if (!kind || !name || !inner.empty()) return malformed("server_name: not one name");
  if (*kind != kHostName) return malformed("server_name: not a host name");
  if (name->empty() || name->size() > kServerNameMax) return malformed("server_name: a wrong size");
  ClientHello hello = ended(Status::kComplete);
  std::ranges::transform(*name, hello.name_bytes.begin(), to_lower);
  hello.name_size = static_cast<uint8_t>(name->size());
  if (!std::ranges::all_of(hello.name(), is_name_byte))
    return malformed("server_name: not a host name");
  return hello;
}

ClientHello read_extensions(std::string_view extensions) {
  Fields fields(extensions);
  ClientHello hello = ended(Status::kComplete);
  bool named = false;
  while (!fields.empty()) {
    const auto type = fields.number(2);
    const auto data = fields.vector(2);
    if (!type || !data) return malformed("an extension beyond the end");
    if (*type != kServerNameExtension) continue;
    if (std::exchange(named, true)) return malformed("server_name comes twice");
    hello = read_server_name(*data);
    if (hello.status != Status::kComplete) return hello;
  }
  return hello;
}

ClientHello read_message(std::string_view message) {
  Fields fields(message);
  const auto version = fields.number(2);
  const auto random = fields.take(kRandom);
  const auto session_id = fields.vector(1);
  const auto ciphers = fields.vector(2);
  const auto compressions = fields.vector(1);
  if (!version || !random || !session_id || !ciphers || !compressions)
    return malformed("it ends too early");
  if (*version >> 8 != kMajorVersion) return malformed("not a version of TLS");
  if (session_id->size() > kSessionIdMax) return malformed("the session id is too long");
  if (ciphers->empty() || ciphers->size() % 2 != 0) return malformed("the ciphers are no list");
  if (compressions->empty()) return malformed("no compression method");
  if (fields.empty()) return ended(Status::kComplete);  // TLS 1.2 knows none without extensions.
  const auto extensions = fields.vector(2);
  if (!extensions || !fields.empty()) return malformed("extensions of a wrong length");
  return read_extensions(*extensions);
}

// The records of one message, one after the other.
class Records {
 public:
  explicit Records(std::string_view bytes) : bytes_(bytes) {}

  // The payload of the next record, as far as it is here; empty: nothing of it is, or refused().
  std::string_view next() {
    check_header();
    if (refused_ || bytes_.size() < kRecordHeader) return {};
    const size_t length = static_cast<size_t>(byte(3)) << 8 | byte(4);
    if (length == 0 || length > kRecordMax) {
      refused_ = malformed("a record of a wrong length");
      return {};
    }
    const std::string_view payload = bytes_.substr(kRecordHeader, length);
    bytes_.remove_prefix(kRecordHeader + payload.size());
    header_bytes_ += kRecordHeader;
    return payload;
  }

  size_t header_bytes() const { return header_bytes_; }
  const std::optional<ClientHello>& refused() const { return refused_; }

 private:
  uint8_t byte(size_t at) const { return static_cast<uint8_t>(bytes_[at]); }

  // As far as it is here: what is no TLS shows with its first bytes.
  void check_header() {
    const bool first = header_bytes_ == 0;
    if (!bytes_.empty() && byte(0) != kHandshakeRecord) {
      refused_ = first ? ended(Status::kNotTls) : malformed("another record within the message");
    } else if (bytes_.size() > 1 && byte(1) != kMajorVersion) {
      refused_ = first ? ended(Status::kNotTls) : malformed("not a version of TLS");
    }
  }

  std::string_view bytes_;
  size_t header_bytes_ = 0;
  std::optional<ClientHello> refused_;
};

}  // namespace

ClientHello parse_client_hello(std::string_view bytes) {
  Records records(bytes);
  std::array<char, kClientHelloMax> message;
  size_t have = 0;               // Of the message, its header included.
  size_t want = kMessageHeader;  // More once the header is here.
  while (have < want) {
    const std::string_view payload = records.next();
    if (records.refused()) return *records.refused();
    if (payload.empty())
      return ended(bytes.size() < kClientHelloMax ? Status::kIncomplete : Status::kTooLarge);
    const size_t size = std::min(payload.size(), message.size() - have);
    std::copy_n(payload.begin(), size, message.begin() + static_cast<ptrdiff_t>(have));
    const bool had_header = have >= kMessageHeader;
    have += size;
    if (message[0] != kClientHelloMessage) return ended(Status::kNotTls);
    if (!had_header && have >= kMessageHeader) want += *Fields({&message[1], 3}).number(3);
    if (records.header_bytes() + want > kClientHelloMax) return ended(Status::kTooLarge);
  }
  return read_message({&message[kMessageHeader], want - kMessageHeader});
}

}  // namespace shunt::io
