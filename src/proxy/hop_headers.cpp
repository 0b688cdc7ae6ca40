// Field names by length, then by letters: called for every field of every head, twice.
#include "proxy/hop_headers.h"

#include <array>

#include "proxy/characters.h"

namespace shunt::proxy {
namespace {

// `name` is a token and at least as long as `lower`: OR-ing 0x20 maps no other token character onto
// a letter or "-".
bool same_letters(std::string_view name, std::string_view lower) {
  for (size_t i = 0; i < lower.size(); ++i) {
    if ((name[i] | 0x20) == lower[i]) continue;
    if (lower[i] != '-' || name[i] != '_') return false;
  }
  return true;
}

FieldName one_of(std::string_view name, std::string_view lower, KnownField field) {
  if (!same_letters(name, lower)) return {};
  return {field, name.find('_') != std::string_view::npos};
}

FieldName one_of(std::string_view name, std::string_view lower_a, KnownField a,
                 std::string_view lower_b, KnownField b) {
  const FieldName first = one_of(name, lower_a, a);
  return first.field == KnownField::kOther ? one_of(name, lower_b, b) : first;
}

constexpr auto kEndToEndAlways = std::to_array<std::string_view>({
    "accept",
    "age",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "host",
    "if-match",
    "if-none-match",
    "last-modified",
    "location",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "vary",
    "www-authenticate",
});

// What proxies state to servers: who asked, by which way and for what. A client that names one in
// Connection would have the statement of a proxy before this one removed; one in a trailer section
// would be merged behind it.
constexpr auto kStatedByProxies = std::to_array<std::string_view>({
    "cdn-loop",
    "cf-connecting-ip",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "remote-user",
    "true-client-ip",
    "via",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-user",
    "x-rewrite-url",
    "x-scheme",
});

// And everything that begins so: -for, -host, -proto, -port, -prefix, -client-cert…; and what
// listeners may be told to state of their clients' certificates (core/config_load_tls.cpp).
constexpr std::string_view kStatedPrefixes[] = {"x-forwarded", "x-client-"};

constexpr auto kForbiddenTrailers = std::to_array<std::string_view>({
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
});

template <size_t kSize>
bool listed(const std::array<std::string_view, kSize>& names, std::string_view name) {
  for (const std::string_view candidate : names) {
    if (candidate.size() == name.size() && same_letters(name, candidate)) return true;
  }
  return false;
}

bool stated_by_proxies(std::string_view name) {
  for (const std::string_view prefix : kStatedPrefixes) {
    if (name.size() >= prefix.size() && same_letters(name, prefix)) return true;
  }
  return listed(kStatedByProxies, name);
}

}  // namespace

FieldName known_field(std::string_view name) {
  using enum KnownField;
  switch (name.size()) {
    case 2:
      return one_of(name, "te", kTe);
    case 4:
      return one_of(name, "host", kHost);
    case 5:
      return one_of(name, "proxy", kProxy);
    case 6:
      return one_of(name, "expect", kExpect);
    case 7:
      return one_of(name, "upgrade", kUpgrade);
    case 9:
      return one_of(name, "forwarded", kForwarded);
    case 10:
      return one_of(name, "connection", kConnection, "keep-alive", kKeepAlive);
    case 12:
      return one_of(name, "max-forwards", kMaxForwards);
    case 14:
      return one_of(name, "content-length", kContentLength, "http2-settings", kHttp2Settings);
    case 15:
      return one_of(name, "x-forwarded-for", kXForwardedFor);
    case 16:
      return one_of(name, "x-forwarded-host", kXForwardedHost, "proxy-connection",
                    kProxyConnection);
    case 17:
      return one_of(name, "transfer-encoding", kTransferEncoding, "x-forwarded-proto",
                    kXForwardedProto);
    case 19:
      return one_of(name, "proxy-authorization", kProxyAuthorization);
    default:
      return {};
  }
}

bool removed_by_connection(const Head& head, std::string_view name) {
  if (!head.has_connection_names) return false;
  if (listed(kEndToEndAlways, name) || stated_by_proxies(name)) return false;
  for (const Field& field : head.fields()) {
    if (known_field(field.name).field != KnownField::kConnection) continue;
    TokenList options{field.value};
    for (std::string_view option; options.next(option);) {
      if (equals_ignoring_case(option, name)) return true;
    }
  }
  return false;
}

std::string_view upgrade_wanted(const RequestHead& request,
                                std::span<const std::string> protocols) {
  if (request.upgrade.empty() || request.version != Version::kHttp11) return {};
  if (request.framing != Framing::kNone || request.method != Method::kGet) return {};
  bool agreed = false;
  uint32_t upgrades = 0;
  for (const Field& field : request.fields()) {
    const FieldName name = known_field(field.name);
    if (name.disguised) continue;
    upgrades += name.field == KnownField::kUpgrade ? 1 : 0;
    if (name.field != KnownField::kConnection) continue;
    TokenList options{field.value};
    for (std::string_view option; options.next(option);)
      agreed |= equals_ignoring_case(option, "upgrade");
  }
  if (!agreed || upgrades != 1) return {};
  for (const std::string& protocol : protocols)
    if (equals_ignoring_case(request.upgrade, protocol)) return protocol;
  return {};
}

bool forbidden_in_trailers(std::string_view name) {
  return listed(kForbiddenTrailers, name) || stated_by_proxies(name);
}

}  // namespace shunt::proxy
