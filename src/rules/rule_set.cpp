// RuleSet's one implementation: conditions, the index over them, and the naive evaluation that
// explains.
#include "rules/rule_set.h"

#include <optional>
#include <utility>

#include "core/assert.h"
#include "rules/conditions.h"
#include "rules/explain.h"
#include "rules/lint.h"
#include "rules/rule_index.h"
#include "rules/subject.h"

namespace shunt::rules {

struct RuleSet::Scratch::Data {
  Subject subject;
  RuleIndex::Workspace workspace;
};

RuleSet::Scratch::Scratch() : data_(std::make_unique<Data>()) {}
RuleSet::Scratch::~Scratch() = default;

namespace {

struct CompiledRules {
  RegexPool regexes;
  std::vector<Conditions> conditions;
};

CompiledRules compile_rules(std::span<const config::Rule> rules,
                            std::span<const config::Listener> listeners, Diagnostics& diagnostics) {
  CompiledRules result;
  result.conditions.reserve(rules.size());
  for (const config::Rule& rule : rules)
    result.conditions.push_back(compile_conditions(rule, listeners, result.regexes, diagnostics));
  return result;
}

}  // namespace

class RuleSet::Compiled final : public RuleSet {
 public:
  // With errors in the rules there is no index, and nothing may be matched.
  Compiled(CompiledRules rules, std::span<const config::Listener> listeners, bool usable)
      : rules_(std::move(rules)), listeners_(listeners) {
    if (usable) index_.emplace(rules_.conditions);
  }

  uint32_t match(const RequestView& request, Scratch& scratch) const override {
    SHUNT_ASSERT(index_);
    Scratch::Data& data = *scratch.data_;
    data.subject.begin(request);
    return index_->first(data.subject, data.workspace);
  }

  std::vector<Step> explain(const RequestView& request) const override {
    SHUNT_ASSERT(index_);
    Subject subject;
    subject.begin(request);
    std::vector<Step> steps;
    for (uint32_t rule = 0; rule < rules_.conditions.size(); ++rule) {
      Finding finding = explain_conditions(rules_.conditions[rule], listeners_, subject);
      steps.push_back({rule, finding.holds, std::move(finding.why)});
      if (steps.back().matched) break;
    }
    return steps;
  }

 private:
  const CompiledRules rules_;
  const std::span<const config::Listener> listeners_;
  std::optional<RuleIndex> index_;
};

std::unique_ptr<const RuleSet> RuleSet::compile(std::span<const config::Rule> rules,
                                                std::span<const config::Listener> listeners,
                                                Diagnostics& diagnostics) {
  const size_t errors_before = diagnostics.error_count();
  CompiledRules compiled = compile_rules(rules, listeners, diagnostics);
  const bool usable = diagnostics.error_count() == errors_before;
  if (usable) warn_of_dead_rules(rules, compiled.conditions, listeners, diagnostics);
  return std::make_unique<const Compiled>(std::move(compiled), listeners, usable);
}

void check_patterns(std::span<const config::Rule> rules, Diagnostics& diagnostics) {
  compile_rules(rules, {}, diagnostics);
}

}  // namespace shunt::rules
