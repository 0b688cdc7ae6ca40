// Answers that Shunt gives itself, and the phrases for their statuses.
#include <algorithm>
#include <array>

#include "core/assert.h"
#include "proxy/head_writer.h"

namespace shunt::proxy {
namespace {

// RFC 9110 §15 and the IANA registry, in order.
struct Reason {
  uint16_t status;
  std::string_view phrase;
};

constexpr auto kReasons = std::to_array<Reason>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
});
static_assert(std::ranges::is_sorted(kReasons, {}, &Reason::status));

// Redirect targets are made of request bytes and configuration: what a field must not carry is
// percent-encoded.
void append_location(HeadBuffer& out, std::string_view location) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  out.append("Location: ");
  while (!location.empty()) {
    size_t plain = 0;
    while (plain < location.size() && location[plain] > 0x20 && location[plain] < 0x7f) ++plain;
    out.append(location.substr(0, plain));
    location.remove_prefix(plain);
    if (location.empty()) break;
    const auto byte = static_cast<unsigned char>(location.front());
    const char encoded[] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    out.append({encoded, sizeof(encoded)});
    location.remove_prefix(1);
  }
  out.append("\r\n");
}

}  // namespace

void write_local_response(HeadBuffer& out, const LocalResponse& response) {
  SHUNT_ASSERT(response.status >= 200 && response.status <= 599);
  // RFC 9110 §15.3.5, §15.4.5: these end with their head.
  const bool bodyless = response.status == 204 || response.status == 304;
  out.append("HTTP/1.1 ");
  out.append_number(response.status);
  out.append(" ");
  out.append(reason_phrase(response.status));
  out.append("\r\n");
  if (!response.date.empty() && !response.fields.drops("Date"))
    out.append_field("Date", response.date);
  if (!response.location.empty() && !response.fields.drops("Location"))
    append_location(out, response.location);
  append_edits(out, response.fields);
  if (response.retry_after_s != 0) {
    out.append("Retry-After: ");
    out.append_number(response.retry_after_s);
    out.append("\r\n");
  }
  if (!bodyless) {
    if (!response.body.empty() && !response.fields.drops("Content-Type"))
      out.append_field("Content-Type", response.content_type);
    out.append("Content-Length: ");
    out.append_number(response.body.size());
    out.append("\r\n");
  }
  if (!response.keep_alive) {
    out.append("Connection: close\r\n");
  } else if (response.client_version == Version::kHttp10) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append("\r\n");
  if (!bodyless && !response.head_only) out.append(response.body);
}

std::string_view reason_phrase(uint16_t status) {
  const auto found = std::ranges::lower_bound(kReasons, status, {}, &Reason::status);
  return found != kReasons.end() && found->status == status ? found->phrase : "Unknown";
}

}  // namespace shunt::proxy
