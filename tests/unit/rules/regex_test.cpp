// Regular expressions: what is refused, that they see octets, the literals they need, and the set
// of them.
#include "rules/regex.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "rules/regex_set.h"

namespace shunt::rules {
namespace {

using Literals = std::vector<std::vector<std::string>>;

BOOST_AUTO_TEST_SUITE(regex_test)

BOOST_AUTO_TEST_CASE(searches_octets_anywhere) {
  const struct {
    const char* pattern;
    const char* text;
    bool expected;
  } cases[] = {
      {"b+", "/abba", true},
      {"^b", "/abba", false},
      {"a$", "/abba", true},
      {"", "", true},
      {"(?i)ABBA", "/abba", true},
      {"^/a.b$",
       "/a\xff"
       "b",
       true},
      {"^/a.b$", "/a\nb", true},
      {"caf\xc3\xa9", "/caf\xc3\xa9", true},
      {"[0-9]{3}", "/12/34", false},
  };
  for (const auto& test : cases)
    BOOST_TEST((*Regex::parse(test.pattern))->search(test.text) == test.expected, test.pattern);
}

BOOST_AUTO_TEST_CASE(refuses_what_re2_refuses) {
  for (const char* pattern : {"(", "[z-a]", "a{2000}", "(?<=a)b", "\\"}) {
    const auto regex = Regex::parse(pattern);
    BOOST_TEST(!regex.has_value(), pattern);
    if (!regex) BOOST_TEST(!regex.error().text.empty(), pattern);
  }
}

BOOST_AUTO_TEST_CASE(knows_the_literals_that_a_pattern_needs) {
  const struct {
    const char* pattern;
    Literals expected;
  } cases[] = {
      {"^/shop/.*\\.html$", {{".html"}, {"/shop/"}}},
      {"(png|jpg)$", {{"jpg", "png"}}},
      {"(?i)ADMIN", {{"admin"}}},
      {"^/[0-9]+$", {}},
      {"foo|", {}},
      {".*", {}},
      {"(", {}},
  };
  for (const auto& test : cases) {
    Literals actual = required_literals(test.pattern);
    for (auto& alternatives : actual) std::ranges::sort(alternatives);
    std::ranges::sort(actual);
    BOOST_TEST((actual == test.expected), test.pattern);
  }
}

BOOST_AUTO_TEST_CASE(finds_all_of_a_set) {
  const std::vector<std::string> patterns = {"^/a", "b$", "[0-9]+", "^$", "/"};
  std::vector<std::unique_ptr<const Regex>> regexes;
  const auto set = RegexSet::create();
  for (uint32_t i = 0; i < patterns.size(); ++i) {
    regexes.push_back(*Regex::parse(patterns[i]));
    set->add(*regexes.back(), 100 + i);
  }
  set->compile();
  for (const char* text : {"", "/", "/ab", "/a1", "b", "x", "/x7b"}) {
    std::vector<int> hits = {1, 2, 3};
    set->search(text, hits);
    std::ranges::sort(hits);
    std::vector<int> expected;
    for (size_t i = 0; i < regexes.size(); ++i) {
      if (regexes[i]->search(text)) expected.push_back(static_cast<int>(100 + i));
    }
    BOOST_TEST(hits == expected, text);
  }
}

BOOST_AUTO_TEST_CASE(searches_one_by_one_where_the_automaton_has_no_memory) {
  std::vector<std::unique_ptr<const Regex>> regexes;
  const auto set = RegexSet::create(1 << 14);
  for (uint32_t i = 0; i < 50; ++i) {
    regexes.push_back(*Regex::parse("[a-z]{1,9}" + std::to_string(i) + "[0-9a-f]{2,40}$"));
    set->add(*regexes.back(), i);
  }
  set->compile();
  std::vector<int> hits;
  set->search("/abc7deadbeef", hits);
  BOOST_TEST(hits == std::vector<int>{7});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
