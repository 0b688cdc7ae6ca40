// A complete head into a message. The start line is read here, because llhttp 8.1 knows a fixed
// list of methods and is lax about white space; the field lines are read by llhttp, a second reader
// besides HeadScanner: what only one of the two understands is refused. The one file that includes
// llhttp.
#include "proxy/http_parser.h"

#include <llhttp.h>

#include <algorithm>

#include "core/assert.h"
#include "proxy/characters.h"
#include "proxy/framing.h"
#include "proxy/hop_headers.h"
#include "proxy/request_target.h"

namespace shunt::proxy {
namespace {

constexpr uint32_t kConnectionOptionsMax = 32;  // Each is compared with each field name later.
constexpr uint16_t kStatusMin = 100;
constexpr uint16_t kStatusMax = 599;  // RFC 9110 §15: beyond it, invalid.

struct FieldSink {
  Head* head;
  uint32_t fields_max;
};

FieldSink& sink_of(llhttp_t* parser) {
  return *static_cast<FieldSink*>(parser->data);
}

// A span may come in pieces; they lie side by side.
void extend(std::string_view& span, const char* at, size_t size) {
  const char* begin = span.data() == nullptr ? at : span.data();
  span = {begin, static_cast<size_t>(at + size - begin)};
}

int on_field_name(llhttp_t* parser, const char* at, size_t size) {
  const FieldSink& sink = sink_of(parser);
  if (sink.head->field_count == sink.fields_max) return HPE_USER;
  extend(sink.head->fields_storage[sink.head->field_count].name, at, size);
  return HPE_OK;
}

int on_field_value(llhttp_t* parser, const char* at, size_t size) {
  const FieldSink& sink = sink_of(parser);
  extend(sink.head->fields_storage[sink.head->field_count].value, at, size);
  return HPE_OK;
}

int on_field_complete(llhttp_t* parser) {
  Head& head = *sink_of(parser).head;
  Field& field = head.fields_storage[head.field_count];
  field.value = trim_space(field.value);
  ++head.field_count;
  if (head.field_count < kFieldsMax) head.fields_storage[head.field_count] = {};
  return HPE_OK;
}

// Framing is not llhttp's business: it stops where its opinion on it begins.
int on_fields_end(llhttp_t*) {
  return HPE_PAUSED;
}

// llhttp just behind a start line; copied for each head, which is cheaper than parsing one.
struct FieldParsers {
  FieldParsers() {
    llhttp_settings_init(&settings);
    settings.on_header_field = on_field_name;
    settings.on_header_value = on_field_value;
    settings.on_header_value_complete = on_field_complete;
    settings.on_headers_complete = on_fields_end;
    prepare(request, HTTP_REQUEST, "GET / HTTP/1.1\r\n");
    prepare(response, HTTP_RESPONSE, "HTTP/1.1 200 OK\r\n");
  }

  void prepare(llhttp_t& parser, llhttp_type_t type, std::string_view start_line) {
    llhttp_init(&parser, type, &settings);
    SHUNT_ASSERT(llhttp_execute(&parser, start_line.data(), start_line.size()) == HPE_OK);
  }

