// Writes the heads that are passed on. Framing is written from what the parser decided, never
// copied.
#include "proxy/head_writer.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "core/assert.h"
#include "proxy/characters.h"
#include "proxy/framing.h"
#include "proxy/hop_headers.h"
#include "rules/text.h"

namespace shunt::proxy {
namespace {

constexpr std::string_view kEndLine = "\r\n";

// Fields of the client that ours are appended to.
struct ForwardedLists {
  bool x_forwarded_for = false;
  bool forwarded = false;
};

// Whether every quoted string in the value ends, so that what is appended stays outside (RFC 9110
// §5.6.4).
bool quotes_balanced(std::string_view value) {
  bool quoted = false;
  for (size_t i = 0; i < value.size(); ++i) {
    if (quoted && value[i] == '\\') {
      ++i;
    } else if (value[i] == '"') {
      quoted = !quoted;
    }
  }
  return !quoted;
}

void append_target(HeadBuffer& out, const RequestHead& request, std::string_view rewritten) {
  if (!rewritten.empty()) return out.append(rewritten);
  out.append(request.path);
  if (request.query.data() == nullptr) return;
  out.append("?");
  out.append(request.query);
}

// OPTIONS only (RFC 9110 §7.6.2); zero has been refused by the parser.
void append_max_forwards(HeadBuffer& out, const RequestHead& request, const Field& field) {
  const auto hops = parse_content_length(field.value);
  if (request.method != Method::kOptions || !hops || *hops == 0) {
    return out.append_field(field.name, field.value);
  }
  out.append(field.name);
  out.append(": ");
  out.append_number(*hops - 1);
  out.append(kEndLine);
}

// A field of the client's that is known to the proxy.
void append_known(HeadBuffer& out, KnownField known, const Field& field, const RequestHead& request,
                  bool forwarded, ForwardedLists& lists) {
  using enum KnownField;
  switch (known) {
    case kMaxForwards:
      return append_max_forwards(out, request, field);
    case kExpect:
      if (request.expect_continue) out.append_field("Expect", "100-continue");
      return;
    case kXForwardedHost:
    case kXForwardedProto:
      if (!forwarded) out.append_field(field.name, field.value);
      return;
    case kXForwardedFor:
      if (!forwarded) return out.append_field(field.name, field.value);
      lists.x_forwarded_for |= !field.value.empty();
      return;
    case kForwarded:
      if (!forwarded) return out.append_field(field.name, field.value);
      lists.forwarded |= !field.value.empty() && quotes_balanced(field.value);
      return;
    case kOther:
      SHUNT_ASSERT(false);
      return;
    case kConnection:
    case kContentLength:
    case kHost:
    case kHttp2Settings:
    case kKeepAlive:
    case kProxy:
    case kProxyAuthorization:
    case kProxyConnection:
    case kTe:
    case kTransferEncoding:
    case kUpgrade:
      return;
  }
}

// Whether only we may state this field; also when "_" stands for "-" in it, which servers with a
// CGI-like interface read as the same.
bool is_withheld(std::string_view name, const RequestForwarding& how) {
  const auto same = [](char received, char wanted) {
    if (received == '_') received = '-';
    return to_lower(received) == wanted;
  };
  return std::ranges::any_of(
      how.withheld, [&](const std::string& one) { return std::ranges::equal(name, one, same); });
}

void append_end_to_end(HeadBuffer& out, const Field& field, const RequestForwarding& how) {
  if (how.cookies.name.empty() || !rules::equals_lower(field.name, "cookie"))
    return out.append_field(field.name, field.value);
  const size_t line = out.size();
  out.append(field.name);
  out.append(": ");
  const size_t value = out.size();
  filter_cookies(field.value, how.cookies, [&out](std::string_view piece) { out.append(piece); });
  if (out.size() == value) return out.truncate(line);
  out.append(kEndLine);
}

// The client's values of a list field, each followed by ", ".
void append_list(HeadBuffer& out, const RequestHead& request, KnownField wanted) {
  for (const Field& field : request.fields()) {
    const FieldName name = known_field(field.name);
    if (name.field != wanted || name.disguised || field.value.empty()) continue;
    if (wanted == KnownField::kForwarded && !quotes_balanced(field.value)) continue;
    out.append(field.value);
    out.append(", ");
  }
}

// RFC 7239: an IPv6 address is bracketed and, for its colons, quoted; so is a host.
void append_forwarded(HeadBuffer& out, const RequestHead& request, const RequestForwarding& how) {
  const bool ipv6 = how.client_ip.find(':') != std::string_view::npos;
  out.append(ipv6 ? "for=\"[" : "for=");
  out.append(how.client_ip.empty() ? "unknown" : how.client_ip);
  if (ipv6) out.append("]\"");
  if (!request.authority.empty()) {
    out.append(";host=\"");
    out.append(request.authority);
    out.append("\"");
  }
  out.append(";proto=");
  out.append(how.scheme);
  out.append(kEndLine);
}

void append_forwarding_fields(HeadBuffer& out, const RequestHead& request,
                              const RequestForwarding& how, const ForwardedLists& lists) {
  if (!how.fields.drops("X-Forwarded-For")) {
    out.append("X-Forwarded-For: ");
    if (lists.x_forwarded_for) append_list(out, request, KnownField::kXForwardedFor);
    out.append(how.client_ip.empty() ? "unknown" : how.client_ip);
    out.append(kEndLine);
  }
  if (!how.fields.drops("X-Forwarded-Proto")) out.append_field("X-Forwarded-Proto", how.scheme);
  if (!request.authority.empty() && !how.fields.drops("X-Forwarded-Host"))
    out.append_field("X-Forwarded-Host", request.authority);
  if (!how.fields.drops("Forwarded")) {
    out.append("Forwarded: ");
    if (lists.forwarded) append_list(out, request, KnownField::kForwarded);
    append_forwarded(out, request, how);
  }
  if (how.fields.drops("Via")) return;
  out.append(request.version == Version::kHttp10 ? "Via: 1.0 shunt\r\n" : "Via: 1.1 shunt\r\n");
}

void append_content_length(HeadBuffer& out, uint64_t length) {
  out.append("Content-Length: ");
  out.append_number(length);
  out.append(kEndLine);
}

// What a client would get for GET: the server's own words on a body that is not there.
void append_framing_without_body(HeadBuffer& out, const ResponseHead& response, Version client) {
  for (const Field& field : response.fields()) {
    const FieldName name = known_field(field.name);
    if (name.disguised) continue;
    if (name.field == KnownField::kContentLength) {
      const auto length = parse_content_length(field.value);
      SHUNT_ASSERT(length.has_value());
      append_content_length(out, *length);
    } else if (name.field == KnownField::kTransferEncoding && client == Version::kHttp11) {
      out.append("Transfer-Encoding: chunked\r\n");
    }
  }
}

void append_response_framing(HeadBuffer& out, const ResponseHead& response,
                             const ResponseForwarding& how) {
  if (response.status < 200 || response.status == 204) return;
  if (how.chunked) {
    SHUNT_ASSERT(how.client_version == Version::kHttp11);
    return out.append("Transfer-Encoding: chunked\r\n");
  }
  switch (response.framing) {
    case Framing::kLength:
      return append_content_length(out, response.content_length);
    case Framing::kNone:
      if (response.status == 205) return append_content_length(out, 0);
      return append_framing_without_body(out, response, how.client_version);
    case Framing::kChunked:
    case Framing::kUntilClose:
      // The body ends with the connection.
      SHUNT_ASSERT(!how.keep_alive);
      return;
  }
}

bool passes_to_client(KnownField field) {
  using enum KnownField;
  switch (field) {
    case kConnection:
    case kContentLength:
    case kHttp2Settings:
    case kKeepAlive:
    case kProxyConnection:
    case kTe:
    case kTransferEncoding:
    case kUpgrade:
      return false;
    default:
      return true;
  }
}

void append_status_line(HeadBuffer& out, const ResponseHead& response) {
  out.append("HTTP/1.1 ");
  out.append_number(response.status);
  out.append(" ");
  out.append(response.reason);
  out.append(kEndLine);
}

void append_upgrade(HeadBuffer& out, std::string_view protocol) {
  if (protocol.empty()) return;
  out.append("Connection: upgrade\r\n");
  out.append_field("Upgrade", protocol);
}

}  // namespace

void HeadBuffer::append(std::string_view text) {
  if (overflowed_ || text.size() > memory_.size() - size_) {
    overflowed_ = true;
    return;
  }
  // A view without data has no address to copy from.
  if (!text.empty()) std::memcpy(memory_.data() + size_, text.data(), text.size());
  size_ += text.size();
}

void HeadBuffer::append_number(uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  append({digits, static_cast<size_t>(end - digits)});
}

void HeadBuffer::append_field(std::string_view name, std::string_view value) {
  append(name);
  append(": ");
  append(value);
  append(kEndLine);
}

void append_edits(HeadBuffer& out, const HeadEdits& fields) {
  if (fields.edits == nullptr) return;
  for (const rules::HeaderEdits::Edit& edit : fields.edits->written()) {
    const size_t line = out.size();
    out.append(edit.name);
    out.append(": ");
    const size_t value = out.size();
    edit.value.write(*fields.values, out);
    if (out.size() == value && edit.value.has_variables()) {
      out.truncate(line);
    } else {
      out.append(kEndLine);
    }
  }
}

void write_request_head(HeadBuffer& out, const RequestHead& request, const RequestForwarding& how) {
  SHUNT_ASSERT(how.chunked || request.framing != Framing::kChunked);
  out.append(request.method_text);
  out.append(" ");
  append_target(out, request, how.target);
  out.append(" HTTP/1.1\r\n");
  const bool pass_host = how.host_header == config::HostHeader::kPass && !request.authority.empty();
  out.append_field("Host", pass_host ? request.authority : how.host);

  ForwardedLists lists;
  for (const Field& field : request.fields()) {
    const FieldName name = known_field(field.name);
    if (name.disguised || removed_by_connection(request, field.name)) continue;
    if (how.fields.drops(field.name)) continue;
    if (name.field == KnownField::kOther) {
      if (!is_withheld(field.name, how)) append_end_to_end(out, field, how);
    } else {
      append_known(out, name.field, field, request, how.forwarded, lists);
    }
  }
  if (how.forwarded) append_forwarding_fields(out, request, how, lists);
  append_edits(out, how.fields);
  if (!how.client_subject.empty()) out.append_field(how.client_header, how.client_subject);
  if (how.chunked) {
    out.append("Transfer-Encoding: chunked\r\n");
  } else if (request.framing == Framing::kLength) {
    append_content_length(out, request.content_length);
  }
  append_upgrade(out, how.upgrade);
  out.append(kEndLine);
}

void write_response_head(HeadBuffer& out, const ResponseHead& response,
                         const ResponseForwarding& how) {
  append_status_line(out, response);
  bool dated = how.date.empty();
  for (const Field& field : response.fields()) {
    const FieldName name = known_field(field.name);
    if (!name.disguised && !passes_to_client(name.field)) continue;
    if (removed_by_connection(response, field.name) || how.fields.drops(field.name)) continue;
    if (how.sticky.settings != nullptr && rules::equals_lower(field.name, "set-cookie") &&
        how.sticky.marks(field.value)) {
      append_marked(out, field.name, field.value,
                    {how.sticky.token.data(), how.sticky.token.size()});
    } else {
      out.append_field(field.name, field.value);
    }
    dated |= field.name.size() == 4 && rules::equals_lower(field.name, "date");
  }
  if (!dated && response.status >= 200 && !how.fields.drops("Date"))
    out.append_field("Date", how.date);
  append_edits(out, how.fields);
  if (response.status >= 200) append_sticky_fields(out, how.sticky);
  if (how.via && !how.fields.drops("Via")) {
    out.append(response.version == Version::kHttp10 ? "Via: 1.0 shunt\r\n" : "Via: 1.1 shunt\r\n");
  }
  append_response_framing(out, response, how);
  if (response.status >= 200) {
    if (!how.keep_alive) {
      out.append("Connection: close\r\n");
    } else if (how.client_version == Version::kHttp10) {
      out.append("Connection: keep-alive\r\n");
    }
  }
  append_upgrade(out, how.upgrade);
  out.append(kEndLine);
}

}  // namespace shunt::proxy
