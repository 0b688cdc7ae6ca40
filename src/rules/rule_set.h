// The rules compiled: a host table, a path trie and one RE2::Set give candidate rules, and the
// first (lowest) candidate whose other conditions hold wins, so the cost of a request does not grow
// with the number of rules. Immutable after compile; one instance serves all workers, each with a
// Scratch of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/diagnostics.h"
#include "core/result.h"
#include "rules/request_view.h"

namespace shunt::rules {

inline constexpr uint32_t kNoRule = UINT32_MAX;

// One line of `shunt explain`: what became of one rule, in the order of the file.
struct Step {
  uint32_t rule = 0;  // Index into the rules compiled.
  bool matched = false;
  std::string why;  // "host: \"a.example.com\" is not \"*.example.org\"", "always matches", …
};

class RuleSet {
 public:
  // Memory that one match needs; reused, one per worker.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class RuleSet;
    struct Data;
    std::unique_ptr<Data> data_;
  };

  // Patterns that RE2 refuses become errors at their place, rules that can never match
  // become warnings. `rules` and `listeners` must outlive the set. Never null; with errors in
  // `diagnostics` it must not be used.
  static std::unique_ptr<const RuleSet> compile(std::span<const config::Rule> rules,
                                                std::span<const config::Listener> listeners,
                                                Diagnostics& diagnostics);
  virtual ~RuleSet() = default;

  // Index of the first rule that matches, or kNoRule. Allocates nothing once `scratch` has warmed
  // up.
  virtual uint32_t match(const RequestView& request, Scratch& scratch) const = 0;

  // Every rule up to and including the first that matches, with the reason. Decides as match() does
  // (a test holds them equal) but by evaluating each rule on its own.
  virtual std::vector<Step> explain(const RequestView& request) const = 0;

 private:
  class Compiled;  // The one implementation.
};

// Only reports the patterns that RE2 refuses: for rules that cannot be compiled, since other errors
// in the configuration have left names in it unresolved.
void check_patterns(std::span<const config::Rule> rules, Diagnostics& diagnostics);

}  // namespace shunt::rules
