// One regular expression of a rule: RE2 behind a wall. Patterns and texts are octets (RE2's Latin-1
// mode with "." matching every octet), so that no malformed UTF-8 slips past a rule. Immutable
// after parse, safe for all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace shunt::rules {

// Of which group 0 is the whole match.
inline constexpr uint32_t kCapturesMax = 16;

// Whether a pattern's groups are for capture() as well, which makes it slower to search.
enum class Groups : uint8_t { kIgnored, kCaptured };

class Regex {
 public:
  // The error is RE2's message.
  static Result<std::unique_ptr<const Regex>> parse(std::string_view pattern,
                                                    Groups groups = Groups::kIgnored);
  virtual ~Regex() = default;

  // Whether the pattern matches anywhere in `text`.
  virtual bool search(std::string_view text) const = 0;
  // With kCaptured. The first match: groups[0] is all of it, groups[i] the group i; those that took
  // no part are empty. False: no match. At most kCapturesMax groups, of which the pattern may have
  // fewer.
  virtual bool capture(std::string_view text, std::span<std::string_view> groups) const = 0;
  virtual uint32_t group_count() const = 0;                 // Without the whole match.
  virtual uint32_t group(std::string_view name) const = 0;  // The number of "(?P<name>…)", or 0.
  virtual const std::string& pattern() const = 0;
};

// Literals of which every text that `pattern` matches contains at least one, in lower case (to be
// looked for in the text without regard to case). Empty if there are none worth looking for.
// Alternatives, each a complete answer: one literal that is always needed ("^/shop/.*[.]html$"
// gives {"/shop/"} and {".html"}), or else the branches of an alternation together.
std::vector<std::vector<std::string>> required_literals(std::string_view pattern);

}  // namespace shunt::rules
