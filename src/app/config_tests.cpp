// One test: the request is matched as live traffic is, and the outcome compared with each
// expectation given.
#include "app/config_tests.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/explain_doubts.h"
#include "app/sample_outcome.h"
#include "app/sample_request.h"

namespace shunt::app {
namespace {

// What the rules made of a request, in the words of `expect`.
struct Outcome {
  std::string rule;  // Empty: no rule matched.
  std::string pool;  // Empty: the answer does not come from a pool.
  SampleOutcome messages;
};

Outcome outcome_of(const proxy::Snapshot& snapshot, uint32_t index, const SampleRequest& request) {
  constexpr uint32_t kNoRuleStatus = 404;
  constexpr uint32_t kAmbiguousStatus = 400;
  Outcome outcome;
  if (explain_objection(snapshot.config, *snapshot.rules, request, index)) {
    outcome.messages.status = kAmbiguousStatus;
    return outcome;
  }
  if (index == rules::kNoRule && request.is_connection()) return outcome;
  if (index == rules::kNoRule) {
    outcome.messages.status = kNoRuleStatus;
    return outcome;
  }
  const config::Config& config = snapshot.config;
  const config::Rule& rule = config.rules[index];
  const rules::Actions* actions = snapshot.actions[index].get();
  const uint32_t pool = sample_pool(rule, actions, request.view());
  outcome.rule = rule.name;
  if (pool != config::kNone) outcome.pool = config.pools[pool].name;
  if (request.is_connection()) return outcome;
  outcome.messages = sample_outcome(config, rule, actions, pool, request, nullptr);
  return outcome;
}

std::string quoted(const std::string& name, std::string_view none) {
  return name.empty() ? std::string(none) : fmt::format("\"{}\"", name);
}

void compare(std::string_view what, const std::optional<std::string>& expected,
             const std::string& got, std::vector<std::string>& out) {
  if (expected && *expected != got)
    out.push_back(fmt::format("expected {} \"{}\", got {}", what, *expected, quoted(got, "none")));
}

using ExpectedFields = std::vector<std::pair<std::string, std::optional<std::string>>>;

// `received` are the fields before the rule's edits.
void compare_fields(std::string_view what, const ExpectedFields& expected,
                    const std::vector<EditedField>& edits, const rules::RequestView* received,
                    std::vector<std::string>& out) {
  const auto text = [](const std::optional<std::string>& value) {
    return value ? fmt::format("\"{}\"", *value) : std::string("none");
  };
  for (const auto& [name, value] : expected) {
    std::optional<std::string> before;
    if (received != nullptr) {
      const std::string_view found = received->header(name);
      if (found.data() != nullptr) before = found;
    }
    const auto got = after_edits(edits, name, std::move(before));
    if (got != value)
      out.push_back(fmt::format("expected {} {}: {}, got {}", what, name, text(value), text(got)));
  }
}

std::vector<std::string> differences(const config::Test& test, const Outcome& got,
                                     const rules::RequestView& request) {
  std::vector<std::string> out;
  if (test.expect_rule && *test.expect_rule != got.rule)
    out.push_back(fmt::format("expected rule \"{}\", got {}", *test.expect_rule,
                              quoted(got.rule, "no rule")));
  if (test.expect_pool && *test.expect_pool != got.pool)
    out.push_back(fmt::format("expected pool \"{}\", got {}", *test.expect_pool,
                              quoted(got.pool, "no pool")));
  const uint32_t status = got.messages.status;
  if (test.expect_status && *test.expect_status != status)
    out.push_back(fmt::format("expected status {}, got {}", *test.expect_status,
                              status == 0 ? "that of the server" : std::to_string(status)));
  compare("target", test.expect_target, got.messages.target, out);
  compare("host", test.expect_host, got.messages.host, out);
  compare("location", test.expect_location, got.messages.location, out);
  compare_fields("header", test.expect_headers, got.messages.request_fields, &request, out);
  compare_fields("response header", test.expect_response_headers, got.messages.response_fields,
                 nullptr, out);
  return out;
}

}  // namespace

TestCounts run_config_tests(const proxy::Snapshot& snapshot, Diagnostics& diagnostics) {
  const config::Config& config = snapshot.config;
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
    const Outcome got =
        outcome_of(snapshot, snapshot.rules->match(request.view(), scratch), request);
    const std::vector<std::string> wrong = differences(test, got, request.view());
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
