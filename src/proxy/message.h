// An HTTP/1 message head, parsed: views into the bytes it was parsed from. Values without
// behaviour.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "rules/request_view.h"

namespace shunt::proxy {

using Field = rules::HeaderView;

inline constexpr uint32_t kFieldsMax =
    256;  // Field lines of one head, whatever the configuration allows.

enum class Version : uint8_t { kHttp10, kHttp11 };

enum class Method : uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kOptions,
  kTrace,
  kConnect,
  kPatch,
  kOther
};

// How the end of a body is found (RFC 9112 §6.3).
enum class Framing : uint8_t {
  kNone,        // There is no body.
  kLength,      // Content-Length bytes.
  kChunked,     // Transfer-Encoding: chunked.
  kUntilClose,  // Up to the end of the connection; answers only.
};

// Why a message is refused. `status` is what the client is told (for an answer: 502), `why` a
// literal for log and body.
struct Reject {
  uint16_t status = 400;
  const char* why = "";
};

struct HeadLimits {
  uint32_t line_max = 8 * 1024;   // Start line without CRLF; longer: 414.
  uint32_t head_max = 32 * 1024;  // The whole head with its blank line; longer: 431.
  uint32_t fields_max = 100;      // More: 431. At most kFieldsMax.
};

// What both kinds of heads have.
struct Head {
  Version version = Version::kHttp11;
  Framing framing = Framing::kNone;
  bool keep_alive = true;  // The sender would keep the connection (version and Connection).
  bool has_connection_names =
      false;                    // Connection names fields other than keep-alive, close and upgrade.
  uint64_t content_length = 0;  // For kLength.
  uint32_t size = 0;            // Bytes of the head, blank line included.
  uint32_t field_count = 0;
  std::array<Field, kFieldsMax> fields_storage;
  // Values of fields the proxy itself looks at; null data if absent.
  std::string_view
      connection;  // The first Connection field; with more than one, all are in fields().
  std::string_view upgrade;

  std::span<const Field> fields() const { return {fields_storage.data(), field_count}; }
};

struct RequestHead : Head {
  Method method = Method::kGet;
  bool expect_continue = false;  // Expect: 100-continue.
  std::string_view method_text;
  std::string_view target;     // As received.
  std::string_view authority;  // Of the absolute-form target, else of Host; "host:port". Empty with
                               // HTTP/1.0 only.
  std::string_view host;       // authority without port (and with the brackets of an IPv6 literal).
  std::string_view
      path;  // Not normalised; "/" for an absolute-form target without path, "*" for asterisk-form.
  std::string_view query;  // Behind "?"; null data if there is no "?".
};

struct ResponseHead : Head {
  uint16_t status = 0;
  std::string_view reason;
};

// RFC 9110 §9.2.2: may be sent again without harm.
constexpr bool is_idempotent(Method method) {
  return method != Method::kPost && method != Method::kPatch && method != Method::kConnect &&
         method != Method::kOther;
}

}  // namespace shunt::proxy
