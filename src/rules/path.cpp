// Path normalisation: one scan decides whether there is anything to do, a second pass does it.
// Pure, any thread.
#include "rules/path.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "rules/text.h"

namespace shunt::rules {
namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

constexpr char hex_capital(char c) {
  return is_digit(c) ? c : static_cast<char>(c & ~0x20);
}

// The octet that the escape at the start of `text` stands for, or -1 if there is no well-formed
// escape.
constexpr int escaped_octet(std::string_view text) {
  if (text.size() < 3 || text[0] != '%') return -1;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// False for the two octets where something may need normalising; every dot segment follows a "/".
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  plain.fill(true);
  plain['%'] = plain['/'] = false;
  return plain;
}();

// Whether `rest`, which follows a "/", begins with the segment "." or "..".
constexpr bool starts_dot_segment(std::string_view rest) {
  size_t dots = 0;
  while (dots < rest.size() && rest[dots] == '.') ++dots;
  return (dots == 1 || dots == 2) && (dots == rest.size() || rest[dots] == '/');
}

bool needs_work(std::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (kPlain[static_cast<uint8_t>(path[i])]) continue;
    if (path[i] == '%') return true;
    const std::string_view rest = path.substr(i + 1);
    if (rest.starts_with('/') || starts_dot_segment(rest)) return true;
  }
  return false;
}

// Appends `raw` to `out` with escapes decoded or capitalised and runs of "/" merged. A "%" that
// begins no escape is encoded: left bare, it could form one with what a later escape decodes to
// ("%%361").
void append_decoded(std::string_view raw, std::string& out) {
  for (size_t i = 0; i < raw.size(); ++i) {
    char c = raw[i];
    const int octet = escaped_octet(raw.substr(i));
    if (octet >= 0 && is_unreserved(static_cast<char>(octet))) {
      c = static_cast<char>(octet);
      i += 2;
    } else if (octet >= 0) {
      out += {'%', hex_capital(raw[i + 1]), hex_capital(raw[i + 2])};
      i += 2;
      continue;
    } else if (c == '%') {
      out += "%25";
      continue;
    }
    if (c == '/' && out.ends_with('/')) continue;
    out += c;
  }
}

// RFC 3986 section 5.2.4, in place: `path` begins with "/" and has no empty segment but perhaps the
// last.
void remove_dot_segments(std::string& path) {
  size_t out = 0;  // path[0, out) is done and has no "/" at its end.
  size_t in = 0;   // path[in] is "/".
  bool ends_in_slash = false;
  while (in < path.size()) {
    size_t end = path.find('/', in + 1);
    if (end == std::string::npos) end = path.size();
    const std::string_view segment = std::string_view(path).substr(in + 1, end - in - 1);
    ends_in_slash = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      const size_t parent = std::string_view(path).substr(0, out).rfind('/');
      out = parent == std::string_view::npos ? 0 : parent;
    } else if (!ends_in_slash) {
      const size_t length = end - in;
      std::copy_n(path.begin() + static_cast<ptrdiff_t>(in), length,
                  path.begin() + static_cast<ptrdiff_t>(out));
      out += length;
    }
    in = end;
  }
  path.resize(out);
  if (ends_in_slash) path += '/';
}

}  // namespace

std::string_view normalise_path(std::string_view raw, std::string& scratch) {
  if (raw.empty()) return "/";
  if (raw.front() != '/' || !needs_work(raw)) return raw;
  scratch.clear();
  append_decoded(raw, scratch);
  remove_dot_segments(scratch);
  return scratch == raw ? raw : std::string_view(scratch);
}

bool is_normal_prefix(std::string_view prefix) {
  if (prefix.empty()) return true;
  if (prefix.front() != '/') return prefix == "*";
  // An end that is not finished may go on: "/." to "/.well-known", "/..", "%4" to "%40".
  std::string_view settled = prefix;
  const size_t escape = settled.rfind('%');
  if (escape != std::string_view::npos && escape + 3 > settled.size()) {
    const bool goes_on =
        escape + 1 == settled.size() ||
        (hex_value(settled.back()) >= 0 && hex_capital(settled.back()) == settled.back());
    if (goes_on) settled = settled.substr(0, escape);
  }
  const size_t last = settled.rfind('/');
  const std::string_view segment = settled.substr(last + 1);
  if (segment == "." || segment == "..") settled = settled.substr(0, last + 1);
  std::string scratch;
  return normalise_path(settled, scratch) == settled;
}

}  // namespace shunt::rules
