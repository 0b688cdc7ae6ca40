// The table of variables, and the parser of texts that use them.
#include "rules/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/assert.h"
#include "core/diagnostics.h"

namespace shunt::rules {
namespace {

struct VariableRow {
  std::string_view name;  // With a dot at its end: a name follows.
  Variable variable;
  Form form;
  bool of_request;  // Needs the bytes of the request.
  bool of_server;   // Known once a server has been chosen.
};

constexpr VariableRow kVariables[] = {
    {"client.ip", Variable::kClientIp, Form::kRaw, false, false},
    {"client.port", Variable::kClientPort, Form::kRaw, true, false},
    {"server.name", Variable::kServerName, Form::kRaw, false, true},
    {"server.address", Variable::kServerAddress, Form::kRaw, false, true},
    {"rule", Variable::kRule, Form::kRaw, false, false},
    {"pool", Variable::kPool, Form::kRaw, false, false},
    {"listener", Variable::kListener, Form::kRaw, false, false},
    {"method", Variable::kMethod, Form::kRaw, true, false},
    {"scheme", Variable::kScheme, Form::kRaw, true, false},
    {"host", Variable::kHost, Form::kEscaped, true, false},
    {"path", Variable::kPath, Form::kEscaped, true, false},
    {"query", Variable::kQuery, Form::kEscaped, true, false},
    {"target", Variable::kTarget, Form::kEscaped, true, false},
    {"request.id", Variable::kRequestId, Form::kRaw, false, false},
    {"tls.version", Variable::kTlsVersion, Form::kRaw, false, false},
    {"tls.sni", Variable::kTlsSni, Form::kRaw, false, false},
    {"tls.subject", Variable::kTlsSubject, Form::kRaw, false, false},
    {"header.", Variable::kHeader, Form::kRaw, true, false},
    {"cookie.", Variable::kCookie, Form::kRaw, true, false},
    {"query.", Variable::kParameter, Form::kRaw, true, false},
    {"capture.", Variable::kCapture, Form::kEscaped, true, false},
};

const VariableRow* find_variable(std::string_view name) {
  for (const VariableRow& row : kVariables) {
    const bool open = row.name.ends_with('.');
    if (open ? name.starts_with(row.name) && name.size() > row.name.size() : name == row.name)
      return &row;
  }
  return nullptr;
}

std::string hint_for(std::string_view name) {
  std::vector<std::string_view> names;
  for (const VariableRow& row : kVariables) names.push_back(row.name);
  // Of "heder.x-a" only the part that is ours can be near something.
  const size_t dot = name.find('.');
  std::string hint = did_you_mean(name, names);
  if (hint.empty() && dot != std::string_view::npos)
    hint = did_you_mean(name.substr(0, dot + 1), names);
  return hint.empty() ? fmt::format("variables: {}", fmt::join(names, " ")) : hint;
}

bool is_field_name(std::string_view name) {
  return std::ranges::all_of(name, [](unsigned char c) {
    return c > 0x20 && c < 0x7f &&
           std::string_view("\"(),/:;<=>?@[\\]{}").find(static_cast<char>(c)) ==
               std::string_view::npos;
  });
}

struct TextSink {
  std::string& text;
  void append(std::string_view piece) { text += piece; }
};

}  // namespace

class TemplateParser {
 public:
  TemplateParser(std::string_view text, Encoding encoding, const TemplateScope& scope)
      : text_(text), scope_(scope) {
    result_.encoding_ = encoding;
  }

  std::expected<Template, TemplateError> run() {
    while (at_ < text_.size()) {
      const bool good = text_[at_] == '$' ? dollar() : plain();
      if (!good) return std::unexpected(std::move(error_));
    }
    flush();
    return std::move(result_);
  }

 private:
  bool fail(size_t offset, std::string text, std::string hint = {}) {
    error_ = {offset, std::move(text), std::move(hint)};
    return false;
  }

  bool plain() {
    const size_t end = std::min(text_.find('$', at_), text_.size());
    literal_ += text_.substr(at_, end - at_);
    at_ = end;
    return true;
  }

  bool dollar() {
    const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (next == '{') return variable();
    if (next >= '0' && next <= '9')
      return fail(
          at_, fmt::format("\"${}\" is not a variable", next),
          fmt::format("a capture is ${{capture.{}}}, a dollar sign before a digit $$", next));
    literal_ += '$';
    at_ += next == '$' ? 2 : 1;
    return true;
  }

  bool variable() {
    const size_t end = text_.find('}', at_);
    if (end == std::string_view::npos)
      return fail(at_, "\"${\" has no \"}\"", "a dollar sign before a brace is $$");
    const size_t offset = at_ + 2;
    const std::string_view name = text_.substr(offset, end - offset);
    at_ = end + 1;
    const VariableRow* row = find_variable(name);
    if (row == nullptr)
      return fail(offset, fmt::format("unknown variable \"{}\"", name), hint_for(name));
    if (row->of_server && !scope_.server)
      return fail(offset, fmt::format("\"{}\" is not known here: no server has been chosen", name),
                  "it is in request_headers and response_headers of rules with a pool");
    flush();
    Template::Piece piece{.variable = row->variable, .number = 0, .text = {}};
    if (row->name.ends_with('.') && !parameter(*row, offset, name, piece)) return false;
    result_.has_variables_ = true;
    result_.uses_request_ |= row->of_request;
    result_.pieces_.push_back(std::move(piece));
    return true;
  }

