// Templates and rewrites: any text is compiled or refused with an offset inside it, and whatever it
// makes of any request stays in its place: a target of a request line, a value of one field line.
// The input is lines: the template, a pattern, then method, host, path, query, and one cookie.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/assert.h"
#include "rules/path.h"
#include "rules/rewrite.h"

namespace {

using namespace shunt;
using namespace shunt::rules;

struct TextSink {
  std::string text;
  void append(std::string_view piece) { text += piece; }
};

std::string_view take_line(std::string_view& input) {
  const size_t end = input.find('\n');
  const std::string_view line = input.substr(0, end);
  input = end == std::string_view::npos ? std::string_view() : input.substr(end + 1);
  return line;
}

void check_octets(std::string_view text, Encoding encoding) {
  for (const char octet : text) {
    const auto c = static_cast<unsigned char>(octet);
    switch (encoding) {
      case Encoding::kHeader:
        SHUNT_ASSERT((c >= 0x20 && c != 0x7f) || c == '\t');
        break;
      case Encoding::kPath:
        SHUNT_ASSERT(c > 0x20 && c < 0x7f && c != '?' && c != '#');
        break;
      case Encoding::kComponent:
        SHUNT_ASSERT(c > 0x20 && c < 0x7f &&
                     std::string_view("&=+#?/").find(octet) == std::string_view::npos);
        break;
      default:
        break;
    }
  }
}

// The template's fixed text is the configuration's, which the loader has looked at.
bool has_control(std::string_view text) {
  for (const char octet : text) {
    const auto c = static_cast<unsigned char>(octet);
    if (c < 0x20 || c == 0x7f) return true;
  }
  return false;
}

bool is_visible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

// No value begins another segment, unless it is a part of a path itself.
void check_segments(std::string_view text, const Template& parsed, std::string_view written) {
  for (const char* of_path : {"${path", "${target", "${query}", "${host", "${capture"}) {
    if (text.find(of_path) != std::string_view::npos) return;
  }
  const RequestView nothing;
  Values empty;
  empty.request = &nothing;
  TextSink bare;
  parsed.write(empty, bare);
  SHUNT_ASSERT(std::ranges::count(written, '/') == std::ranges::count(bare.text, '/'));
}

void check_rewrite(std::string_view to, const std::string& pattern, std::string_view raw_path,
                   const Values& values) {
  config::Rule rule;
  rule.pool = 0;
  rule.rewrite.regex = pattern;
  rule.rewrite.to = config::TemplateText{std::string(to), {}};
  rule.rewrite.query.set.push_back({"name", {std::string(to), {}}});
  rule.rewrite.query.remove.push_back("a");
  Diagnostics diagnostics;
  const auto actions = compile_actions({&rule, 1}, {}, diagnostics);
  if (diagnostics.has_errors()) return;
  std::string target;
  const Rewritten kind = rewrite_target(*actions[0], raw_path, true, values, target);
  if (kind != Rewritten::kChanged) return;
  SHUNT_ASSERT(target.starts_with('/'));
  SHUNT_ASSERT(target.size() <= kTargetMax);
  const std::string_view path = std::string_view(target).substr(0, target.find('?'));
  const bool as_it_came = path == raw_path;
  if (as_it_came) return;
  check_octets(path, Encoding::kPath);
  if (is_visible(values.request->query)) SHUNT_ASSERT(is_visible(target));
  std::string scratch;
  SHUNT_ASSERT(normalise_path(path, scratch) == path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view text = take_line(input);
  const std::string pattern(take_line(input));
  const auto regex = Regex::parse(pattern, Groups::kCaptured);
  RequestView request;
  request.method = take_line(input);
  request.scheme = "http";
  request.host = take_line(input);
  // As the parser of targets gives it: up to the query.
  const std::string_view line = take_line(input);
  const std::string_view raw_path = line.substr(0, line.find_first_of("?#"));
  std::string scratch;
  request.path = normalise_path(raw_path, scratch);
  request.query = take_line(input);
  const std::array<HeaderView, 1> headers = {{{"Cookie", take_line(input)}}};
  request.headers = headers;

  std::array<const Regex*, 1> patterns{};
  std::array<std::string_view, kCapturesMax> groups;
  TemplateScope scope{.server = true, .patterns = {}};
  if (regex) {
    patterns[0] = regex->get();
    scope.patterns = patterns;
    (*regex)->capture(request.path, groups);
  }
  Values values;
  values.request = &request;
  values.server_name = "s1";
  values.captures = groups;
  for (unsigned i = 0; i < 7; ++i) {
    const auto encoding = static_cast<Encoding>(i);
    const auto parsed = Template::parse(text, encoding, scope);
    if (!parsed) {
      SHUNT_ASSERT(parsed.error().offset <= text.size());
      SHUNT_ASSERT(!parsed.error().text.empty());
      return 0;
    }
    TextSink sink;
    parsed->write(values, sink);
    if (!has_control(text)) check_octets(sink.text, encoding);
    if (encoding == Encoding::kPath) check_segments(text, *parsed, sink.text);
    if (encoding == Encoding::kLocation && is_visible(text)) SHUNT_ASSERT(is_visible(sink.text));
  }
  if (regex && text.find_first_of("?#") == std::string_view::npos)
    check_rewrite(text, pattern, raw_path, values);
  return 0;
}
