// Many regular expressions searched at once: one RE2::Set. Built once, then immutable and safe for
// all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "rules/regex.h"

namespace shunt::rules {

class RegexSet {
 public:
  // What one search finds; reused.
  struct Hits {
    std::vector<const Regex*> regexes;  // All that match, in no order.
    std::vector<int> indexes;           // RE2's own answer.
  };

  // What RE2 may use for the program and the automaton's cached states. 10,000 patterns need a few
  // MiB of program; the states are dropped and built anew when the rest is used up, so more memory
  // means fewer such pauses.
  static constexpr int64_t kMemoryMax = int64_t{128} << 20;

  // Adds `regex`, which must outlive the set.
  virtual void add(const Regex& regex) = 0;
  // Ends the adding. Without memory for an automaton the set searches one by one.
  virtual void compile() = 0;
  // Replaces `hits` by what matches `text`. Allocates inside RE2 where the set is not empty.
  virtual void search(std::string_view text, Hits& hits) const = 0;

  static std::unique_ptr<RegexSet> create(int64_t memory_max = kMemoryMax);
  virtual ~RegexSet() = default;
};

}  // namespace shunt::rules
