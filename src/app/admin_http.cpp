// Small on purpose: the strict reading is the proxy's, and what is left is a path and a query.
#include "app/admin_http.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "core/address.h"
#include "core/json_escape.h"
#include "proxy/characters.h"

namespace shunt::app {
namespace {

std::string_view reason_of(uint16_t status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    default:
      return "Error";
  }
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

bool names_this_host(std::string_view host) {
  if (host.empty() || host == "localhost") return true;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return IpAddress::parse(host).has_value();
}

// Pages of other origins, that cannot read the answer but can have the work done. Whatever is no
// browser sends neither field, and what somebody typed into one comes from none.
bool is_from_page(const proxy::RequestHead& head) {
  return std::ranges::any_of(head.fields(), [](const proxy::Field& field) {
    if (proxy::equals_ignoring_case(field.name, "origin")) return true;
    return proxy::equals_ignoring_case(field.name, "sec-fetch-site") && field.value != "none" &&
           field.value != "same-origin";
  });
}

}  // namespace

AdminReply AdminReply::error(uint16_t status, std::string_view text) {
  return {.status = status,
          .body = fmt::format("{{\"error\": \"{}\"}}\n", json_escape(text)),
          .stream = nullptr};
}

std::string encode_query(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_plain(c)) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<uint8_t>(c));
    }
  }
  return out;
}

std::expected<std::string, AdminReply> decode_query(std::string_view text) {
  constexpr size_t kEscape = 3;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    uint8_t byte = 0;
    const std::string_view digits = text.substr(i + 1, kEscape - 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != kEscape - 1 || error != std::errc() ||
        end != digits.data() + digits.size())
      return std::unexpected(AdminReply::error(400, "a % in the query begins no escape"));
    out += static_cast<char>(byte);
    i += kEscape - 1;
  }
  return out;
}

std::expected<AdminRequest, AdminReply> read_request(const proxy::RequestHead& head,
                                                     bool loopback) {
  if (head.method != proxy::Method::kGet)
    return std::unexpected(AdminReply::error(405, "only GET is understood here"));
  if (head.framing != proxy::Framing::kNone)
    return std::unexpected(AdminReply::error(400, "a request here has no body"));
  if (loopback && !names_this_host(head.host))
    return std::unexpected(AdminReply::error(
        403, "this endpoint is asked for by an address or as localhost, not by another name"));
  if (is_from_page(head))
    return std::unexpected(
        AdminReply::error(403, "a web page had this asked by a browser; only people may"));
  AdminRequest request{.path = std::string(head.path), .query = {}};
  std::string_view rest = head.query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    auto name = decode_query(pair.substr(0, equals));
    auto value = decode_query(equals == std::string_view::npos ? std::string_view()
                                                               : pair.substr(equals + 1));
    if (!name || !value) return std::unexpected(std::move(name ? value : name).error());
    if (!request.query.emplace(*name, *value).second)
      return std::unexpected(AdminReply::error(400, fmt::format("\"{}\" is given twice", *name)));
  }
  return request;
}

std::string head_of(const AdminReply& reply, bool chunked) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n",
      reply.status, reason_of(reply.status), reply.content_type);
  if (reply.stream == nullptr) {
    head += fmt::format("Content-Length: {}\r\n", reply.body.size());
  } else if (chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  return head + "\r\n";
}

std::string last_chunk(std::string_view trailer) {
  return fmt::format("0\r\n{}\r\n", trailer);
}

void append_chunk(std::string& out, std::string_view bytes) {
  if (bytes.empty()) return;
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
  out += bytes;
  out += "\r\n";
}

}  // namespace shunt::app
