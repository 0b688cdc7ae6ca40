// What the fields that a proxy obeys say, and how the end of a body is found from them (RFC 9112
// §6.3). The only place that decides about framing; where two readers could differ, there is none.
// Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "proxy/message.h"

namespace shunt::proxy {

// All Transfer-Encoding fields of a head as one list (RFC 9112 §6.1).
struct TransferCodings {
  uint32_t codings = 0;
  uint32_t chunked = 0;  // How many of them are "chunked".
  bool chunked_last = false;
  bool malformed = false;  // An element that is empty or no token (parameters included).

  bool only_chunked() const { return !malformed && codings == 1 && chunked == 1; }
};

// The fields of one head that decide about framing, persistence and routing. Counts are of field
// lines.
struct ControlFields {
  uint32_t hosts = 0;
  uint32_t content_lengths = 0;
  uint32_t transfer_encodings = 0;
  uint32_t expects = 0;
  uint32_t connection_options = 0;
  bool close = false;
  bool keep_alive = false;
  bool connection_names = false;    // Options other than close, keep-alive, upgrade and te.
  bool disguised_framing = false;   // Content_Length or Transfer_Encoding.
  bool forwards_exhausted = false;  // Max-Forwards: 0.
  TransferCodings codings;
  std::string_view host;  // The last one; as are the others. Null data if absent.
  std::string_view content_length;
  std::string_view expect;
  std::string_view connection;  // The first one.
  std::string_view upgrade;
};

ControlFields collect_control_fields(const Head& head);

// RFC 9110 §8.6, digits only. Nothing for anything else, and for more than 2^63 - 1.
std::optional<uint64_t> parse_content_length(std::string_view value);

struct BodyFraming {
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;
  // The next message begins right behind this one. False if the connection has to end here: a body
  // that ends with it, or an answer that announces content it must not have and may send all the
  // same.
  bool dependable = true;
};

// `version` is the sender's.
std::expected<BodyFraming, Reject> request_framing(const ControlFields& fields, Version version);

// `answers` is the method of the request. Statuses in rejects are for the log only: a proxy says
// 502.
std::expected<BodyFraming, Reject> response_framing(const ControlFields& fields, Version version,
                                                    uint16_t status, Method answers);

// RFC 9112 §9.3: whether the sender would keep the connection.
bool wants_keep_alive(const ControlFields& fields, Version version);

}  // namespace shunt::proxy
