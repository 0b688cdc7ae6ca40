// Collects, sorts and prints the problems of a configuration; finds the word that a misspelt one
// was meant to be. Owned by one load of a configuration, on the thread that loads it.
#include "core/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "core/assert.h"
#include "core/json_escape.h"

namespace shunt {
namespace {

constexpr size_t kLineShownMax = 160;  // Bytes of a source line; of longer ones a window is shown.

std::string_view name_of(Severity severity) {
  return severity == Severity::kError ? "error" : "warning";
}

std::string_view line_of(std::string_view text, uint32_t line) {
  for (; line > 1; --line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

constexpr bool continues_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// The byte at which the code point number `column` (from 1) of `line` starts.
size_t byte_of_column(std::string_view line, uint32_t column) {
  size_t byte = 0;
  for (uint32_t at = 1; at < column && byte < line.size(); ++at) {
    ++byte;
    while (byte < line.size() && continues_code_point(line[byte])) ++byte;
  }
  return byte;
}

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') c = '?';
  return result;
}

// The source line and a caret under `column`, both behind a gutter with the line's number.
std::string excerpt(std::string_view line, const Place& place) {
  size_t caret = byte_of_column(line, place.column);
  if (line.size() > kLineShownMax) {
    size_t start = caret > kLineShownMax / 2 ? caret - kLineShownMax / 2 : 0;
    while (start > 0 && continues_code_point(line[start])) --start;
    size_t end = std::min(start + kLineShownMax, line.size());
    while (end < line.size() && continues_code_point(line[end])) ++end;
    line = line.substr(start, end - start);
    caret -= start;
  }
  std::string pad;
  for (const char c : line.substr(0, caret)) {
    if (c == '\t')
      pad += '\t';
    else if (!continues_code_point(c))
      pad += ' ';
  }
  return fmt::format("{:>5} | {}\n{:>5} | {}^\n", place.line, printable(line), "", pad);
}

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, letters'
// case ignored.
size_t distance(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  };
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, substituted});
      const bool swapped = i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

uint32_t Diagnostics::add_file(std::string name, std::string text) {
  files_.push_back({std::move(name), std::move(text)});
  return static_cast<uint32_t>(files_.size() - 1);
}

void Diagnostics::error(Place place, std::string text, std::string hint) {
  ++errors_;
  all_.push_back({Severity::kError, place, std::move(text), std::move(hint)});
}

void Diagnostics::warning(Place place, std::string text, std::string hint) {
  all_.push_back({Severity::kWarning, place, std::move(text), std::move(hint)});
}

const std::string& Diagnostics::file_name(uint32_t file) const {
  SHUNT_ASSERT(file < files_.size());
  return files_[file].name;
}

std::vector<const Diagnostic*> Diagnostics::sorted() const {
  std::vector<const Diagnostic*> order;
  order.reserve(all_.size());
  for (const Diagnostic& one : all_) order.push_back(&one);
  std::ranges::sort(order, {}, [](const Diagnostic* one) {
    // The address last, so that problems of one place keep the order in which they were found.
    return std::tuple(one->place.file, one->place.line, one->place.column, one);
  });
  return order;
}

std::string Diagnostics::to_string() const {
  std::string out;
  for (const Diagnostic* one : sorted()) {
    const Place& place = one->place;
    const bool known = place.file < files_.size();
    if (known) out += files_[place.file].name + ":";
    if (known && place.line > 0) out += fmt::format("{}:{}:", place.line, place.column);
    out +=
        fmt::format("{}{}: {}\n", known ? " " : "", name_of(one->severity), printable(one->text));
    if (known && place.line > 0)
      out += excerpt(line_of(files_[place.file].text, place.line), place);
    if (!one->hint.empty()) out += fmt::format("{:>5} = {}\n", "", printable(one->hint));
  }
  return out;
}

std::string Diagnostics::to_json() const {
  std::string out = "[";
  for (const Diagnostic* one : sorted()) {
    const Place& place = one->place;
    const std::string_view file =
        place.file < files_.size() ? std::string_view(files_[place.file].name) : "";
    out += fmt::format(
        "{}\n  {{\"file\": \"{}\", \"line\": {}, \"column\": {}, \"severity\": \"{}\", "
        "\"message\": \"{}\", \"hint\": \"{}\"}}",
        out.size() > 1 ? "," : "", json_escape(file), place.line, place.column,
        name_of(one->severity), json_escape(one->text), json_escape(one->hint));
  }
  out += out.size() > 1 ? "\n]\n" : "]\n";
  return out;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  const size_t limit = std::max<size_t>(1, word.size() / 3);
  std::string_view best;
  size_t best_distance = limit + 1;
  for (const std::string_view candidate : candidates) {
    const size_t longer = std::max(candidate.size(), word.size());
    const size_t shorter = std::min(candidate.size(), word.size());
    if (longer - shorter > best_distance) continue;
    const size_t found = distance(word, candidate);
    if (found > best_distance || found >= word.size()) continue;
    // Of two as near, the one with the same letters: "lblrc" is lblcr with a slip, not lblc.
    const bool tie = found == best_distance;
    if (tie && (found > limit || !std::ranges::is_permutation(word, candidate))) continue;
    best = candidate;
    best_distance = found;
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view near = nearest(word, candidates);
  return near.empty() ? std::string() : fmt::format("did you mean \"{}\"?", near);
}

}  // namespace shunt
