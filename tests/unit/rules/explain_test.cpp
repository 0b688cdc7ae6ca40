// The words of explain(): each key's sentence when it holds and when it does not.
#include "rules/explain.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "rules/rule_set.h"

namespace shunt::rules {
namespace {

using config::Match;
using config::ValueMatch;
using Kind = ValueMatch::Kind;

Match with(auto set) {
  Match match;
  set(match);
  return match;
}

const std::vector<HeaderView> kHeaders = {{"X-Canary", "1"},
                                          {"x-canary", "2"},
                                          {"Cookie", "user=anna"},
                                          {"Content-Type", "image/png; q=1"}};

RequestView request() {
  RequestView result;
  result.method = "GET";
  result.scheme = "http";
  result.host = "a.example.com";
  result.path = "/a/b.png";
  result.query = "page=1";
  result.headers = kHeaders;
  result.source = *IpAddress::parse("192.0.2.7");
  result.listener = 1;
  return result;
}

BOOST_AUTO_TEST_SUITE(explain_test)

BOOST_AUTO_TEST_CASE(says_why) {
  const struct {
    Match match;
    bool holds;
    const char* why;
  } cases[] = {
      {Match{}, true, "always matches"},
      {with([](Match& m) { m.host = {"*.example.org"}; }), false,
       "host: \"a.example.com\" is not \"*.example.org\""},
      {with([](Match& m) { m.host = {"*.example.com"}; }), true,
       "host: \"a.example.com\" is \"*.example.com\""},
      {with([](Match& m) { m.path = {"/x", "/y"}; }), false,
       "path: \"/a/b.png\" is not one of \"/x\", \"/y\""},
      {with([](Match& m) { m.path_prefix = {"/api/"}; }), false,
       "path: \"/a/b.png\" does not begin with \"/api/\""},
      {with([](Match& m) { m.path_prefix = {"1", "2", "3", "4", "5", "6"}; }), false,
       "path: \"/a/b.png\" does not begin with one of \"1\", \"2\", \"3\", \"4\" and 2 more"},
      {with([](Match& m) { m.path_regex = {"^/b"}; }), false,
       "path: \"/a/b.png\" does not match \"^/b\""},
      {with([](Match& m) { m.extension = {"gif"}; }), false, "extension: \"png\" is not \"gif\""},
      {with([](Match& m) { m.method = {"POST"}; }), false, "method: \"GET\" is not \"POST\""},
      {with([](Match& m) { m.scheme = {"https"}; }), false, "scheme: \"http\" is not \"https\""},
      {with([](Match& m) { m.listener = {"web"}; }), false, "listener: \"secure\" is not \"web\""},
      {with([](Match& m) { m.source = {*Cidr::parse("10.0.0.0/8")}; }), false,
       "source: 192.0.2.7 is not in 10.0.0.0/8"},
      {with([](Match& m) { m.content_type = {"text/*"}; }), false,
       "content_type: \"image/png\" is not \"text/*\""},
      {with([](Match& m) { m.header = {{"x-canary", {Kind::kExact, "3"}}}; }), false,
       "header \"x-canary\": \"1\", \"2\" is not \"3\""},
      {with([](Match& m) { m.header = {{"x-none", {Kind::kExact, "3"}}}; }), false,
       "header \"x-none\": is not there"},
      {with([](Match& m) { m.cookie = {{"user", {Kind::kPrefix, "bob"}}}; }), false,
       "cookie \"user\": \"anna\" does not begin with \"bob\""},
      {with([](Match& m) { m.query = {{"page", {Kind::kRegex, "^2"}}}; }), false,
       "query \"page\": \"1\" does not match \"^2\""},
      {with([](Match& m) { m.query = {{"page", {Kind::kPresent, ""}}}; }), true,
       "query \"page\": is there"},
      {with([](Match& m) { m.none = {with([](Match& n) { n.method = {"GET"}; })}; }), false,
       "not: method: \"GET\" is \"GET\""},
      {with([](Match& m) { m.none = {with([](Match& n) { n.method = {"PUT"}; })}; }), true,
       "not: method: \"GET\" is not \"PUT\""},
      {with([](Match& m) {
         m.any = {with([](Match& n) { n.method = {"PUT"}; }),
                  with([](Match& n) { n.path = {"/x"}; })};
       }),
       false,
       "any: no alternative holds (method: \"GET\" is not \"PUT\" | path: \"/a/b.png\" is not "
       "\"/x\")"},
      {with([](Match& m) { m.any = {with([](Match& n) { n.method = {"PUT"}; }), Match{}}; }), true,
       "any: always matches"},
      {with([](Match& m) { m.method = {"GET"}, m.path_prefix = {"/a"}; }), true,
       "method: \"GET\" is \"GET\"; path: \"/a/b.png\" begins with \"/a\""},
  };
  std::vector<config::Listener> listeners(2);
  listeners[0].name = "web";
  listeners[1].name = "secure";
  for (const auto& test : cases) {
    std::vector<config::Rule> rules(1);
    rules[0].match = test.match;
    Diagnostics diagnostics;
    const auto set = RuleSet::compile(rules, listeners, diagnostics);
    const auto steps = set->explain(request());
    BOOST_REQUIRE(steps.size() == 1u);
    BOOST_TEST(steps[0].matched == test.holds, test.why);
    BOOST_TEST(steps[0].why == test.why);
  }
}

BOOST_AUTO_TEST_CASE(ends_with_the_first_that_matches) {
  std::vector<config::Rule> rules(4);
  rules[0].match.method = {"POST"};
  rules[1].match.path = {"/"};
  rules[2].match.method = {"GET"};
  const std::vector<config::Listener> listeners(2);
  Diagnostics diagnostics;
  const auto steps = RuleSet::compile(rules, listeners, diagnostics)->explain(request());
  BOOST_REQUIRE(steps.size() == 3u);
  BOOST_TEST((!steps[0].matched && !steps[1].matched && steps[2].matched));
  BOOST_TEST(steps[2].rule == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
