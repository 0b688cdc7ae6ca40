// The search for dead rules: each against itself, then against the rules before it.
#include "rules/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "rules/implication.h"

namespace shunt::rules {
namespace {

constexpr size_t kComparisonsMax = size_t{1} << 26;

class Linter {
 public:
  Linter(std::span<const config::Rule> rules, std::span<const Conditions> conditions,
         std::span<const config::Listener> listeners, Diagnostics& diagnostics)
      : rules_(rules),
        conditions_(conditions),
        diagnostics_(diagnostics),
        taken_by_(listeners.size(), kNobody) {}

  void run() {
    for (size_t rule = 0; rule < rules_.size(); ++rule) {
      warn(rule);
      if (rules_[rule].match.empty()) take_listeners(rule);
    }
  }

 private:
  static constexpr size_t kNobody = SIZE_MAX;

  void warn(size_t rule) {
    if (const auto why = contradiction(conditions_[rule]))
      return warn(rule, fmt::format("rule \"{}\" can never match: {}", rules_[rule].name, *why));
    const size_t taker = taker_of(rule);
    if (taker == kNobody) return;
    warn(rule, fmt::format("rule \"{}\" can never match: rule \"{}\" before it takes every request "
                           "that it could match",
                           rules_[rule].name, rules_[taker].name));
  }

  void warn(size_t rule, std::string text) {
    diagnostics_.warning(rules_[rule].place, std::move(text));
  }

  // An earlier rule that leaves nothing for `rule` (where it takes several, the last of them), or
  // kNobody.
  size_t taker_of(size_t rule) {
    if (const size_t taker = taker_of_listeners(rule); taker != kNobody) return taker;
    for (size_t earlier = 0; earlier < rule; ++earlier) {
      // Alternatives are compared each with each.
      comparisons_ += 1 + conditions_[rule].any.size() * (1 + conditions_[earlier].any.size());
      if (comparisons_ > kComparisonsMax) return kNobody;
      if (implies(conditions_[rule], conditions_[earlier])) return earlier;
    }
    return kNobody;
  }

  size_t taker_of_listeners(size_t rule) const {
    const auto& own = conditions_[rule].listener;
    size_t last = 0;
    for (size_t listener = 0; listener < taken_by_.size(); ++listener) {
      if (own && std::ranges::find(*own, listener) == own->end()) continue;
      if (taken_by_[listener] == kNobody) return kNobody;
      last = std::max(last, taken_by_[listener]);
    }
    return taken_by_.empty() ? kNobody : last;
  }

  void take_listeners(size_t rule) {
    const auto& own = conditions_[rule].listener;
    for (size_t listener = 0; listener < taken_by_.size(); ++listener) {
      const bool takes = !own || std::ranges::find(*own, listener) != own->end();
      if (takes && taken_by_[listener] == kNobody) taken_by_[listener] = rule;
    }
  }

  const std::span<const config::Rule> rules_;
  const std::span<const Conditions> conditions_;
  Diagnostics& diagnostics_;
  std::vector<size_t> taken_by_;  // By listener: the first rule that takes every request of it.
  size_t comparisons_ = 0;
};

}  // namespace

void warn_of_dead_rules(std::span<const config::Rule> rules, std::span<const Conditions> conditions,
                        std::span<const config::Listener> listeners, Diagnostics& diagnostics) {
  Linter(rules, conditions, listeners, diagnostics).run();
}

}  // namespace shunt::rules
