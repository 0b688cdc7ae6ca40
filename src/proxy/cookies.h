// The cookies of a Cookie field one by one, and the first of the pairs in a Set-Cookie field (RFC
// 6265 §4.2.1, §5.2): views into the field, which nothing is decoded of. Pure; any thread.
#pragma once

#include <string_view>

namespace shunt::proxy {

struct Cookie {
  std::string_view blanks;  // In front of it.
  std::string_view text;    // All of it, without blanks around.
  std::string_view name;    // "" if there is no "=".
  std::string_view value;   // As sent, quotes included.
};

// for (CookieList cookies{field}; cookies.next(cookie);)
class CookieList {
 public:
  explicit CookieList(std::string_view field) : rest_(field) {}
  // False at the end. Empty ones are left out.
  bool next(Cookie& cookie);

 private:
  std::string_view rest_;
};

// The cookie that a Set-Cookie field sets: views into `field`, so that a value can be exchanged.
Cookie set_cookie_of(std::string_view field);

// What becomes of one cookie on the way to a server.
struct CookieFilter {
  std::string_view name;  // Case counts; empty: all pass as they are.
  bool marked = false;    // Taken away: the mark in front of its value; else all of it.
};

// A mark in front of a cookie's value: so many hexadecimal digits, lower case, and '~'.
inline constexpr size_t kMarkDigits = 32;
inline constexpr char kMarkEnd = '~';
bool has_mark(std::string_view value);

// Calls put(std::string_view) for the pieces of what is left of a Cookie field, in order; none if
// nothing is. They are never longer than the field, and a field that the filter takes nothing of
// comes out byte for byte.
template <class Put>
void filter_cookies(std::string_view field, const CookieFilter& filter, Put put) {
  const auto concerns = [&filter](const Cookie& cookie) {
    return cookie.name == filter.name && (!filter.marked || has_mark(cookie.value));
  };
  bool any = false;
  Cookie cookie;
  if (!filter.name.empty()) {
    for (CookieList all{field}; all.next(cookie);) any |= concerns(cookie);
  }
  if (!any) return put(field);
  bool first = true;
  for (CookieList all{field}; all.next(cookie);) {
    const bool concerned = concerns(cookie);
    if (concerned && !filter.marked) continue;
    if (!first) {
      put(std::string_view(";"));
      put(cookie.blanks);
    }
    first = false;
    if (!concerned) {
      put(cookie.text);
      continue;
    }
    put(cookie.name);
    put(std::string_view("="));
    put(cookie.value.substr(kMarkDigits + 1));
  }
}

}  // namespace shunt::proxy
