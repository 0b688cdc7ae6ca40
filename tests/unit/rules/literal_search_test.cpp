// The automaton of literals: the same answers as a search for each literal by itself.
#include "rules/literal_search.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rules/text.h"

namespace shunt::rules {
namespace {

std::set<uint32_t> found(const LiteralSearch& search, std::string_view text) {
  std::set<uint32_t> ids;
  search.search(text, [&](uint32_t id) { ids.insert(id); });
  return ids;
}

BOOST_AUTO_TEST_SUITE(literal_search_test)

BOOST_AUTO_TEST_CASE(finds_literals_within_literals) {
  LiteralSearch search;
  const std::vector<std::string> literals = {"he", "she", "his", "hers", "e", "\xc3\xa9"};
  for (uint32_t i = 0; i < literals.size(); ++i) search.add(literals[i], 10 + i);
  search.compile();
  BOOST_TEST((found(search, "usHERs") == std::set<uint32_t>{10, 11, 13, 14}));
  BOOST_TEST((found(search, "hi") == std::set<uint32_t>{}));
  BOOST_TEST((found(search, "caf\xc3\xa9") == std::set<uint32_t>{15}));
  BOOST_TEST((found(search, "") == std::set<uint32_t>{}));
}

BOOST_AUTO_TEST_CASE(finds_nothing_without_literals) {
  LiteralSearch search;
  search.compile();
  BOOST_TEST(found(search, "text").empty());
}

BOOST_AUTO_TEST_CASE(agrees_with_a_search_for_each) {
  std::mt19937 random(3);
  const auto text = [&](const char* alphabet, size_t size, size_t length_max) {
    std::string result;
    for (auto left = random() % length_max; left > 0; --left) result += alphabet[random() % size];
    return result;
  };
  for (int round = 0; round < 2000; ++round) {
    std::set<std::string> unique;
    for (int i = 0; i < 8; ++i) {
      if (std::string literal = text("ab/", 3, 5); !literal.empty()) unique.insert(literal);
    }
    const std::vector<std::string> literals(unique.begin(), unique.end());
    LiteralSearch search;
    for (uint32_t i = 0; i < literals.size(); ++i) search.add(literals[i], i);
    search.compile();
    const std::string probe = text("aAbB/x", 6, 12);
    std::string storage;
    const std::string_view lower = to_lower(probe, storage);
    std::set<uint32_t> expected;
    for (uint32_t i = 0; i < literals.size(); ++i) {
      if (lower.find(literals[i]) != std::string_view::npos) expected.insert(i);
    }
    BOOST_REQUIRE_MESSAGE(found(search, probe) == expected, probe);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
