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
      {"item-7[.](png|gif)", {{"item-7."}}},
      {"(home|main)/login", {{"/login"}}},
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

// What the set finds in `text`, and what each finds by itself, as positions in `regexes`.
void check_set(const std::vector<std::string>& patterns, const std::vector<std::string>& texts,
               int64_t memory_max) {
  std::vector<std::unique_ptr<const Regex>> regexes;
  const auto set = RegexSet::create(memory_max);
  for (const std::string& pattern : patterns)
    set->add(*regexes.emplace_back(*Regex::parse(pattern)));
  set->compile();
  RegexSet::Hits hits;
  for (const std::string& text : texts) {
    set->search(text, hits);
    std::vector<const Regex*> expected;
    for (const auto& regex : regexes) {
      if (regex->search(text)) expected.push_back(regex.get());
    }
    std::ranges::sort(hits.regexes);
    std::ranges::sort(expected);
    BOOST_TEST((hits.regexes == expected), text);
  }
}

BOOST_AUTO_TEST_CASE(finds_all_of_a_set) {
  check_set({"^/a", "b$", "[0-9]+", "^$", "/"}, {"/x7b", "", "/", "/ab", "/a1", "b", "x"},
            RegexSet::kMemoryMax);
}

BOOST_AUTO_TEST_CASE(searches_one_by_one_where_the_automaton_has_no_memory) {
  std::vector<std::string> patterns;
  for (int i = 0; i < 50; ++i)
    patterns.push_back("[a-z]{1,9}" + std::to_string(i) + "[0-9a-f]{2,40}$");
  const std::vector<std::string> texts = {"/abc7deadbeef", "/x", "/z49ab",
                                          "/abcdefg1234567890abcdef"};
  // No memory for the program; then for the program, but hardly for states.
  for (const int64_t memory_max : {1 << 14, 1 << 18, 1 << 20})
    check_set(patterns, texts, memory_max);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
