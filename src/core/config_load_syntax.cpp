// TOML text to tables, going on after a syntax error. toml++ stops at the first one; so the section
// around it is blanked and the text parsed again, until it parses or the error is not behind the
// last one. Owned by one load, on the thread that loads.
#include <algorithm>
#include <string>
#include <vector>

#include "core/config_load_parts.h"

namespace shunt::config {
namespace {

constexpr int kSyntaxErrorsMax = 20;  // Per file. Each costs a parse.

// Where each line starts.
std::vector<size_t> line_starts(std::string_view text) {
  std::vector<size_t> starts = {0};
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
    starts.push_back(at + 1);
  return starts;
}

bool is_header(std::string_view text, size_t line_start) {
  const size_t first = text.find_first_not_of(" \t", line_start);
  return first != std::string_view::npos && text[first] == '[';
}

// The text with what could not be parsed blanked out, line structure and places kept.
class Patched {
 public:
  explicit Patched(std::string_view text) : text_(text), starts_(line_starts(text)) {}

  const std::string& text() const { return text_; }
  size_t line_count() const { return starts_.size(); }

  // True if the line with this index starts with `key =`.
  bool is_key(size_t line) const {
    const std::string_view source = of(line);
    const size_t equals = source.find('=');
    if (equals == std::string_view::npos) return false;
    constexpr std::string_view kNotInKeys = "[]{},#";
    return source.substr(0, equals).find_first_of(kNotInKeys) == std::string_view::npos;
  }
  std::string_view of(size_t line) const {
    return std::string_view(text_).substr(starts_[line], end_of(line) - starts_[line]);
  }

  // Blanks a key with the lines that its value goes on in; returns the index of the line behind.
  size_t blank_key(size_t line) {
    size_t end = line + 1;
    while (end < starts_.size() && !is_key(end) && !is_header(text_, starts_[end])) ++end;
    blank(starts_[line], end_of(end - 1));
    return end;
  }

  // Blanks a key with the table in braces that it opens, to the line of the last brace; returns the
  // index of the line behind.
  size_t blank_braces(size_t line) {
    size_t end = line;
    int open = 0;
    do {
      for (const char c : of(end)) open += c == '{' ? 1 : c == '}' ? -1 : 0;
      ++end;
    } while (open > 0 && end < starts_.size() && !is_header(text_, starts_[end]));
    blank(starts_[line], end_of(end - 1));
    return end;
  }

  // Blanks from the header above the line to the next header; returns the index of that one.
  size_t blank_section(size_t line) {
    size_t first = line;
    while (first > 0 && !is_header(text_, starts_[first])) --first;
    size_t end = line + 1;
    while (end < starts_.size() && !is_header(text_, starts_[end])) ++end;
    blank(starts_[first], end_of(end - 1));
    return end;
  }

 private:
  size_t end_of(size_t line) const {
    return line + 1 < starts_.size() ? starts_[line + 1] : text_.size();
  }

  void blank(size_t from, size_t to) {
    std::replace_if(
        text_.begin() + static_cast<ptrdiff_t>(from), text_.begin() + static_cast<ptrdiff_t>(to),
        [](char c) { return c != '\n'; }, ' ');
  }

  std::string text_;
  std::vector<size_t> starts_;
};

bool is_broken_inline_table(std::string_view description) {
  return description.find("inline table") != std::string_view::npos &&
         description.ends_with("saw '\\n'");
}

// The text in double quotes around the byte `at` of the line, in single ones: what was most likely
// meant by a backslash that is no escape sequence.
std::string in_single_quotes(std::string_view line, size_t at) {
  const size_t begin = line.substr(0, at).rfind('"');
  const size_t end = line.find('"', at);
  if (begin == std::string_view::npos || end == std::string_view::npos) return "'…'";
  const std::string_view inside = line.substr(begin + 1, end - begin - 1);
  return inside.contains('\'') ? "'…'" : fmt::format("'{}'", inside);
}

// `line` is the one with the error, `at` the byte in it.
std::string hint_for(std::string_view description, std::string_view line, size_t at) {
  const auto mentions = [description](std::string_view what) {
    return description.find(what) != std::string_view::npos;
  };
  if (is_broken_inline_table(description))
    return "a table in braces stands on one line; a longer one gets a header: [rule.match]";
  if (mentions("unknown escape sequence"))
    return fmt::format("write regular expressions in single quotes: {}",
                       in_single_quotes(line, at));
  if (mentions("string: ") && mentions("control characters"))
    return "is the closing quote missing?";
  if (mentions("expected '='"))
    return "this is TOML: key = value, below [headers]; config/smallest.toml shows how it looks";
  if (mentions("floating-point") || mentions("integer:") || mentions("value type") ||
      mentions("parsing boolean") || mentions("parsing date") || mentions("parsing time"))
    return "texts, addresses, durations and sizes need quotes: \"10.0.0.11:8080\", \"250ms\"";
  if (mentions("cannot redefine")) return "a key or table is given once; lists of tables are [[…]]";
  return {};
}

// "Error while parsing X: Y" of toml++, in our words.
std::string message_for(std::string_view description) {
  constexpr std::string_view kStart = "Error while parsing ";
  const size_t colon = description.find(": ");
  if (!description.starts_with(kStart) || colon == std::string_view::npos)
    return fmt::format("TOML syntax: {}", description);
  return fmt::format("TOML syntax, {}: {}",
                     description.substr(kStart.size(), colon - kStart.size()),
                     description.substr(colon + 2));
}

}  // namespace

toml::table parse_toml(Loading& loading, std::string_view text) {
  Patched patched(text);
  size_t left_out_to = 0;  // Index of the line behind what was left out last.
  loading.damaged = false;
  for (int errors = 0; errors < kSyntaxErrorsMax; ++errors) {
    toml::parse_result result = toml::parse(std::string_view(patched.text()));
    if (result) return std::move(result).table();
    loading.damaged = true;
    const toml::parse_error& error = result.error();
    const Place place{loading.file, error.source().begin.line, error.source().begin.column};
    const size_t line = std::clamp<size_t>(place.line, 1, patched.line_count()) - 1;
    if (line < left_out_to) {
      // A consequence of what was left out, such as the rest of an array: not news, and more must
      // go.
      const size_t end = patched.blank_section(line);
      loading.draft.incomplete = true;
      if (end == left_out_to) return {};
      left_out_to = end;
      continue;
    }
    const size_t at = place.column > 0 ? place.column - 1 : 0;
    loading.diagnostics.error(place, message_for(error.description()),
                              hint_for(error.description(), patched.of(line), at));
    // Something that is not closed: where it begins is not known, so nothing is known of what
    // follows.
    if (error.description().find("end-of-file") != std::string_view::npos) break;
    const std::string_view source = patched.of(line);
    // A key costs no more than itself, unless it named something that others may refer to.
    if (source.find("name") != std::string_view::npos || source.find('{') != std::string_view::npos)
      loading.draft.incomplete = true;
    if (is_broken_inline_table(error.description())) {
      left_out_to = patched.blank_braces(line);
    } else if (patched.is_key(line)) {
      left_out_to = patched.blank_key(line);
    } else {
      left_out_to = patched.blank_section(line);
      loading.draft.incomplete = true;
    }
  }
  loading.draft.incomplete = true;
  return {};
}

}  // namespace shunt::config
