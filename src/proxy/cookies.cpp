// Cookies are split at ';' and the first '=', as browsers and servers do; the grammar of RFC 6265
// is narrower than what they send.
#include "proxy/cookies.h"

#include <algorithm>

namespace shunt::proxy {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return text.substr(text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

Cookie split(std::string_view pair) {
  Cookie cookie;
  cookie.text = trim(pair);
  cookie.blanks = pair.substr(0, static_cast<size_t>(cookie.text.data() - pair.data()));
  const size_t equals = cookie.text.find('=');
  if (equals == std::string_view::npos) {
    cookie.name = cookie.text.substr(0, 0);
    cookie.value = cookie.text;
    return cookie;
  }
  cookie.name = trim(cookie.text.substr(0, equals));
  cookie.value = trim(cookie.text.substr(equals + 1));
  return cookie;
}

}  // namespace

bool CookieList::next(Cookie& cookie) {
  while (!rest_.empty()) {
    const size_t end = rest_.find(';');
    cookie = split(rest_.substr(0, end));
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    if (!cookie.text.empty()) return true;
  }
  return false;
}

Cookie set_cookie_of(std::string_view field) {
  return split(field.substr(0, field.find(';')));
}

bool has_mark(std::string_view value) {
  if (value.size() <= kMarkDigits || value[kMarkDigits] != kMarkEnd) return false;
  return std::ranges::all_of(value.substr(0, kMarkDigits), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace shunt::proxy
