// The key test of the rules: on random rules and requests, the index and the naive evaluation of
// explain() decide alike; and the index looks at no more rules when there are more of them, and
// allocates nothing.
#include "rules/rule_index.h"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>

#include "rules/rule_set.h"
#include "unit/rules/random_rules.h"

namespace {

thread_local size_t allocations = 0;

}  // namespace

// Counts every allocation of the test binary; the sanitizers bring an operator new of their own.
// Not inlined, or GCC takes malloc() and delete for a mismatched pair.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCountsAllocations = false;
#else
constexpr bool kCountsAllocations = true;
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
#endif

namespace shunt::rules {
namespace {

uint32_t first_of(const std::vector<Step>& steps) {
  return !steps.empty() && steps.back().matched ? steps.back().rule : kNoRule;
}

// A new one each time, printed; SHUNT_SEED repeats a run.
uint32_t pick_seed() {
  const char* given = std::getenv("SHUNT_SEED");
  const uint32_t seed = given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10))
                                         : std::random_device()();
  BOOST_TEST_MESSAGE("seed " << seed);
  return seed;
}

BOOST_AUTO_TEST_SUITE(rule_index_test)

BOOST_AUTO_TEST_CASE(decides_as_the_naive_evaluation) {
  const uint32_t seed = pick_seed();
  RandomRules random(seed);
  const auto listeners = RandomRules::listeners();
  RuleSet::Scratch scratch;  // One for all sets, as a worker's lives through reloads.
  OwnedRequest request;
  size_t matches = 0;
  for (int round = 0; round < 300; ++round) {
    const auto rules = random.rules(1 + random.below(round % 10 == 0 ? 300 : 30));
    Diagnostics diagnostics;
    const auto set = RuleSet::compile(rules, listeners, diagnostics);
    BOOST_REQUIRE(!diagnostics.has_errors());
    for (int i = 0; i < 50; ++i) {
      random.fill(request);
      const uint32_t expected = first_of(set->explain(request.view));
      const uint32_t actual = set->match(request.view, scratch);
      BOOST_REQUIRE_MESSAGE(actual == expected, "seed " << seed << " round " << round << " request "
                                                        << i << ": " << actual << " instead of "
                                                        << expected);
      matches += actual != kNoRule ? 1 : 0;
    }
  }
  BOOST_TEST(matches > 1000u);
}

BOOST_AUTO_TEST_CASE(warns_only_of_rules_that_never_match) {
  const uint32_t seed = pick_seed();
  RandomRules random(seed);
  const auto listeners = RandomRules::listeners();
  RuleSet::Scratch scratch;
  OwnedRequest request;
  size_t warnings = 0;
  for (int round = 0; round < 300; ++round) {
    const auto rules = random.rules(20);
    Diagnostics diagnostics;
    const auto set = RuleSet::compile(rules, listeners, diagnostics);
    std::vector<bool> is_dead(rules.size());
    for (const Diagnostic& diagnostic : diagnostics.all())
      is_dead[diagnostic.place.line - 1] = true;
    warnings += diagnostics.all().size();
    for (int i = 0; i < 300; ++i) {
      random.fill(request);
      const uint32_t rule = set->match(request.view, scratch);
      BOOST_REQUIRE_MESSAGE(rule == kNoRule || !is_dead[rule], "seed " << seed << " round " << round
                                                                       << ": rule " << rule
                                                                       << " matches");
    }
  }
  BOOST_TEST(warnings > 100u);
}

BOOST_AUTO_TEST_CASE(allocates_nothing_when_warm) {
  RandomRules random(7);
  const auto listeners = RandomRules::listeners();
  auto rules = random.rules(200);
  // RE2 allocates in its set, and its automata grow as they meet new texts; the rest must not.
  for (config::Rule& rule : rules) rule.match.path_regex.clear();
  Diagnostics diagnostics;
  const auto set = RuleSet::compile(rules, listeners, diagnostics);
  RuleSet::Scratch scratch;
  std::vector<std::unique_ptr<OwnedRequest>> requests;
  for (int i = 0; i < 200; ++i)
    random.fill(*requests.emplace_back(std::make_unique<OwnedRequest>()));
  for (const auto& request : requests) set->match(request->view, scratch);
  if (kCountsAllocations) BOOST_TEST(allocations > 0u);
  const size_t before = allocations;
  for (const auto& request : requests) set->match(request->view, scratch);
  BOOST_TEST(allocations == before);
}

BOOST_AUTO_TEST_CASE(bounds_the_work_on_a_key_that_comes_many_times) {
  // 200 rules on one parameter that all fail, and a request that has it 20,000 times: linear, not
  // 4,000,000 evaluations of 20,000 parameters, which would take minutes.
  std::vector<config::Rule> rules(200);
  for (config::Rule& rule : rules) {
    rule.match.query = {{"a", {config::ValueMatch::Kind::kPresent, {}}},
                        {"b", {config::ValueMatch::Kind::kPresent, {}}}};
  }
  const auto listeners = RandomRules::listeners();
  Diagnostics diagnostics;
  const auto set = RuleSet::compile(rules, listeners, diagnostics);
  std::string query;
  for (int i = 0; i < 20'000; ++i) query += "a&";
  RequestView request;
  request.query = query;
  RuleSet::Scratch scratch;
  BOOST_TEST(set->match(request, scratch) == kNoRule);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
