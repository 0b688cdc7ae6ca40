// ASCII case folding and look-ups by string_view, shared by the files of this folder. No locale, no
// allocation.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace shunt::rules {

constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// The value of a hex digit, or -1.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Whether `text` is `lower`, without regard to the case of `text`. `lower` holds no capitals.
constexpr bool equals_lower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (ascii_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

// `text` in lower case: itself if it has no capitals, else a copy in `storage`.
std::string_view to_lower(std::string_view text, std::string& storage);

// `text` without spaces and tabs at either end (OWS, RFC 9110 section 5.6.3).
std::string_view trim(std::string_view text);

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

// A map from text whose look-up takes a string_view and allocates nothing.
template <class Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

}  // namespace shunt::rules
