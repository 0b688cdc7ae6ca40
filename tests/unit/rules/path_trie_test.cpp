// The radix tree: exact texts and prefixes, and the same answers as a linear search on random
// texts.
#include "rules/path_trie.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace shunt::rules {
namespace {

std::vector<uint32_t> found(const PathTrie& trie, std::string_view text) {
  std::vector<uint32_t> values;
  trie.find(text, [&](uint32_t value) { values.push_back(value); });
  return values;
}

BOOST_AUTO_TEST_SUITE(path_trie_test)

BOOST_AUTO_TEST_CASE(finds_prefixes_then_the_text_itself) {
  PathTrie trie;
  trie.add_prefix("", 0);
  trie.add_prefix("/a", 1);
  trie.add_prefix("/api/", 2);
  trie.add_exact("/api/", 3);
  trie.add_exact("/api/v1", 4);
  trie.add_prefix("/b\xff", 5);
  trie.compile();
  const struct {
    const char* text;
    std::vector<uint32_t> expected;
  } cases[] = {
      {"", {0}},
      {"/", {0}},
      {"/a", {0, 1}},
      {"/api", {0, 1}},
      {"/api/", {0, 1, 2, 3}},
      {"/api/v1", {0, 1, 2, 4}},
      {"/api/v", {0, 1, 2}},
      {"/api/v12", {0, 1, 2}},
      {"/b", {0}},
      {"/b\xff.", {0, 5}},
      {"x", {0}},
  };
  for (const auto& test : cases) BOOST_TEST(found(trie, test.text) == test.expected, test.text);
}

BOOST_AUTO_TEST_CASE(finds_nothing_when_empty) {
  PathTrie trie;
  BOOST_TEST(found(trie, "/a").empty());
  trie.compile();
  BOOST_TEST(found(trie, "/a").empty());
}

BOOST_AUTO_TEST_CASE(agrees_with_a_linear_search) {
  std::mt19937 random(2);
  const auto text = [&] {
    std::string result;
    for (auto left = random() % 6; left > 0; --left) result += "/ab"[random() % 3];
    return result;
  };
  for (int round = 0; round < 2000; ++round) {
    std::set<std::pair<std::string, bool>> entries;
    for (auto left = random() % 20; left > 0; --left) entries.insert({text(), random() % 2 == 0});
    PathTrie trie;
    uint32_t value = 0;
    for (const auto& [entry, is_exact] : entries) {
      if (is_exact)
        trie.add_exact(entry, value++);
      else
        trie.add_prefix(entry, value++);
    }
    trie.compile();
    const std::string probe = text();
    std::vector<uint32_t> expected;
    value = 0;
    for (const auto& [entry, is_exact] : entries) {
      if (is_exact ? probe == entry : probe.starts_with(entry)) expected.push_back(value);
      ++value;
    }
    auto actual = found(trie, probe);
    std::ranges::sort(actual);
    BOOST_REQUIRE(actual == expected);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
