// Texts with variables: "https://${host}/new${path}". Compiled when a configuration is loaded,
// written per request without allocation. A value is encoded for the place it goes to, so that none
// can end a header line, leave its path segment or begin another parameter. Immutable after parse,
// safe for all threads.
//
// Syntax: "${NAME}" is a variable, "$$" a dollar sign, and a "$" before anything but "{", "$" and a
// digit is itself.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/encoding.h"
#include "rules/fields.h"
#include "rules/regex.h"
#include "rules/request_view.h"

namespace shunt::rules {

// What the variables stand for in one request. Views that the caller keeps alive; empty: there is
// none, and nothing is written.
struct Values {
  const RequestView* request = nullptr;  // Never null while a template is written.
  std::string_view client_ip;
  std::string_view server_name;
  std::string_view server_address;
  std::string_view rule;
  std::string_view pool;
  std::string_view listener;
  std::string_view tls_version;
  std::string_view tls_sni;
  std::string_view tls_subject;
  std::string_view request_id;
  std::span<const std::string_view> captures;
};

enum class Variable : uint8_t {
  kText,
  kClientIp,
  kClientPort,
  kServerName,
  kServerAddress,
  kRule,
  kPool,
  kListener,
  kMethod,
  kScheme,
  kHost,
  kPath,
  kQuery,
  kTarget,
  kRequestId,
  kTlsVersion,
  kTlsSni,
  kTlsSubject,
  kHeader,
  kCookie,
  kParameter,
  kCapture,
};

// Which variables a template may use.
struct TemplateScope {
  bool server = false;  // A server has been chosen.
  // Captures are those of the first of these that matches. Empty: there are none.
  std::span<const Regex* const> patterns;
};

// Octet `offset` of the text is where it went wrong.
struct TemplateError {
  size_t offset = 0;
  std::string text;
  std::string hint;
};

class Template {
 public:
  Template() = default;
  static std::expected<Template, TemplateError> parse(std::string_view text, Encoding encoding,
                                                      const TemplateScope& scope);

  bool has_variables() const { return has_variables_; }
  bool uses_captures() const { return uses_captures_; }
  // Reads Values::request (or captures, which are views into it).
  bool uses_request() const { return uses_request_; }

  // `Sink`: anything with append(std::string_view).
  template <class Sink>
  void write(const Values& values, Sink& sink) const {
    for (const Piece& piece : pieces_) write_piece(piece, values, sink);
  }

 private:
  friend class TemplateParser;

  struct Piece {
    Variable variable = Variable::kText;
    uint32_t number = 0;  // Of the capture.
    std::string text;     // Encoded already, or the name of the header, cookie or parameter.
  };

  // The text of variables that have one in memory.
  static std::string_view text_of(const Piece& piece, const Values& values);
  static Form form_of(Variable variable);

  template <class Sink>
  void write_piece(const Piece& piece, const Values& values, Sink& sink) const;

  std::vector<Piece> pieces_;
  Encoding encoding_ = Encoding::kNone;
  bool has_variables_ = false;
  bool uses_captures_ = false;
  bool uses_request_ = false;
};

// The decimal digits of a port, on the stack.
class NumberText {
 public:
  static NumberText decimal(uint16_t number);
  std::string_view view() const { return {digits_.data(), size_}; }

 private:
  std::array<char, 5> digits_{};
  size_t size_ = 0;
};

template <class Sink>
void Template::write_piece(const Piece& piece, const Values& values, Sink& sink) const {
  Encoder<Sink> encoder(sink, encoding_, form_of(piece.variable));
  switch (piece.variable) {
    case Variable::kText:
      return sink.append(std::string_view(piece.text));
    case Variable::kClientPort:
      if (values.request->source_port == 0) return;
      return encoder.append(NumberText::decimal(values.request->source_port).view());
    case Variable::kCookie:
      any_cookie(*values.request, [&](const Field& cookie) {
        if (cookie.name != piece.text) return false;
        encoder.append(cookie.value);
        return true;
      });
      return;
    case Variable::kParameter:
      any_parameter(*values.request, [&](const Field& field) {
        if (!decodes_to(field.name, piece.text)) return false;
        decode_component(field.value, [&](char c) {
          encoder.append(c);
          return true;
        });
        return true;
      });
      return;
    case Variable::kTarget:
      encoder.append(values.request->path);
      if (values.request->query.empty()) return;
      encoder.append(std::string_view("?"));
      return encoder.append(values.request->query);
    default:
      return encoder.append(text_of(piece, values));
  }
}

}  // namespace shunt::rules
