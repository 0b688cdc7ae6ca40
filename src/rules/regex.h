// One regular expression of a rule: RE2 behind a wall. Patterns and texts are octets (RE2's Latin-1
// mode with "." matching every octet), so that no malformed UTF-8 slips past a rule. Immutable
// after parse, safe for all threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace shunt::rules {

class Regex {
 public:
  // The error is RE2's message.
  static Result<std::unique_ptr<const Regex>> parse(std::string_view pattern);
  virtual ~Regex() = default;

  // Whether the pattern matches anywhere in `text`.
  virtual bool search(std::string_view text) const = 0;
  virtual const std::string& pattern() const = 0;
};

// Literals of which every text that `pattern` matches contains at least one, in lower case (to be
// looked for in the text without regard to case). Empty if there are none worth looking for.
// Alternatives, each a complete answer: one literal that is always needed ("^/shop/.*[.]html$"
// gives {"/shop/"} and {".html"}), or else the branches of an alternation together.
std::vector<std::vector<std::string>> required_literals(std::string_view pattern);

}  // namespace shunt::rules
