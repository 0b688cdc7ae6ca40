// The fields that mean something to a proxy, told apart by name, and the rules for what may pass
// it: hop-by-hop fields (RFC 9110 §7.6.1), names that Connection may not take away, fields that no
// trailer section may carry. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/message.h"

namespace shunt::proxy {

enum class KnownField : uint8_t {
  kOther,
  kConnection,
  kContentLength,
  kExpect,
  kForwarded,
  kHost,
  kHttp2Settings,
  kKeepAlive,
  kMaxForwards,
  kProxy,
  kProxyAuthorization,
  kProxyConnection,
  kTe,
  kTransferEncoding,
  kUpgrade,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedProto,
};

struct FieldName {
  KnownField field = KnownField::kOther;
  // Spelt with "_" for "-". Not that field for HTTP, but servers with a CGI-like interface read
  // both as one.
  bool disguised = false;
};

// `name` must be a token.
FieldName known_field(std::string_view name);

// Whether one of the head's Connection fields names this field and may take it away. Fields that
// are meant for every recipient stay: RFC 9110 §7.6.1 forbids naming them, and removing them is an
// attack on the server's access rules.
bool removed_by_connection(const Head& head, std::string_view name);

// The one of `protocols` (lower case) that the request would change to, "" if it is none: it names
// exactly that protocol in Upgrade, says so in Connection, and has no body (RFC 9110 §7.8).
std::string_view upgrade_wanted(const RequestHead& request, std::span<const std::string> protocols);

// Fields that a trailer section must not carry (RFC 9110 §6.5.1): framing, routing, authentication,
// request modifiers, response control and content format, and what proxies state to servers.
bool forbidden_in_trailers(std::string_view name);

}  // namespace shunt::proxy
