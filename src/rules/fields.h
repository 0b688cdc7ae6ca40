// Cookies and query parameters: the pairs inside a header value and a query string. Pure functions,
// no allocation.
#pragma once

#include <cstddef>
#include <string_view>

#include "rules/request_view.h"
#include "rules/text.h"

namespace shunt::rules {

struct Field {
  std::string_view name;
  std::string_view value;
};

// Calls put(octet) for each octet of `raw`, a name or value of a query, percent-decoded and with
// "+" as a space (as browsers send forms), until it returns false. A malformed escape stays as it
// is.
template <class Put>
void decode_component(std::string_view raw, Put put) {
  for (size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    if (c == '+') c = ' ';
    if (c == '%' && i + 2 < raw.size()) {
      const int high = hex_value(raw[i + 1]);
      const int low = hex_value(raw[i + 2]);
      if (high >= 0 && low >= 0) {
        c = static_cast<char>(high * 16 + low);
        i += 2;
      }
    }
    if (!put(c)) return;
  }
}

// Whether `raw` decodes to `text`.
inline bool decodes_to(std::string_view raw, std::string_view text) {
  bool is_prefix = true;
  decode_component(raw, [&](char c) {
    is_prefix = text.starts_with(c);
    if (is_prefix) text.remove_prefix(1);
    return is_prefix;
  });
  return is_prefix && text.empty();
}

// Takes the next pair off the front of `rest`, split at `separator` and the first "=". Requires
// !rest.empty().
inline Field take_pair(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view pair = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  const size_t equals = pair.find('=');
  if (equals == std::string_view::npos) return {pair, pair.substr(pair.size())};
  return {pair.substr(0, equals), pair.substr(equals + 1)};
}

// Calls visit(Field) for each cookie of the request's Cookie fields (RFC 6265 section 4.2) until it
// returns true.
template <class Visit>
bool any_cookie(const RequestView& request, Visit visit) {
  for (const HeaderView& header : request.headers) {
    if (!equals_lower(header.name, "cookie")) continue;
    for (std::string_view rest = header.value; !rest.empty();) {
      Field field = take_pair(rest, ';');
      field = {trim(field.name), trim(field.value)};
      if (field.name.empty()) continue;
      if (visit(field)) return true;
    }
  }
  return false;
}

// Calls visit(Field) for each parameter of the query, undecoded, until it returns true. "a" alone
// is "a" with value "".
template <class Visit>
bool any_parameter(const RequestView& request, Visit visit) {
  for (std::string_view rest = request.query; !rest.empty();) {
    const Field field = take_pair(rest, '&');
    if (field.name.empty() && field.value.empty()) continue;
    if (visit(field)) return true;
  }
  return false;
}

}  // namespace shunt::rules
