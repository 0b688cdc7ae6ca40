// Dead rules: pairs and single rules that are warned of, and near misses that are not.
#include "rules/lint.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "rules/rule_set.h"

namespace shunt::rules {
namespace {

using config::Match;
using Kind = config::ValueMatch::Kind;

Match with(auto set) {
  Match match;
  set(match);
  return match;
}

std::vector<Diagnostic> lint(const std::vector<Match>& matches,
                             std::vector<std::vector<uint32_t>> rule_listeners = {}) {
  std::vector<config::Rule> rules(matches.size());
  rule_listeners.resize(matches.size());
  for (size_t i = 0; i < matches.size(); ++i) {
    rules[i].name = std::string(1, static_cast<char>('a' + i));
    rules[i].match = matches[i];
    rules[i].listener = rule_listeners[i];
    rules[i].place.line = static_cast<uint32_t>(i + 1);
  }
  std::vector<config::Listener> listeners(2);
  listeners[0].name = "web";
  listeners[1].name = "secure";
  Diagnostics diagnostics;
  RuleSet::compile(rules, listeners, diagnostics);
  BOOST_TEST(!diagnostics.has_errors());
  return diagnostics.all();
}

BOOST_AUTO_TEST_SUITE(lint_test)

BOOST_AUTO_TEST_CASE(warns_of_contradictions) {
  const struct {
    const char* description;
    Match match;
    bool expected;
  } cases[] = {
      {"path outside its prefix", with([](Match& m) { m.path = {"/a"}, m.path_prefix = {"/b"}; }),
       true},
      {"one path inside", with([](Match& m) { m.path = {"/a", "/b/c"}, m.path_prefix = {"/b"}; }),
       false},
      {"path against its regex", with([](Match& m) { m.path = {"/a"}, m.path_regex = {"b"}; }),
       true},
      {"path against its extension",
       with([](Match& m) { m.path = {"/a.gif"}, m.extension = {"png"}; }), true},
      {"paths for different keys", with([](Match& m) {
         m.path = {"/a.gif", "/b/a.png"}, m.extension = {"gif"}, m.path_prefix = {"/b"};
       }),
       true},
      {"path not in normal form", with([](Match& m) { m.path = {"/a//b"}; }), true},
      {"prefix not in normal form", with([](Match& m) { m.path_prefix = {"/%61"}; }), true},
      {"prefix of a hidden file", with([](Match& m) { m.path_prefix = {"/."}; }), false},
      {"extension with a dot", with([](Match& m) { m.extension = {".png"}; }), true},
      {"listener that is not there", with([](Match& m) { m.listener = {"other"}; }), true},
      {"not everything", with([](Match& m) { m.none = {Match{}}; }), true},
      {"method excluded", with([](Match& m) {
         m.method = {"GET"}, m.none = {with([](Match& n) { n.method = {"GET", "HEAD"}; })};
       }),
       true},
      {"one method left", with([](Match& m) {
         m.method = {"GET", "PUT"}, m.none = {with([](Match& n) { n.method = {"GET"}; })};
       }),
       false},
      {"not and another key", with([](Match& m) {
         m.method = {"GET"}, m.none = {with([](Match& n) { n.method = {"GET"}, n.path = {"/"}; })};
       }),
       false},
      {"no alternative", with([](Match& m) {
         m.host = {"a.com"},
         m.any = {with([](Match& n) { n.host = {"b.com"}; }),
                  with([](Match& n) { n.path = {"/a"}, n.path_prefix = {"/b"}; })};
       }),
       true},
      {"one alternative", with([](Match& m) {
         m.host = {"a.b.com"}, m.any = {with([](Match& n) { n.host = {"*.com"}; })};
       }),
       false},
      {"a header twice with two values may be two fields",
       with([](Match& m) { m.header = {{"x", {Kind::kExact, "1"}}, {"x", {Kind::kExact, "2"}}}; }),
       false},
  };
  for (const auto& test : cases)
    BOOST_TEST(lint({test.match}).size() == (test.expected ? 1u : 0u), test.description);
}

BOOST_AUTO_TEST_CASE(warns_of_rules_behind_wider_ones) {
  const auto header = [](Kind kind, const char* text) {
    return with([&](Match& m) { m.header = {{"x", {kind, text}}}; });
  };
  const struct {
    const char* description;
    Match first;
    Match second;
    bool expected;
  } cases[] = {
      {"always", Match{}, with([](Match& m) { m.path = {"/"}; }), true},
      {"always twice", Match{}, Match{}, true},
      {"narrow before wide", with([](Match& m) { m.path = {"/"}; }), Match{}, false},
      {"same host", with([](Match& m) { m.host = {"a.com"}; }),
       with([](Match& m) { m.host = {"a.com"}, m.path = {"/"}; }), true},
      {"suffix and name", with([](Match& m) { m.host = {"*.com"}; }),
       with([](Match& m) { m.host = {"a.com"}; }), true},
      {"suffix and its own top", with([](Match& m) { m.host = {"*.a.com"}; }),
       with([](Match& m) { m.host = {"a.com"}; }), false},
      {"suffix and suffix", with([](Match& m) { m.host = {"*.com"}; }),
       with([](Match& m) { m.host = {"*.a.com"}; }), true},
      {"one host of two", with([](Match& m) { m.host = {"a.com"}; }),
       with([](Match& m) { m.host = {"a.com", "b.com"}; }), false},
      {"prefix and longer", with([](Match& m) { m.path_prefix = {"/a"}; }),
       with([](Match& m) { m.path_prefix = {"/ab"}; }), true},
      {"prefix and path", with([](Match& m) { m.path_prefix = {"/a"}; }),
       with([](Match& m) { m.path = {"/a"}; }), true},
      {"prefix and shorter", with([](Match& m) { m.path_prefix = {"/ab"}; }),
       with([](Match& m) { m.path_prefix = {"/a"}; }), false},
      {"root prefix leaves the asterisk", with([](Match& m) { m.path_prefix = {"/"}; }), Match{},
       false},
      {"regex and path", with([](Match& m) { m.path_regex = {"a$"}; }),
       with([](Match& m) { m.path = {"/a"}; }), true},
      {"same regex", with([](Match& m) { m.path_regex = {"a$"}; }),
       with([](Match& m) { m.path_regex = {"a$"}, m.method = {"GET"}; }), true},
      {"extension and path", with([](Match& m) { m.extension = {"png"}; }),
       with([](Match& m) { m.path = {"/a.png"}; }), true},
      {"network", with([](Match& m) { m.source = {*Cidr::parse("10.0.0.0/8")}; }),
       with([](Match& m) { m.source = {*Cidr::parse("10.1.0.0/16")}; }), true},
      {"wider network", with([](Match& m) { m.source = {*Cidr::parse("10.1.0.0/16")}; }),
       with([](Match& m) { m.source = {*Cidr::parse("10.0.0.0/8")}; }), false},
      {"media range", with([](Match& m) { m.content_type = {"image/*"}; }),
       with([](Match& m) { m.content_type = {"image/png"}; }), true},
      {"presence and value", header(Kind::kPresent, ""), header(Kind::kExact, "1"), true},
      {"prefix and value", header(Kind::kPrefix, "1"), header(Kind::kExact, "12"), true},
      {"value and prefix", header(Kind::kExact, "12"), header(Kind::kPrefix, "1"), false},
      {"regex and value", header(Kind::kRegex, "^1"), header(Kind::kExact, "12"), true},
      {"another value", header(Kind::kExact, "1"), header(Kind::kExact, "2"), false},
      {"one alternative of two", with([](Match& m) {
         m.any = {with([](Match& n) { n.method = {"GET"}; }),
                  with([](Match& n) { n.path = {"/"}; })};
       }),
       with([](Match& m) { m.path = {"/"}; }), true},
      {"each alternative", with([](Match& m) { m.method = {"GET", "PUT"}; }), with([](Match& m) {
         m.any = {with([](Match& n) { n.method = {"GET"}; }),
                  with([](Match& n) { n.method = {"PUT"}; })};
       }),
       true},
      {"what the first excludes",
       with([](Match& m) { m.none = {with([](Match& n) { n.method = {"PUT"}; })}; }),
       with([](Match& m) { m.method = {"GET"}; }), true},
      {"what the first may exclude",
       with([](Match& m) { m.none = {with([](Match& n) { n.path = {"/"}; })}; }),
       with([](Match& m) { m.method = {"GET"}; }), false},
      {"the same exclusion",
       with([](Match& m) { m.none = {with([](Match& n) { n.path = {"/"}; })}; }),
       with([](Match& m) {
         m.method = {"GET"}, m.none = {with([](Match& n) { n.path_prefix = {"/"}; })};
       }),
       true},
  };
  for (const auto& test : cases) {
    const auto warnings = lint({test.first, test.second});
    BOOST_REQUIRE_MESSAGE(warnings.size() == (test.expected ? 1u : 0u), test.description);
    if (!test.expected) continue;
    BOOST_TEST((warnings[0].severity == Severity::kWarning));
    BOOST_TEST(warnings[0].place.line == 2u, test.description);
    BOOST_TEST(
        warnings[0].text ==
        "rule \"b\" can never match: rule \"a\" before it takes every request that it could match");
  }
}

BOOST_AUTO_TEST_CASE(looks_at_listeners) {
  const Match path = with([](Match& m) { m.path = {"/"}; });
  BOOST_TEST(lint({Match{}, path}, {{0}, {1}}).empty());
  BOOST_TEST(lint({Match{}, path}, {{0}, {}}).empty());
  BOOST_TEST(lint({Match{}, path}, {{0}, {0}}).size() == 1u);
  BOOST_TEST(lint({Match{}, path}, {{0, 1}, {}}).size() == 1u);
  // Together they take all.
  BOOST_TEST(lint({Match{}, Match{}, path}, {{0}, {1}, {}}).size() == 1u);
  BOOST_TEST(lint({with([](Match& m) { m.listener = {"web"}; })}, {{1}}).size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
