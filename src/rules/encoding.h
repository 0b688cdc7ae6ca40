// How a value is written so that it stays what it is where it is put: one segment of a path, one
// parameter of a query, one line of a head. Pure; allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rules/text.h"

namespace shunt::rules {

// Where a text goes.
enum class Encoding : uint8_t {
  kNone,       // As it is.
  kHeader,     // A field value: control characters but HTAB are percent-encoded, CR and LF too.
  kPath,       // A path: what cannot stand in a segment is percent-encoded.
  kComponent,  // A query's name or value: all but RFC 3986's unreserved is percent-encoded.
  kLocation,   // A URI reference.
  kHtml,       // HTML text or attribute.
  kJson,       // Inside a JSON string.
};

// What a text is already. kEscaped: part of a URI, in which "%41" is an escape and stays one, and
// (in paths) "/" divides. kRaw: any text, where "%" is a percent sign.
enum class Form : uint8_t { kRaw, kEscaped };

namespace encoding_internal {

constexpr bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

constexpr bool one_of(unsigned char c, std::string_view set) {
  return set.find(static_cast<char>(c)) != std::string_view::npos;
}

constexpr bool passes_octet(unsigned char c, Encoding encoding, Form form) {
  const bool escaped = form == Form::kEscaped;
  switch (encoding) {
    case Encoding::kNone:
      return true;
    case Encoding::kHeader:
      return (c >= 0x20 && c != 0x7f) || c == '\t';
    case Encoding::kPath:
      // RFC 3986 section 3.3: pchar.
      return is_unreserved(c) || one_of(c, "!$&'()*+,;=:@") || (escaped && one_of(c, "/%"));
    case Encoding::kComponent:
      return is_unreserved(c) || (escaped && c == '%');
    case Encoding::kLocation:
      if (escaped) return c > 0x20 && c < 0x7f;
      return is_unreserved(c) || one_of(c, "!$'()*,;:@/");
    case Encoding::kHtml:
      return !one_of(c, "&<>\"'");
    case Encoding::kJson:
      return c >= 0x20 && c != '"' && c != '\\';
  }
  return false;
}

inline constexpr size_t kEncodings = 7;

// Bit 2 * encoding + form: the octet passes.
inline constexpr auto kPasses = [] {
  std::array<uint16_t, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    for (unsigned i = 0; i < 2 * kEncodings; ++i) {
      const bool passes = passes_octet(static_cast<unsigned char>(c), static_cast<Encoding>(i / 2),
                                       static_cast<Form>(i % 2));
      if (passes) table[c] = static_cast<uint16_t>(table[c] | 1u << i);
    }
  }
  return table;
}();

}  // namespace encoding_internal

// Writes to `Sink` (anything with append(std::string_view)).
template <class Sink>
class Encoder {
 public:
  Encoder(Sink& sink, Encoding encoding, Form form)
      : sink_(sink),
        encoding_(encoding),
        bit_(static_cast<uint16_t>(
            1u << (2 * static_cast<unsigned>(encoding) + static_cast<unsigned>(form)))) {}

  void append(std::string_view text) {
    while (!text.empty()) {
      size_t plain = 0;
      while (plain < text.size() && passes(text, plain)) ++plain;
      sink_.append(text.substr(0, plain));
      if (plain == text.size()) return;
      escape(static_cast<unsigned char>(text[plain]));
      text.remove_prefix(plain + 1);
    }
  }
  // For texts that come octet by octet, which are raw.
  void append(char c) { append(std::string_view(&c, 1)); }

 private:
  bool passes(std::string_view text, size_t at) const {
    const auto c = static_cast<unsigned char>(text[at]);
    if ((encoding_internal::kPasses[c] & bit_) == 0) return false;
    // An escape of a query has to be one: a "%" alone would swallow what follows it.
    if (c != '%' || encoding_ != Encoding::kComponent) return true;
    return at + 2 < text.size() && hex_value(text[at + 1]) >= 0 && hex_value(text[at + 2]) >= 0;
  }

  void escape(unsigned char c) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    if (encoding_ == Encoding::kHtml) {
      sink_.append(c == '&'   ? "&amp;"
                   : c == '<' ? "&lt;"
                   : c == '>' ? "&gt;"
                   : c == '"' ? "&quot;"
                              : "&#39;");
      return;
    }
    const char digits[] = {kDigits[c >> 4], kDigits[c & 15]};
    sink_.append(encoding_ == Encoding::kJson ? "\\u00" : "%");
    sink_.append({digits, sizeof(digits)});
  }

  Sink& sink_;
  const Encoding encoding_;
  const uint16_t bit_;
};

}  // namespace shunt::rules
