// Builds the heads that go out: hop-by-hop fields removed, forwarding fields added, framing stated
// once and clearly. Writes into memory of the caller, allocates nothing. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/config.h"
#include "proxy/cookies.h"
#include "proxy/message.h"
#include "proxy/sticky.h"
#include "rules/actions.h"

namespace shunt::proxy {

// How much larger than the head that was received (and RequestForwarding::host) the one that goes
// out can be: a space behind each colon, the forwarding fields with an authority and an address in
// each, Via, framing, Connection. Memory of that size cannot overflow.
inline constexpr size_t kHeadGrowthMax = 3072;

// What is passed on of the subject of a client's certificate.
inline constexpr size_t kClientSubjectMax = 512;

// The largest head that goes out where a rule's actions may make it grow: as large as those that
// come in, with the above.
inline constexpr size_t kHeadOutMax = 64 * 1024 + kHeadGrowthMax;

// Appends to a fixed piece of memory; remembers if it did not fit.
class HeadBuffer {
 public:
  explicit HeadBuffer(std::span<char> memory) : memory_(memory) {}
  void append(std::string_view text);
  void append_number(uint64_t value);                                // Decimal.
  void append_field(std::string_view name, std::string_view value);  // A field line with its CRLF.
  bool overflowed() const { return overflowed_; }
  size_t size() const { return size_; }
  void truncate(size_t size) { size_ = size; }  // Takes back what was appended behind `size`.
  std::string_view view() const { return {memory_.data(), size_}; }

 private:
  std::span<char> memory_;
  size_t size_ = 0;
  bool overflowed_ = false;
};

// A rule's edits of a message's fields. `values` as long as `edits` is not null.
struct HeadEdits {
  const rules::HeaderEdits* edits = nullptr;
  const rules::Values* values = nullptr;

  bool drops(std::string_view name) const { return edits != nullptr && edits->drops(name); }
};

struct RequestForwarding {
  std::string_view scheme = "http";  // Of the client's connection.
  std::string_view client_ip;        // Text without brackets; "unknown" for unix sockets.
  bool forwarded = true;             // X-Forwarded-*, Forwarded (RFC 7239), Via.
  config::HostHeader host_header = config::HostHeader::kPass;
  std::string_view host;  // For kServer and kFixed, and for requests without authority.
  // Names (lower case) of fields that clients must not state; see Snapshot::client_headers.
  std::span<const std::string> withheld = {};
  std::string_view client_header;   // The one of them for client_subject; empty: none.
  std::string_view client_subject;  // Empty: the client has shown no certificate.
  bool chunked = false;  // The body goes out chunked; must be set if request.framing is kChunked.
  std::string_view target;   // Rewritten, in origin form; empty: as it came.
  HeadEdits fields;          // Ours (X-Forwarded-For…) give way to those that are set or removed.
  std::string_view upgrade;  // The protocol to offer a change to; empty: none.
  CookieFilter cookies;      // What is ours and of no use to the server.
};

// The request head for a server: origin-form target, HTTP/1.1, Host first, end-to-end fields in
// order, X-Forwarded-For extended (RFC 7239 likewise), framing, blank line. Keep-alive is implied.
//
// Left out: hop-by-hop fields and what Connection names (RFC 9110 §7.6.1), but not what every
// recipient must see even if Connection names it; TE, and Upgrade but for how.upgrade, since
// neither is offered to servers; Proxy-Authorization, since credentials for a proxy end at the last
// one (RFC 9110 §11.7.2); Proxy, which CGI would turn into HTTP_PROXY; fields with "_" that a
// CGI-like server takes for one the proxy states or removes; Expect where it must be ignored
// (HTTP/1.0, no content).
//
// Trust: with `forwarded`, what the client says about its own connection (X-Forwarded-Proto,
// X-Forwarded-Host) is replaced by what is known here, and client lists (X-Forwarded-For,
// Forwarded) are kept in front of our own element: servers may trust the last element only, or
// those of proxies they know. A Forwarded field that could swallow our element, because a quoted
// string in it does not end, is left out. Without `forwarded` all of them pass unchanged.
//
// Host: request.authority with kPass, else how.host. A request without authority (HTTP/1.0) gets
// how.host, and an empty Host (RFC 9112 §3.2) if that is empty.
void write_request_head(HeadBuffer& out, const RequestHead& request, const RequestForwarding& how);

struct ResponseForwarding {
  Version client_version = Version::kHttp11;
  bool keep_alive = true;  // Of the client's connection after this answer.
  // The body goes out chunked; not to HTTP/1.0. If it is not, and its end is not known beforehand,
  // the connection ends it: keep_alive must be false.
  bool chunked = false;
  bool via = true;
  HeadEdits fields = {};  // Not of 1xx answers.
  // For an answer that has no Date (RFC 9110 §6.6.1); empty: none is added.
  std::string_view date = {};
  std::string_view upgrade = {};  // Of a 101: the protocol that the connection changes to.
  StickyAnswer sticky = {};
};

// The answer head for the client: always HTTP/1.1, hop-by-hop fields left out as above. 1xx answers
// carry no framing and no Connection. For answers to HEAD and 304 the Content-Length (or
// Transfer-Encoding, not to HTTP/1.0) that the server sent is passed on.
void write_response_head(HeadBuffer& out, const ResponseHead& response,
                         const ResponseForwarding& how);

// A whole answer of our own (error page, respond, redirect): head and body. `location` for
// redirects, else empty. With `head_only` (a HEAD request) the body is left out and Content-Length
// stays.
struct LocalResponse {
  uint16_t status = 500;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string_view body;
  std::string_view location;
  std::string_view date;       // Empty: none.
  uint32_t retry_after_s = 0;  // Retry-After (RFC 9110 §10.2.3); 0: none.
  bool keep_alive = true;
  bool head_only = false;
  Version client_version = Version::kHttp11;
  HeadEdits fields = {};  // Location and Content-Type give way to those that are set or removed.
};
void write_local_response(HeadBuffer& out, const LocalResponse& response);

// The fields that `fields` writes.
void append_edits(HeadBuffer& out, const HeadEdits& fields);

// The reason phrase registered for a status, "Unknown" for others.
std::string_view reason_phrase(uint16_t status);

}  // namespace shunt::proxy
