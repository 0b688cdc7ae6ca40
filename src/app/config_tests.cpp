// One test: the request is matched as live traffic is, and the outcome compared with each
// expectation given.
#include "app/config_tests.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "app/sample_request.h"

namespace shunt::app {
namespace {

// What the rules made of a request, in the words of `expect`.
struct Outcome {
  std::string rule;     // Empty: no rule matched.
  std::string pool;     // Empty: the answer does not come from a pool.
  uint32_t status = 0;  // 0: whatever the pool's server answers.
};

Outcome outcome_of(const config::Config& config, uint32_t index) {
  constexpr uint32_t kNoRuleStatus = 404;
  if (index == rules::kNoRule) return {.rule = {}, .pool = {}, .status = kNoRuleStatus};
  const config::Rule& rule = config.rules[index];
  Outcome outcome{.rule = rule.name, .pool = {}, .status = 0};
  if (rule.pool != config::kNone) outcome.pool = config.pools[rule.pool].name;
  if (rule.redirect) outcome.status = rule.redirect->status;
  if (rule.respond) outcome.status = rule.respond->status;
  return outcome;
}

std::string quoted(const std::string& name, std::string_view none) {
  return name.empty() ? std::string(none) : fmt::format("\"{}\"", name);
}

std::vector<std::string> differences(const config::Test& test, const Outcome& got) {
  std::vector<std::string> out;
  if (test.expect_rule && *test.expect_rule != got.rule)
    out.push_back(fmt::format("expected rule \"{}\", got {}", *test.expect_rule,
                              quoted(got.rule, "no rule")));
  if (test.expect_pool && *test.expect_pool != got.pool)
    out.push_back(fmt::format("expected pool \"{}\", got {}", *test.expect_pool,
                              quoted(got.pool, "no pool")));
  if (test.expect_status && *test.expect_status != got.status)
    out.push_back(fmt::format("expected status {}, got {}", *test.expect_status,
                              got.status == 0 ? "that of the server" : std::to_string(got.status)));
  return out;
}

}  // namespace

TestCounts run_config_tests(const config::Config& config, const rules::RuleSet& rules,
                            Diagnostics& diagnostics) {
  TestCounts counts;
  rules::RuleSet::Scratch scratch;
  for (const config::Test& test : config.tests) {
    SampleRequest request;
    const auto parsed = request.parse(test.method, test.url, test.headers, test.source);
    if (!parsed) {
      diagnostics.error(test.place, fmt::format("test: {}", parsed.error().text));
      ++counts.failed;
      continue;
    }
    request.arrive_at(config, listener_for(config, request.port()));
    const Outcome got = outcome_of(config, rules.match(request.view(), scratch));
    const std::vector<std::string> wrong = differences(test, got);
    if (wrong.empty()) {
      ++counts.passed;
      continue;
    }
    ++counts.failed;
    diagnostics.error(
        test.place,
        fmt::format("test \"{} {}\" failed: {}", test.method, test.url, fmt::join(wrong, "; ")),
        "`shunt explain` with this request shows every rule tried");
  }
  return counts;
}

}  // namespace shunt::app
