// Character classes of HTTP/1 syntax and the byte searches built on them. Tables and inline leaves
// for the parsers of this folder; pure, any thread.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace shunt::proxy {

namespace character {

inline constexpr uint8_t kToken = 1;  // tchar, RFC 9110 §5.6.2.
inline constexpr uint8_t kDigit = 2;
inline constexpr uint8_t kHex = 4;
inline constexpr uint8_t kRegName = 8;   // May stand in a host name; see request_target.cpp.
inline constexpr uint8_t kQuery = 16;    // May stand in a request target at all.
inline constexpr uint8_t kPath = 32;     // May stand in front of its "?".
inline constexpr uint8_t kControl = 64;  // CTL other than HTAB.

constexpr bool contains(std::string_view set, char c) {
  return set.find(c) != std::string_view::npos;
}

constexpr uint8_t classes_of(unsigned byte) {
  const char c = static_cast<char>(byte);
  const bool digit = byte >= '0' && byte <= '9';
  const bool alpha = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
  const bool visible = byte > 0x20 && byte < 0x7f;
  unsigned classes = 0;
  if (digit || alpha || (visible && contains("!#$%&'*+-.^_`|~", c))) classes |= kToken;
  if (digit) classes |= kDigit;
  if (digit || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F')) classes |= kHex;
  if (digit || alpha || (visible && contains("-._~!$&'()*+;=", c))) classes |= kRegName;
  if (visible && !contains("\"#<>", c)) classes |= kQuery;
  if (visible && !contains("\"#<>\\", c)) classes |= kPath;
  if ((byte < 0x20 && byte != '\t') || byte == 0x7f) classes |= kControl;
  return static_cast<uint8_t>(classes);
}

inline constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) table[byte] = classes_of(byte);
  return table;
}();

}  // namespace character

constexpr bool is_class(char c, uint8_t classes) {
  return (character::kClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

// Index of the first byte that is not of the class, or the size.
constexpr size_t span_of(std::string_view text, uint8_t classes) {
  size_t i = 0;
  while (i < text.size() && is_class(text[i], classes)) ++i;
  return i;
}

constexpr bool is_all(std::string_view text, uint8_t classes) {
  return span_of(text, classes) == text.size();
}

constexpr bool is_token(std::string_view text) {
  return !text.empty() && is_all(text, character::kToken);
}

// Index of the first control character other than HTAB, or the size. Sixteen bytes at a time: every
// byte of every head goes through here.
inline size_t find_control(std::string_view text) {
  size_t i = 0;
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; i + 16 <= text.size(); i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + i));
    const __m128i low = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last_control), last_control);
    const __m128i control =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(control));
    if (mask != 0) return i + static_cast<size_t>(std::countr_zero(mask));
  }
#endif
  while (i < text.size() && !is_class(text[i], character::kControl)) ++i;
  return i;
}

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

// ASCII only. `lower` must be lower case.
constexpr bool equals_lower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (to_lower(text[i]) != lower[i]) return false;
  }
  return true;
}

constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

// Without the SP and HTAB around it (OWS, RFC 9110 §5.6.3).
constexpr std::string_view trim_space(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the next element off a comma-separated list (RFC 9110 §5.6.1); it may be empty. False when
// the list has ended. Knows no quoted strings: for lists of tokens only.
struct TokenList {
  std::string_view rest;
  bool ended = false;

  constexpr bool next(std::string_view& element) {
    if (ended) return false;
    const size_t comma = rest.find(',');
    ended = comma == std::string_view::npos;
    element = trim_space(rest.substr(0, comma));
    if (!ended) rest.remove_prefix(comma + 1);
    return true;
  }
};

}  // namespace shunt::proxy