  llhttp_settings_t settings;
  llhttp_t request;
  llhttp_t response;
};

const FieldParsers& field_parsers() {
  static const FieldParsers kParsers;
  return kParsers;
}

const char* explain(llhttp_errno_t error) {
  switch (error) {
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return "more than one Content-Length, or one beside Transfer-Encoding";
    case HPE_INVALID_CONTENT_LENGTH:
      return "invalid Content-Length";
    case HPE_INVALID_TRANSFER_ENCODING:
      return "invalid Transfer-Encoding";
    default:
      return "invalid field line";
  }
}

std::optional<Reject> parse_fields(const llhttp_t& prepared, std::string_view lines,
                                   const HeadLimits& limits, Head& out) {
  FieldSink sink{&out, std::min(limits.fields_max, kFieldsMax)};
  out.fields_storage[0] = {};
  llhttp_t parser = prepared;
  parser.data = &sink;
  const llhttp_errno_t result = llhttp_execute(&parser, lines.data(), lines.size());
  // Both readers must see the same end; releases of llhttp stop on the last LF or behind it.
  const char* end = lines.data() + lines.size();
  if (result == HPE_PAUSED && llhttp_get_error_pos(&parser) >= end - 1) return std::nullopt;
  if (out.field_count == sink.fields_max) return Reject{431, "too many field lines"};
  return Reject{400, explain(result)};
}

// "HTTP/" DIGIT "." DIGIT and nothing else.
std::optional<Reject> parse_version(std::string_view text, Version& out) {
  const bool well_formed = text.size() == 8 && text.starts_with("HTTP/") &&
                           is_class(text[5], character::kDigit) && text[6] == '.' &&
                           is_class(text[7], character::kDigit);
  if (!well_formed) return Reject{400, "invalid protocol version"};
  if (text[5] != '1') return Reject{505, "HTTP version not supported"};
  out = text[7] == '0' ? Version::kHttp10 : Version::kHttp11;
  return std::nullopt;
}

Method parse_method(std::string_view text) {
  switch (text.size()) {
    case 3:
      return text == "GET" ? Method::kGet : text == "PUT" ? Method::kPut : Method::kOther;
    case 4:
      return text == "HEAD" ? Method::kHead : text == "POST" ? Method::kPost : Method::kOther;
    case 5:
      return text == "PATCH" ? Method::kPatch : text == "TRACE" ? Method::kTrace : Method::kOther;
    case 6:
      return text == "DELETE" ? Method::kDelete : Method::kOther;
    case 7:
      return text == "OPTIONS"   ? Method::kOptions
             : text == "CONNECT" ? Method::kConnect
                                 : Method::kOther;
    default:
      return Method::kOther;
  }
}

// The members that a parse may leave alone. The field array is not cleared: 8 KiB for each head.
void reset(Head& out, size_t size) {
  out.version = Version::kHttp11;
  out.framing = Framing::kNone;
  out.keep_alive = false;
  out.has_connection_names = false;
  out.content_length = 0;
  out.size = static_cast<uint32_t>(size);
  out.field_count = 0;
  out.connection = {};
  out.upgrade = {};
}

void adopt(const ControlFields& fields, const BodyFraming& body, Head& out) {
  out.framing = body.framing;
  out.content_length = body.content_length;
  out.keep_alive = body.dependable && wants_keep_alive(fields, out.version);
  out.has_connection_names = fields.connection_names;
  out.connection = fields.connection;
  out.upgrade = fields.upgrade;
}

// The start line and what follows its CRLF.
struct Parts {
  std::string_view start_line;
  std::string_view field_lines;
};

Parts split(std::string_view head) {
  const size_t end = head.find('\r');
  SHUNT_ASSERT(end != std::string_view::npos);
  SHUNT_ASSERT(head.ends_with("\r\n\r\n"));
  return {head.substr(0, end), head.substr(end + 2)};
}

// method SP request-target SP HTTP-version (RFC 9112 §3), one space each and none elsewhere.
std::optional<Reject> parse_request_line(std::string_view line, RequestHead& out) {
  const size_t method_end = line.find(' ');
  const size_t target_end = line.rfind(' ');
  if (method_end == std::string_view::npos || target_end == method_end) {
    return Reject{400, "invalid request line"};
  }
  out.method_text = line.substr(0, method_end);
  out.target = line.substr(method_end + 1, target_end - method_end - 1);
  if (!is_token(out.method_text)) return Reject{400, "invalid method"};
  if (auto reject = parse_version(line.substr(target_end + 1), out.version)) return reject;
  out.method = parse_method(out.method_text);
  if (out.method == Method::kConnect) return Reject{501, "CONNECT is not supported"};
  if (out.method == Method::kTrace) return Reject{501, "TRACE is not supported"};
  return parse_target(out);
}

// RFC 9112 §3.2: exactly one Host, valid, even beside an absolute-form target, which then wins.
std::optional<Reject> take_host(const ControlFields& fields, RequestHead& out) {
  if (fields.hosts > 1) return Reject{400, "more than one Host"};
  if (fields.hosts == 0) {
    if (out.version == Version::kHttp10) return std::nullopt;
    return Reject{400, "Host is missing"};
  }
  const auto authority = parse_authority(fields.host);
  if (!authority) return Reject{400, "invalid Host"};
  if (out.authority.empty()) {
    out.authority = authority->text;
    out.host = authority->host;
  }
  return std::nullopt;
}

std::optional<Reject> take_expect(const ControlFields& fields, RequestHead& out) {
  if (fields.expects == 0) return std::nullopt;
  if (fields.expects > 1 || !equals_lower(fields.expect, "100-continue")) {
    return Reject{417, "unknown expectation"};
  }
  // RFC 9110 §10.1.1: ignored in HTTP/1.0; without content there is nothing to wait for.
  const bool content = out.framing == Framing::kChunked || out.content_length > 0;
  out.expect_continue = out.version == Version::kHttp11 && content;
  return std::nullopt;
}

// HTTP-version SP 3DIGIT [SP [reason]] (RFC 9112 §4); many servers leave out the second space with
// the reason.
std::optional<Reject> parse_status_line(std::string_view line, ResponseHead& out) {
  constexpr size_t kVersionSize = 8;
  constexpr size_t kStatusEnd = kVersionSize + 4;
  if (line.size() < kStatusEnd || line[kVersionSize] != ' ' ||
      (line.size() > kStatusEnd && line[kStatusEnd] != ' ')) {
    return Reject{502, "invalid status line"};
  }
  if (parse_version(line.substr(0, kVersionSize), out.version)) {
    return Reject{502, "invalid protocol version in the status line"};
  }
  const std::string_view digits = line.substr(kVersionSize + 1, 3);
  if (!is_all(digits, character::kDigit)) return Reject{502, "invalid status"};
  const int status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
  if (status < kStatusMin || status > kStatusMax) return Reject{502, "invalid status"};
  out.status = static_cast<uint16_t>(status);
  out.reason = line.substr(std::min(line.size(), kStatusEnd + 1));
  return std::nullopt;
}

}  // namespace

std::optional<Reject> parse_request(std::string_view head, const HeadLimits& limits,
                                    RequestHead& out) {
  reset(out, head.size());
  out.expect_continue = false;
  out.authority = out.host = out.path = out.query = {};
  const Parts parts = split(head);
  if (auto reject = parse_request_line(parts.start_line, out)) return reject;
  if (auto reject = parse_fields(field_parsers().request, parts.field_lines, limits, out))
    return reject;
  const ControlFields fields = collect_control_fields(out);
  const auto body = request_framing(fields, out.version);
  if (!body) return body.error();
  adopt(fields, *body, out);
  if (fields.connection_options > kConnectionOptionsMax)
    return Reject{400, "too many connection options"};
  // RFC 9110 §7.6.2: the request has come as far as it may.
  if (out.method == Method::kOptions && fields.forwards_exhausted) {
    return Reject{501, "OPTIONS with Max-Forwards: 0"};
  }
  if (auto reject = take_host(fields, out)) return reject;
  return take_expect(fields, out);
}

std::optional<Reject> parse_response(std::string_view head, const HeadLimits& limits,
                                     Method request, ResponseHead& out, std::string_view upgrade) {
  reset(out, head.size());
  const Parts parts = split(head);
  if (auto reject = parse_status_line(parts.start_line, out)) return reject;
  if (out.status == 101 && upgrade.empty()) return Reject{502, "101 without an upgrade"};
  const auto as_bad_gateway = [](Reject reject) { return Reject{502, reject.why}; };
  if (auto reject = parse_fields(field_parsers().response, parts.field_lines, limits, out)) {
    return as_bad_gateway(*reject);
  }
  const ControlFields fields = collect_control_fields(out);
  const auto body = response_framing(fields, out.version, out.status, request);
  if (!body) return as_bad_gateway(body.error());
  adopt(fields, *body, out);
  if (fields.connection_options > kConnectionOptionsMax)
    return Reject{502, "too many connection options"};
  if (out.status == 101 && !equals_ignoring_case(out.upgrade, upgrade))
    return Reject{502, "101 to another protocol than the one offered"};
  return std::nullopt;
}

}  // namespace shunt::proxy
