// The four forms of a request target; authority-form belongs to CONNECT, which is not served.
#include "proxy/request_target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "proxy/characters.h"

namespace shunt::proxy {
namespace {

constexpr uint32_t kPortMax = 65535;
constexpr size_t kPortDigitsMax = 5;
// Longer than any DNS name or address with its port. The head that goes out repeats the authority;
// see kHeadGrowthMax.
constexpr size_t kAuthoritySizeMax = 262;

bool valid_port(std::string_view digits) {
  if (digits.size() > kPortDigitsMax || !is_all(digits, character::kDigit)) return false;
  uint32_t port = 0;
  for (const char digit : digits) port = port * 10 + static_cast<uint32_t>(digit - '0');
  return port <= kPortMax;
}

bool valid_ipv6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return false;
  std::ranges::copy(text, terminated.begin());
  in6_addr address;
  return inet_pton(AF_INET6, terminated.data(), &address) == 1;
}

std::optional<Reject> split_path(std::string_view text, RequestHead& out) {
  const size_t mark = text.find('?');
  out.path = text.substr(0, mark);
  if (mark != std::string_view::npos) out.query = text.substr(mark + 1);
  if (!is_all(out.path, character::kPath) || !is_all(out.query, character::kQuery)) {
    return Reject{400, "invalid character in the request target"};
  }
  return std::nullopt;
}

// The length of "http://" or "https://" at the front, or 0.
size_t scheme_size(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (equals_lower(target.substr(0, scheme.size()), scheme)) return scheme.size();
  }
  return 0;
}

std::optional<Reject> parse_absolute(std::string_view behind_scheme, RequestHead& out) {
  const size_t authority_size = std::min(behind_scheme.find_first_of("/?"), behind_scheme.size());
  const auto authority = parse_authority(behind_scheme.substr(0, authority_size));
  if (!authority) return Reject{400, "invalid authority in the request target"};
  out.authority = authority->text;
  out.host = authority->host;
  const std::string_view rest = behind_scheme.substr(authority_size);
  if (auto reject = split_path(rest, out)) return reject;
  if (out.path.empty()) {
    // RFC 9112 §3.2.4: OPTIONS for a whole server, seen by a proxy.
    out.path = rest.empty() && out.method == Method::kOptions ? "*" : "/";
  }
  return std::nullopt;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  if (text.size() > kAuthoritySizeMax) return std::nullopt;
  const bool literal = text.starts_with('[');
  size_t host_size = 0;
  if (literal) {
    host_size = text.find(']');
    if (host_size == std::string_view::npos || !valid_ipv6(text.substr(1, host_size - 1))) {
      return std::nullopt;
    }
    ++host_size;
  } else {
    host_size = span_of(text, character::kRegName);
    if (host_size == 0) return std::nullopt;
  }
  const std::string_view rest = text.substr(host_size);
  if (!rest.empty() && (rest.front() != ':' || !valid_port(rest.substr(1)))) return std::nullopt;
  return Authority{text, text.substr(0, host_size)};
}

std::optional<Reject> parse_target(RequestHead& out) {
  if (out.target.starts_with('/')) return split_path(out.target, out);
  if (const size_t size = scheme_size(out.target)) {
    return parse_absolute(out.target.substr(size), out);
  }
  if (out.target == "*" && out.method == Method::kOptions) {
    out.path = out.target;
    return std::nullopt;
  }
  return Reject{400, "invalid request target"};
}

}  // namespace shunt::proxy
