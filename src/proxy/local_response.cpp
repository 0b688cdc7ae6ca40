// Answers that Shunt gives itself, and the phrases for their statuses.
#include "core/assert.h"
#include "proxy/characters.h"
#include "proxy/head_writer.h"

namespace shunt::proxy {
namespace {

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
  if (!response.location.empty()) append_location(out, response.location);
  if (!bodyless) {
    if (!response.body.empty()) out.append_field("Content-Type", response.content_type);
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
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 511:
      return "Network Authentication Required";
    default:
      return "Unknown";
  }
}

}  // namespace shunt::proxy
