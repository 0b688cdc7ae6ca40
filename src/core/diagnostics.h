// What is wrong with a configuration and where: collected in one pass, printed with the source line
// and a caret.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shunt {

// A place in one of the files that a Diagnostics knows. Line and column count from 1; line 0 means
// "no place".
struct Place {
  uint32_t file = 0;
  uint32_t line = 0;
  uint32_t column = 0;

  friend bool operator==(const Place&, const Place&) = default;
};

enum class Severity : uint8_t { kError, kWarning };

struct Diagnostic {
  Severity severity = Severity::kError;
  Place place;
  std::string text;  // What is wrong.
  std::string hint;  // The way out ("did you mean \"lblcr\"?"), or empty.
};

class Diagnostics {
 public:
  // Registers a source text so that places can show its lines; returns its index for Place::file.
  uint32_t add_file(std::string name, std::string text);

  void error(Place place, std::string text, std::string hint = {});
  void warning(Place place, std::string text, std::string hint = {});

  bool has_errors() const { return errors_ > 0; }
  size_t error_count() const { return errors_; }
  const std::vector<Diagnostic>& all() const { return all_; }
  const std::string& file_name(uint32_t file) const;

  // `FILE:LINE:COLUMN: error: text`, the source line, a caret, and the hint; all of them, sorted by
  // place.
  std::string to_string() const;
  // The same as a JSON array of {file, line, column, severity, message, hint}.
  std::string to_json() const;

 private:
  std::vector<const Diagnostic*> sorted() const;

  struct File {
    std::string name;
    std::string text;
  };
  std::vector<File> files_;
  std::vector<Diagnostic> all_;
  size_t errors_ = 0;
};

// The candidate nearest to `word` (Damerau-Levenshtein distance at most a third of its length, at
// least 1), or "".
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
// `did you mean "x"?`, or "" when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace shunt