  // What follows the dot.
  bool parameter(const VariableRow& row, size_t offset, std::string_view name,
                 Template::Piece& piece) {
    const std::string_view rest = name.substr(row.name.size());
    const size_t rest_offset = offset + row.name.size();
    if (row.variable == Variable::kCapture) return capture(rest, rest_offset, piece);
    if (row.variable == Variable::kHeader && !is_field_name(rest))
      return fail(rest_offset, fmt::format("\"{}\" is not a header name", rest));
    piece.text = rest;
    return true;
  }

  bool capture(std::string_view rest, size_t offset, Template::Piece& piece) {
    if (scope_.patterns.empty())
      return fail(
          offset, "there is nothing to capture from",
          "captures are groups of the rule's path_regex, or of rewrite's regex in its \"to\"");
    const auto [end, problem] =
        std::from_chars(rest.data(), rest.data() + rest.size(), piece.number);
    const bool number = problem == std::errc() && end == rest.data() + rest.size();
    for (size_t i = 0; i < scope_.patterns.size(); ++i) {
      const Regex& regex = *scope_.patterns[i];
      const uint32_t group = number ? piece.number : regex.group(rest);
      const bool there = number ? group <= regex.group_count() : group > 0;
      if (!there)
        return fail(offset, fmt::format("'{}' has no group \"{}\"", regex.pattern(), rest),
                    number ? fmt::format("it has {} of them", regex.group_count()) : "");
      if (i > 0 && group != piece.number)
        return fail(offset, fmt::format("\"{}\" is not the same group in every pattern", rest),
                    "give them the same place, or write a rule for each");
      if (group >= kCapturesMax)
        return fail(offset, fmt::format("only the first {} groups can be used", kCapturesMax - 1));
      piece.number = group;
    }
    result_.uses_captures_ = true;
    return true;
  }

  void flush() {
    if (literal_.empty()) return;
    Template::Piece piece;
    TextSink sink{piece.text};
    switch (result_.encoding_) {
      case Encoding::kPath:  // Written as a path is.
        Encoder(sink, Encoding::kPath, Form::kEscaped).append(literal_);
        break;
      case Encoding::kComponent:  // Written as a text is.
        Encoder(sink, Encoding::kComponent, Form::kRaw).append(literal_);
        break;
      default:
        piece.text = literal_;
    }
    literal_.clear();
    result_.pieces_.push_back(std::move(piece));
  }

  const std::string_view text_;
  const TemplateScope& scope_;
  size_t at_ = 0;
  std::string literal_;  // Text since the last variable.
  Template result_;
  TemplateError error_;
};

std::expected<Template, TemplateError> Template::parse(std::string_view text, Encoding encoding,
                                                       const TemplateScope& scope) {
  return TemplateParser(text, encoding, scope).run();
}

std::string_view Template::text_of(const Piece& piece, const Values& values) {
  switch (piece.variable) {
    case Variable::kClientIp:
      return values.client_ip;
    case Variable::kServerName:
      return values.server_name;
    case Variable::kServerAddress:
      return values.server_address;
    case Variable::kRule:
      return values.rule;
    case Variable::kPool:
      return values.pool;
    case Variable::kListener:
      return values.listener;
    case Variable::kMethod:
      return values.request->method;
    case Variable::kScheme:
      return values.request->scheme;
    case Variable::kHost:
      return values.request->host;
    case Variable::kPath:
      return values.request->path;
    case Variable::kQuery:
      return values.request->query;
    case Variable::kTlsVersion:
      return values.tls_version;
    case Variable::kTlsSni:
      return values.tls_sni;
    case Variable::kTlsSubject:
      return values.tls_subject;
    case Variable::kRequestId:
      return values.request_id;
    case Variable::kHeader:
      return values.request->header(piece.text);
    case Variable::kCapture:
      return piece.number < values.captures.size() ? values.captures[piece.number]
                                                   : std::string_view();
    case Variable::kText:
    case Variable::kClientPort:
    case Variable::kTarget:
    case Variable::kCookie:
    case Variable::kParameter:
      break;
  }
  SHUNT_ASSERT(false);
  return {};
}

Form Template::form_of(Variable variable) {
  static constexpr auto kForms = [] {
    std::array<Form, static_cast<size_t>(Variable::kCapture) + 1> forms{};
    for (const VariableRow& row : kVariables) forms[static_cast<size_t>(row.variable)] = row.form;
    return forms;
  }();
  return kForms[static_cast<size_t>(variable)];
}

NumberText NumberText::decimal(uint16_t number) {
  NumberText text;
  const auto end =
      std::to_chars(text.digits_.data(), text.digits_.data() + text.digits_.size(), number).ptr;
  text.size_ = static_cast<size_t>(end - text.digits_.data());
  return text;
}

}  // namespace shunt::rules
