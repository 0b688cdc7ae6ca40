// The normal form of paths: a table, and that it is one (normalising again changes nothing).
#include "rules/path.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

namespace shunt::rules {
namespace {

BOOST_AUTO_TEST_SUITE(path_test)

BOOST_AUTO_TEST_CASE(normalises) {
  const struct {
    const char* description;
    const char* raw;
    const char* expected;
  } cases[] = {
      {"root", "/", "/"},
      {"plain", "/a/b.html", "/a/b.html"},
      {"empty is the root", "", "/"},
      {"asterisk form", "*", "*"},
      {"no path at all", "example.com:443", "example.com:443"},
      {"unreserved is decoded", "/%61%2D%7e%5F%39", "/a-~_9"},
      {"reserved stays, in capitals", "/a%2fb%3fc%40", "/a%2Fb%3Fc%40"},
      {"space and high octets stay", "/%20%c3%A9", "/%20%C3%A9"},
      {"decoded once only", "/%2561", "/%2561"},
      {"lone percent", "/100%", "/100%25"},
      {"malformed escape", "/%zz%4", "/%25zz%254"},
      {"malformed escape before a digit", "/%%361",
       "/%25"
       "61"},
      {"double slash", "//a///b//", "/a/b/"},
      {"dot", "/a/./b/.", "/a/b/"},
      {"dot dot", "/a/b/../c/..", "/a/"},
      {"dot dot at the root", "/../../a", "/a"},
      {"only dot dot", "/..", "/"},
      {"only dot", "/.", "/"},
      {"encoded dots", "/a/%2e%2E/b/%2e", "/b/"},
      {"half encoded dots", "/a/.%2e/b", "/b"},
      {"slashes merge before dots go", "/a//../b", "/b"},
      {"encoded slash is no separator", "/a/..%2fb", "/a/..%2Fb"},
      {"three dots are a name", "/.../a", "/.../a"},
      {"hidden files are names", "/.git/..a/.b.", "/.git/..a/.b."},
      {"trailing slash stays", "/a/b/", "/a/b/"},
      {"trailing slash from nowhere", "/a/b", "/a/b"},
      {"parent of a slash", "/a/b/../", "/a/"},
      {"parameters are part of the name", "/a;x=1/..;/b", "/a;x=1/..;/b"},
      {"backslash is no separator", "/a\\..\\b", "/a\\..\\b"},
  };
  for (const auto& test : cases) {
    std::string scratch;
    BOOST_TEST(normalise_path(test.raw, scratch) == test.expected, test.description);
    std::string again;
    BOOST_TEST(normalise_path(test.expected, again) == test.expected, test.description);
  }
}

BOOST_AUTO_TEST_CASE(returns_normal_paths_as_they_are) {
  const std::string_view raw = "/a/.b/c%20d/%2F..e/";
  std::string scratch;
  BOOST_TEST(static_cast<const void*>(normalise_path(raw, scratch).data()) ==
             static_cast<const void*>(raw.data()));
}

BOOST_AUTO_TEST_CASE(is_idempotent_and_leaves_nothing_to_walk_around_with) {
  constexpr std::string_view kPieces[] = {"/", ".", "%2e", "%2E", "%2f", "%",
                                          "a", "6", "1",   "%61", "%25", ".."};
  std::mt19937 random(1);
  for (int round = 0; round < 100'000; ++round) {
    std::string raw = "/";
    for (auto left = random() % 12; left > 0; --left) raw += kPieces[random() % std::size(kPieces)];
    std::string first, second;
    const std::string once(normalise_path(raw, first));
    BOOST_REQUIRE_MESSAGE(normalise_path(once, second) == once, raw << " -> " << once);
    for (const char* bad : {"//", "/./", "/../", "%2e", "%2E", "%61", "%2f"})
      BOOST_REQUIRE_MESSAGE(once.find(bad) == std::string::npos, raw << " -> " << once);
    BOOST_REQUIRE_MESSAGE(!once.ends_with("/.") && !once.ends_with("/.."), raw << " -> " << once);
    for (size_t size = 0; size <= once.size(); ++size)
      BOOST_REQUIRE_MESSAGE(is_normal_prefix(once.substr(0, size)), once.substr(0, size)
                                                                        << " of " << once);
  }
}

BOOST_AUTO_TEST_CASE(knows_prefixes_that_no_normal_path_has) {
  for (const char* prefix :
       {"", "/", "*", "/a", "/a/", "/.", "/..", "/.well", "/a%", "/a%2", "/a%2F"})
    BOOST_TEST(is_normal_prefix(prefix), prefix);
  for (const char* prefix : {"a", "//", "/./", "/../", "/a//b", "/%61", "/%2f", "/%zz", "/a/../b"})
    BOOST_TEST(!is_normal_prefix(prefix), prefix);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
