// Builds the heads that go out: hop-by-hop fields removed, forwarding fields added, framing stated once and clearly.
// Writes into memory of the caller, allocates nothing. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/address.h"
#include "core/config.h"
#include "proxy/message.h"

namespace shunt::proxy {

// Appends to a fixed piece of memory; remembers if it did not fit.
class HeadBuffer {
 public:
  explicit HeadBuffer(std::span<char> memory) : memory_(memory) {}
  void append(std::string_view text);
  void append_number(uint64_t value);  // Decimal.
  bool overflowed() const { return overflowed_; }
  std::string_view view() const { return {memory_.data(), size_}; }

 private:
  std::span<char> memory_;
  size_t size_ = 0;
  bool overflowed_ = false;
};

struct RequestForwarding {
  std::string_view scheme = "http";      // Of the client's connection.
  std::string_view client_ip;            // Text without brackets; "unknown" for unix sockets.
  bool forwarded = true;                 // X-Forwarded-*, Forwarded (RFC 7239), Via.
  config::HostHeader host_header = config::HostHeader::kPass;
  std::string_view host;                 // For kServer and kFixed.
  bool chunked = false;                  // The body goes out chunked (else Content-Length or none, as request.framing says).
};

// The request head for a server: origin-form target, HTTP/1.1, Host first, end-to-end fields in order, X-Forwarded-For
// extended (RFC 7239 likewise), framing, blank line. Keep-alive is implied.
void write_request_head(HeadBuffer& out, const RequestHead& request, const RequestForwarding& how);

struct ResponseForwarding {
  Version client_version = Version::kHttp11;
  bool keep_alive = true;                // Of the client's connection after this answer.
  bool chunked = false;                  // The body goes out chunked.
  bool via = true;
};

// The answer head for the client. 1xx answers carry no framing and no Connection. For answers to HEAD and 304 the
// Content-Length (or Transfer-Encoding) that the server sent is passed on.
void write_response_head(HeadBuffer& out, const ResponseHead& response, const ResponseForwarding& how);

// A whole answer of our own (error page, respond, redirect): head and body. `location` for redirects, else empty.
// With `head_only` (a HEAD request) the body is left out and Content-Length stays.
struct LocalResponse {
  uint16_t status = 500;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string_view body;
  std::string_view location;
  bool keep_alive = true;
  bool head_only = false;
  Version client_version = Version::kHttp11;
};
void write_local_response(HeadBuffer& out, const LocalResponse& response);

// The reason phrase registered for a status, "Unknown" for others.
std::string_view reason_phrase(uint16_t status);

}  // namespace shunt::proxy
