// Host patterns: what "*.example.com" is and is not.
#include "rules/host_table.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace shunt::rules {
namespace {

BOOST_AUTO_TEST_SUITE(host_table_test)

BOOST_AUTO_TEST_CASE(finds_names_and_suffixes) {
  const std::vector<std::string> patterns = {"example.com", "*.example.com", "*.b.example.com",
                                             "*.com",       "a.example.com", "*.",
                                             "localhost"};
  HostTable table;
  for (uint32_t i = 0; i < patterns.size(); ++i) table.add(patterns[i], i);
  const struct {
    const char* host;
    std::vector<uint32_t> expected;
  } cases[] = {
      {"example.com", {0, 3}},
      {"a.example.com", {4, 1, 3}},
      {"b.a.example.com", {1, 3}},
      {"x.b.example.com", {2, 1, 3}},
      {"b.example.com", {1, 3}},
      {"myexample.com", {3}},
      {"example.com.evil.org", {}},
      {".example.com", {3}},
      {"com", {}},
      {"localhost", {6}},
      {"", {}},
      {"[::1]", {}},
  };
  for (const auto& test : cases) {
    std::vector<uint32_t> found;
    table.find(test.host, [&](uint32_t value) { found.push_back(value); });
    BOOST_TEST(found == test.expected, test.host);
    for (uint32_t i = 0; i < patterns.size(); ++i) {
      const bool is_found = std::ranges::find(found, i) != found.end();
      BOOST_TEST(host_matches(test.host, patterns[i]) == is_found, test.host << " " << patterns[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(does_not_walk_all_labels_of_an_endless_host) {
  HostTable table;
  table.add("*.example.com", 7);
  std::string host;
  for (int i = 0; i < 30'000; ++i) host += "a.";
  host += "example.com";
  uint32_t found = 0;
  for (int i = 0; i < 1000; ++i) table.find(host, [&](uint32_t value) { found += value; });
  BOOST_TEST(found == 7000u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
