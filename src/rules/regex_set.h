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
  // What RE2 may use for the program and the automaton's cached states. 10,000 patterns need a few
  // MiB of program; the states are dropped and built anew when the rest is used up, so more memory
  // means fewer such pauses.
  static constexpr int64_t kMemoryMax = int64_t{128} << 20;

  // Reports `regex`, which must outlive the set, as `id`.
  virtual void add(const Regex& regex, uint32_t id) = 0;
  // Ends the adding. Without memory for an automaton the set searches one by one.
  virtual void compile() = 0;
  // Replaces `hits` by the ids of all that match, in no order. Allocates inside RE2 where the set
  // is not empty.
  virtual void search(std::string_view text, std::vector<int>& hits) const = 0;

  static std::unique_ptr<RegexSet> create(int64_t memory_max = kMemoryMax);
  virtual ~RegexSet() = default;
};

}  // namespace shunt::rules
