// The meaning of each match key, as a table of single rules and requests, decided by match() and by
// explain().
#include "rules/rule_set.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace shunt::rules {
namespace {

using config::Match;
using Kind = config::ValueMatch::Kind;

Match with(auto set) {
  Match match;
  set(match);
  return match;
}

struct Listeners {
  Listeners() : all(2) {
    all[0].name = "web";
    all[1].name = "secure";
  }
  std::vector<config::Listener> all;
};

// A request for http://www.example.com/img/logo.png?page=1&sort=a%20b from 10.1.2.3 on "web".
struct Request {
  std::vector<HeaderView> headers = {
      {"Accept", "image/*"}, {"X-Tag", "one"}, {"x-tag", "two"}, {"Cookie", "user=anna; beta=1"}};
  RequestView view;

  Request() {
    view.method = "GET";
    view.scheme = "http";
    view.host = "WWW.example.com";
    view.path = "/img/logo.png";
    view.query = "page=1&sort=a%20b";
    view.headers = headers;
    view.source = *IpAddress::parse("10.1.2.3");
  }
};

// 0 if `match` takes the request, else kNoRule; by both ways.
uint32_t decide(const Match& match, const RequestView& request,
                const std::vector<uint32_t>& rule_listeners = {}) {
  std::vector<config::Rule> rules(1);
  rules[0].match = match;
  rules[0].listener = rule_listeners;
  const Listeners listeners;
  Diagnostics diagnostics;
  const auto set = RuleSet::compile(rules, listeners.all, diagnostics);
  BOOST_REQUIRE(!diagnostics.has_errors());
  RuleSet::Scratch scratch;
  const uint32_t decision = set->match(request, scratch);
  BOOST_TEST(set->explain(request).back().matched == (decision == 0));
  return decision;
}

BOOST_AUTO_TEST_SUITE(rule_set_test)

BOOST_AUTO_TEST_CASE(matches_each_key) {
  const Request request;
  const struct {
    const char* description;
    Match match;
    bool expected;
  } cases[] = {
      {"nothing asked", Match{}, true},
      {"host without case", with([](Match& m) { m.host = {"www.example.com"}; }), true},
      {"host suffix", with([](Match& m) { m.host = {"x", "*.example.com"}; }), true},
      {"host is not its parent", with([](Match& m) { m.host = {"example.com"}; }), false},
      {"host suffix is not the host", with([](Match& m) { m.host = {"*.www.example.com"}; }),
       false},
      {"path", with([](Match& m) { m.path = {"/img/logo.png"}; }), true},
      {"path is no prefix", with([](Match& m) { m.path = {"/img/"}; }), false},
      {"path with case", with([](Match& m) { m.path = {"/img/LOGO.png"}; }), false},
      {"path prefix", with([](Match& m) { m.path_prefix = {"/img"}; }), true},
      {"path prefix elsewhere", with([](Match& m) { m.path_prefix = {"img"}; }), false},
      {"path and prefix are both needed",
       with([](Match& m) { m.path = {"/img/logo.png"}, m.path_prefix = {"/x"}; }), false},
      {"path regex anywhere", with([](Match& m) { m.path_regex = {"o+\\.p"}; }), true},
      {"path regex anchored", with([](Match& m) { m.path_regex = {"^/logo"}; }), false},
      {"path regex sees no query", with([](Match& m) { m.path_regex = {"page"}; }), false},
      {"one of two regexes", with([](Match& m) { m.path_regex = {"[0-9]", "logo"}; }), true},
      {"extension", with([](Match& m) { m.extension = {"gif", "png"}; }), true},
      {"extension is not a suffix", with([](Match& m) { m.extension = {"ng"}; }), false},
      {"method", with([](Match& m) { m.method = {"HEAD", "GET"}; }), true},
      {"method with case", with([](Match& m) { m.method = {"get"}; }), false},
      {"header exact", with([](Match& m) { m.header = {{"accept", {Kind::kExact, "image/*"}}}; }),
       true},
      {"header in its second field",
       with([](Match& m) { m.header = {{"x-tag", {Kind::kExact, "two"}}}; }), true},
      {"header value with case",
       with([](Match& m) { m.header = {{"x-tag", {Kind::kExact, "ONE"}}}; }), false},
      {"header prefix", with([](Match& m) { m.header = {{"x-tag", {Kind::kPrefix, "tw"}}}; }),
       true},
      {"header regex", with([](Match& m) { m.header = {{"accept", {Kind::kRegex, "^image/"}}}; }),
       true},
      {"header present", with([](Match& m) { m.header = {{"accept", {Kind::kPresent, ""}}}; }),
       true},
      {"header absent", with([](Match& m) { m.header = {{"range", {Kind::kPresent, ""}}}; }),
       false},
      {"all headers are needed", with([](Match& m) {
         m.header = {{"accept", {Kind::kPresent, ""}}, {"x-tag", {Kind::kExact, "three"}}};
       }),
       false},
      {"cookie", with([](Match& m) { m.cookie = {{"beta", {Kind::kExact, "1"}}}; }), true},
      {"cookie name with case", with([](Match& m) { m.cookie = {{"Beta", {Kind::kPresent, ""}}}; }),
       false},
      {"cookie regex", with([](Match& m) { m.cookie = {{"user", {Kind::kRegex, "^b"}}}; }), false},
      {"query decoded", with([](Match& m) { m.query = {{"sort", {Kind::kExact, "a b"}}}; }), true},
      {"query not encoded", with([](Match& m) { m.query = {{"sort", {Kind::kExact, "a%20b"}}}; }),
       false},
      {"query prefix", with([](Match& m) { m.query = {{"sort", {Kind::kPrefix, "a "}}}; }), true},
      {"query regex", with([](Match& m) { m.query = {{"page", {Kind::kRegex, "^[0-9]$"}}}; }),
       true},
      {"query absent", with([](Match& m) { m.query = {{"p", {Kind::kPresent, ""}}}; }), false},
      {"content type absent", with([](Match& m) { m.content_type = {"*/*"}; }), false},
      {"source", with([](Match& m) {
         m.source = {*Cidr::parse("192.0.2.0/24"), *Cidr::parse("10.1.0.0/16")};
       }),
       true},
      {"source elsewhere", with([](Match& m) { m.source = {*Cidr::parse("10.2.0.0/16")}; }), false},
      {"scheme", with([](Match& m) { m.scheme = {"http"}; }), true},
      {"other scheme", with([](Match& m) { m.scheme = {"https"}; }), false},
      {"listener", with([](Match& m) { m.listener = {"secure", "web"}; }), true},
      {"other listener", with([](Match& m) { m.listener = {"secure"}; }), false},
      {"not", with([](Match& m) { m.none = {with([](Match& n) { n.method = {"GET"}; })}; }), false},
      {"not what is not", with([](Match& m) {
         m.none = {with([](Match& n) { n.method = {"GET"}, n.path = {"/"}; })};
       }),
       true},
      {"not not", with([](Match& m) {
         m.none = {with([](Match& n) { n.none = {with([](Match& k) { k.method = {"GET"}; })}; })};
       }),
       true},
      {"any", with([](Match& m) {
         m.any = {with([](Match& n) { n.path = {"/"}; }),
                  with([](Match& n) { n.method = {"GET"}; })};
       }),
       true},
      {"any of none", with([](Match& m) {
         m.any = {with([](Match& n) { n.path = {"/"}; }),
                  with([](Match& n) { n.method = {"PUT"}; })};
       }),
       false},
      {"any beside a key that fails",
       with([](Match& m) { m.scheme = {"https"}, m.any = {Match{}}; }), false},
  };
  for (const auto& test : cases)
    BOOST_TEST((decide(test.match, request.view) == 0) == test.expected, test.description);
}

BOOST_AUTO_TEST_CASE(matches_content_types) {
  const struct {
    const char* type;
    const char* range;
    bool expected;
  } cases[] = {
      {"image/png", "image/png", true},   {"Image/PNG; q=1", "image/*", true},
      {"image/png", "*/*", true},         {"imagery/png", "image/*", false},
      {"text/html", "image/*", false},    {"text/html;charset=utf-8", "text/html", true},
      {"text/htmlx", "text/html", false}, {"", "*/*", false},
  };
  for (const auto& test : cases) {
    Request request;
    request.headers.push_back({"Content-Type", test.type});
    request.view.headers = request.headers;
    const Match match = with([&](Match& m) { m.content_type = {test.range}; });
    BOOST_TEST((decide(match, request.view) == 0) == test.expected,
               test.type << " in " << test.range);
  }
}

BOOST_AUTO_TEST_CASE(keeps_to_the_listeners_of_the_rule) {
  Request request;
  BOOST_TEST(decide({}, request.view, {0}) == 0u);
  BOOST_TEST(decide({}, request.view, {1}) == kNoRule);
  BOOST_TEST(decide({}, request.view, {0, 1}) == 0u);
  BOOST_TEST(decide(with([](Match& m) { m.listener = {"web"}; }), request.view, {1}) == kNoRule);
}

BOOST_AUTO_TEST_CASE(takes_the_first_of_many) {
  // Enough rules of each sort for every table of the index, and the one that matches behind and
  // before them.
  std::vector<config::Rule> rules(1000);
  for (size_t i = 0; i < rules.size(); ++i) {
    const std::string number = std::to_string(i);
    switch (i % 5) {
      case 0:
        rules[i].match.host = {"h" + number + ".example.com"};
        break;
      case 1:
        rules[i].match.path_prefix = {"/p" + number + "/"};
        break;
      case 2:
        rules[i].match.path_regex = {"^/[a-z]+" + number + "/"};
        break;
      case 3:
        rules[i].match.header = {{"x-tag", {Kind::kExact, number}}};
        break;
      default:
        rules[i].match.source = {Cidr{IpAddress::from_v4(static_cast<uint32_t>(i)), 128}};
        break;
    }
  }
  const Listeners listeners;
  Diagnostics diagnostics;
  const auto set = RuleSet::compile(rules, listeners.all, diagnostics);
  RuleSet::Scratch scratch;
  for (uint32_t i = 0; i < rules.size(); ++i) {
    const std::string host = "h" + std::to_string(i) + ".example.com";
    const std::string path =
        i % 5 == 1 ? "/p" + std::to_string(i) + "/" : "/abc" + std::to_string(i) + "/";
    const std::string tag = std::to_string(i);
    const std::vector<HeaderView> headers = {{"X-Tag", tag}};
    RequestView request;
    request.host = host;
    request.path = path;
    request.headers = headers;
    request.source = IpAddress::from_v4(i);
    // "/p1/" matches the regex of no rule, "/abc…" that of rule i only.
    BOOST_TEST(set->match(request, scratch) == i);
  }
  BOOST_TEST(set->match(RequestView{}, scratch) == kNoRule);
}

BOOST_AUTO_TEST_CASE(has_no_rule_where_there_are_none) {
  Diagnostics diagnostics;
  const auto set = RuleSet::compile({}, {}, diagnostics);
  RuleSet::Scratch scratch;
  BOOST_TEST(set->match(RequestView{}, scratch) == kNoRule);
  BOOST_TEST(set->explain(RequestView{}).empty());
}

BOOST_AUTO_TEST_CASE(reports_every_pattern_that_re2_refuses) {
  std::vector<config::Rule> rules(3);
  rules[0].match.path_regex = {"(", "fine"};
  rules[0].match.place = {0, 3, 9};
  rules[1].match.header = {{"x", {Kind::kRegex, "a**"}}};
  rules[1].match.place = {0, 7, 1};
  rules[2].match.any = {
      with([](Match& m) { m.query = {{"q", {Kind::kRegex, "["}}}, m.place = {0, 9, 2}; })};
  Diagnostics diagnostics;
  RuleSet::compile(rules, {}, diagnostics);
  BOOST_TEST(diagnostics.error_count() == 3u);
  const auto& all = diagnostics.all();
  BOOST_TEST(all[0].place.line == 3u);
  BOOST_TEST(all[0].place.column == 9u);
  BOOST_TEST(all[0].text == "regular expression \"(\": missing ): (");
  BOOST_TEST(all[1].place.line == 7u);
  BOOST_TEST(all[2].place.line == 9u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
