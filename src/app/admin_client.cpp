// connect → request → head → body, in chunks or of a length. Shunt's own strict parsers read what
// comes, so that a port that somebody else listens on is told apart.
#include "app/admin_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "proxy/chunked.h"
#include "proxy/http_parser.h"

namespace shunt::app {
namespace {

constexpr size_t kPiece = 64 * 1024;
constexpr size_t kBodyMost = 256 * 1024 * 1024;
constexpr proxy::HeadLimits kLimits{};
constexpr uint16_t kOk = 200;

Error explain_connect(const SocketAddress& address, int error) {
  const std::string where = address.to_string();
  if (error == EACCES || error == EPERM)
    return {fmt::format("{}: permission denied; this socket is for the user who started Shunt: run "
                        "`shunt ctl` as that user, or as root",
                        where),
            EACCES};
  if (error == ECONNREFUSED || error == ENOENT)
    return {fmt::format("nobody listens on {}; a Shunt that is to answer needs [global] admin = "
                        "\"{}\", and `shunt ctl --admin ADDRESS` or `--config FILE` says where "
                        "else to ask",
                        where, where),
            error};
  return {fmt::format("{}: {}", where, std::strerror(error)), error};
}

class Connection {
 public:
  explicit Connection(const SocketAddress& address)
      : address_(address), fd_(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (fd_ >= 0) ::close(fd_);
  }

  Result<void> ask(const std::string& target) {
    if (fd_ < 0 || ::connect(fd_, address_.data(), address_.size()) != 0)
      return std::unexpected(explain_connect(address_, errno));
    const std::string request =
        fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target);
    if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(request.size()))
      return {};
    return lost();
  }

  // Appends what comes next. False at the end.
  Result<bool> receive(std::string& out) {
    std::array<char, kPiece> bytes;
    for (;;) {
      const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return lost();
      out.append(bytes.data(), static_cast<size_t>(got));
      return got > 0;
    }
  }

  std::unexpected<Error> lost() const {
    return fail(fmt::format("{}: the connection was lost before the answer was complete",
                            address_.to_string()));
  }
  std::unexpected<Error> foreign() const {
    return fail(fmt::format("what answers on {} is no Shunt", address_.to_string()));
  }

 private:
  const SocketAddress address_;
  const int fd_;
};

// Takes the head off the front of `bytes`.
Result<proxy::ResponseHead> read_head(Connection& connection, std::string& bytes) {
  proxy::HeadScanner scanner(/*request=*/false);
  for (;;) {
    const proxy::Scan scan = scanner.scan(bytes, kLimits);
    if (scan == proxy::Scan::kReject) return connection.foreign();
    if (scan == proxy::Scan::kComplete) break;
    const auto more = connection.receive(bytes);
    if (!more) return std::unexpected(more.error());
    if (!*more) return bytes.empty() ? connection.lost() : connection.foreign();
  }
  proxy::ResponseHead head;
  const std::string text = bytes.substr(0, scanner.head_size());
  if (proxy::parse_response(text, kLimits, proxy::Method::kGet, head)) return connection.foreign();
  bytes.erase(0, text.size());
  return head;  // Its views are gone, and not looked at.
}

Result<void> read_chunks(Connection& connection, std::string bytes, const TakeBytes& take,
                         std::string& trailer) {
  proxy::ChunkedDecoder decoder;
  for (;;) {
    std::string_view rest = bytes;
    while (!rest.empty()) {
      std::array<iovec, 16> pieces;
      const auto step = decoder.decode(rest, pieces);
      for (uint32_t i = 0; i < step.pieces; ++i) {
        if (!take({static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len})) return {};
      }
      rest.remove_prefix(step.consumed);
      if (step.status == proxy::ChunkedDecoder::Status::kDone) {
        trailer = decoder.trailers();
        return {};
      }
      if (step.status == proxy::ChunkedDecoder::Status::kReject) return connection.foreign();
    }
    bytes.clear();
    const auto more = connection.receive(bytes);
    if (!more) return std::unexpected(more.error());
    if (!*more) return connection.lost();
  }
}

Result<void> read_length(Connection& connection, std::string bytes, uint64_t length,
                         const TakeBytes& take) {
  for (;;) {
    if (!bytes.empty() && !take(bytes)) return {};
    length -= std::min<uint64_t>(length, bytes.size());
    if (length == 0) return {};
    bytes.clear();
    const auto more = connection.receive(bytes);
    if (!more) return std::unexpected(more.error());
    if (!*more) return connection.lost();
  }
}

Result<void> read_body(Connection& connection, const proxy::ResponseHead& head, std::string bytes,
                       const TakeBytes& take, std::string& trailer) {
  if (head.framing == proxy::Framing::kChunked)
    return read_chunks(connection, std::move(bytes), take, trailer);
  return read_length(connection, std::move(bytes), head.content_length, take);
}

// {"error": "text"} as text; anything else as it is.
std::string error_text(std::string_view body) {
  constexpr std::string_view kBefore = "{\"error\": \"";
  constexpr std::string_view kBehind = "\"}\n";
  if (!body.starts_with(kBefore) || !body.ends_with(kBehind)) return std::string(body);
  body.remove_prefix(kBefore.size());
  body.remove_suffix(kBehind.size());
  std::string text;
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\\' && i + 1 < body.size()) ++i;
    text += body[i];
  }
  return text;
}

}  // namespace

Result<void> ask_admin(const SocketAddress& address, const std::string& target,
                       const TakeBytes& take, std::string* trailer) {
  Connection connection(address);
  SHUNT_TRY(connection.ask(target));
  std::string bytes;
  const auto head = read_head(connection, bytes);
  if (!head) return std::unexpected(head.error());
  std::string unused;
  std::string& fields = trailer == nullptr ? unused : *trailer;
  if (head->status == kOk) return read_body(connection, *head, std::move(bytes), take, fields);
  std::string body;
  const auto add = [&](std::string_view piece) {
    body += piece;
    return body.size() < kPiece;
  };
  SHUNT_TRY(read_body(connection, *head, std::move(bytes), add, fields));
  return fail(error_text(body));
}

Result<std::string> ask_admin(const SocketAddress& address, const std::string& target) {
  std::string body;
  SHUNT_TRY(ask_admin(address, target, [&](std::string_view piece) {
    body += piece;
    return body.size() < kBodyMost;
  }));
  return body;
}

bool Lines::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    rest_ += bytes.substr(0, end);
    if (end == std::string_view::npos) return true;
    if (!take_(rest_)) return false;
    rest_.clear();
    bytes.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace shunt::app
