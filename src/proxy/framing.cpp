// Collects the control fields of a head and decides its framing.
#include "proxy/framing.h"

#include <limits>

#include "proxy/characters.h"
#include "proxy/hop_headers.h"

namespace shunt::proxy {
namespace {

constexpr uint64_t kContentLengthMax = std::numeric_limits<int64_t>::max();

void add_codings(std::string_view value, TransferCodings& codings) {
  TokenList list{value};
  for (std::string_view coding; list.next(coding);) {
    ++codings.codings;
    codings.malformed |= !is_token(coding);
    codings.chunked_last = equals_lower(coding, "chunked");
    codings.chunked += codings.chunked_last ? 1 : 0;
  }
}

void add_connection_options(std::string_view value, ControlFields& out) {
  TokenList list{value};
  for (std::string_view option; list.next(option);) {
    if (option.empty()) continue;
    ++out.connection_options;
    if (equals_lower(option, "close")) {
      out.close = true;
    } else if (equals_lower(option, "keep-alive")) {
      out.keep_alive = true;
    } else if (!equals_lower(option, "upgrade") && !equals_lower(option, "te")) {
      out.connection_names = true;
    }
  }
}

void add_disguised(KnownField field, ControlFields& out) {
  out.disguised_framing |=
      field == KnownField::kContentLength || field == KnownField::kTransferEncoding;
}

void add_field(KnownField known, std::string_view value, ControlFields& out) {
  switch (known) {
    case KnownField::kHost:
      ++out.hosts;
      out.host = value;
      return;
    case KnownField::kContentLength:
      ++out.content_lengths;
      out.content_length = value;
      return;
    case KnownField::kTransferEncoding:
      ++out.transfer_encodings;
      return add_codings(value, out.codings);
    case KnownField::kConnection:
      if (out.connection.data() == nullptr) out.connection = value;
      return add_connection_options(value, out);
    case KnownField::kUpgrade:
      out.upgrade = value;
      return;
    case KnownField::kExpect:
      ++out.expects;
      out.expect = value;
      return;
    case KnownField::kMaxForwards:
      out.forwards_exhausted |=
          !value.empty() && value.find_first_not_of('0') == std::string_view::npos;
      return;
    default:
      return;
  }
}

// What requests and answers have in common: one unambiguous statement, or none at all (kNone).
std::expected<BodyFraming, Reject> stated_framing(const ControlFields& fields, Version version) {
  if (fields.transfer_encodings > 0) {
    if (fields.content_lengths > 0) {
      return std::unexpected(Reject{400, "both Transfer-Encoding and Content-Length"});
    }
    if (version == Version::kHttp10) {
      return std::unexpected(Reject{400, "Transfer-Encoding in HTTP/1.0"});
    }
    if (fields.codings.only_chunked()) return BodyFraming{Framing::kChunked};
    if (fields.codings.malformed) {
      return std::unexpected(Reject{400, "invalid Transfer-Encoding"});
    }
    if (fields.codings.chunked > 1 ||
        (fields.codings.chunked == 1 && !fields.codings.chunked_last)) {
      return std::unexpected(Reject{400, "chunked is not the last transfer coding, or not once"});
    }
    return std::unexpected(Reject{501, "unknown transfer coding"});
  }
  if (fields.content_lengths > 1) {
    return std::unexpected(Reject{400, "more than one Content-Length"});
  }
  if (fields.content_lengths == 0) return BodyFraming{};
  const auto length = parse_content_length(fields.content_length);
  if (!length) return std::unexpected(Reject{400, "invalid Content-Length"});
  return BodyFraming{Framing::kLength, *length};
}

}  // namespace

ControlFields collect_control_fields(const Head& head) {
  ControlFields out;
  for (const Field& field : head.fields()) {
    const FieldName name = known_field(field.name);
    if (name.field == KnownField::kOther) continue;
    if (name.disguised) {
      add_disguised(name.field, out);
    } else {
      add_field(name.field, field.value, out);
    }
  }
  return out;
}

std::optional<uint64_t> parse_content_length(std::string_view value) {
  if (value.empty()) return std::nullopt;
  uint64_t length = 0;
  for (const char digit : value) {
    if (!is_class(digit, character::kDigit)) return std::nullopt;
    const auto added = static_cast<uint64_t>(digit - '0');
    if (length > (kContentLengthMax - added) / 10) return std::nullopt;
    length = length * 10 + added;
  }
  return length;
}

std::expected<BodyFraming, Reject> request_framing(const ControlFields& fields, Version version) {
  if (fields.disguised_framing) {
    return std::unexpected(Reject{400, "Content_Length or Transfer_Encoding with an underscore"});
  }
  return stated_framing(fields, version);
}

std::expected<BodyFraming, Reject> response_framing(const ControlFields& fields, Version version,
                                                    uint16_t status, Method answers) {
  const auto stated = stated_framing(fields, version);
  if (!stated) return stated;
  const bool nothing_stated = stated->framing == Framing::kNone;
  if (status < 200) {
    // A server that announces a body here does not know what it is doing (RFC 9110 §8.6, RFC 9112
    // §6.1).
    if (stated->framing == Framing::kChunked || stated->content_length > 0) {
      return std::unexpected(Reject{502, "interim answer with a body"});
    }
    return BodyFraming{};
  }
  if (answers == Method::kHead || status == 304) return BodyFraming{};
  if (status == 204) {
    const bool announced = stated->framing == Framing::kChunked || stated->content_length > 0;
    return BodyFraming{.dependable = !announced};
  }
  if (status == 205) {
    // RFC 9110 §15.3.6: never any content; empty chunked framing is allowed, so it is read.
    if (stated->content_length > 0) return std::unexpected(Reject{502, "205 with content"});
    return nothing_stated ? BodyFraming{.dependable = false} : *stated;
  }
  if (nothing_stated) return BodyFraming{.framing = Framing::kUntilClose, .dependable = false};
  return stated;
}

bool wants_keep_alive(const ControlFields& fields, Version version) {
  if (fields.close) return false;
  return version == Version::kHttp11 || fields.keep_alive;
}

}  // namespace shunt::proxy
