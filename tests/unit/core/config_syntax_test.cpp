// TOML syntax errors: each is placed, does not hide what else is wrong, and brings no false errors
// along.
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "core/config_load.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

// "line:column" of each error, in order.
std::vector<std::string> places(const Loaded& loaded) {
  std::vector<std::string> all;
  const std::string text = loaded.diagnostics.to_string();
  constexpr std::string_view kName = "test.toml:";
  for (size_t at = text.find(kName); at != std::string::npos; at = text.find(kName, at + 1)) {
    const size_t start = at + kName.size();
    all.push_back(text.substr(start, text.find(": ", start) - start));
  }
  return all;
}

BOOST_AUTO_TEST_SUITE(config_syntax)

BOOST_AUTO_TEST_CASE(errors_are_placed_and_the_rest_is_read) {
  const std::string farm = std::string(kListenerText) + std::string(kPoolText);  // Lines 1 to 5.
  const struct {
    const char* description;
    std::string text;
    std::vector<std::string> expected;
  } cases[] = {
      {"value without quotes", farm + "retries = 2\nidle_age = 10s\n", {"7:14"}},
      {"it hides nothing in its own section",
       farm + "idle_age = 10s\nretris = 2\nscheduler = \"wcl\"\n",
       {"6:14", "7:1", "8:13"}},
      {"nor what is missing is claimed",
       "[[listener]]\nbind = 127.0.0.1:80\n[pool.p]\nserver = x\n",
       {"2:10", "4:10"}},
      {"nor names that were lost",
       farm + "[[rule]]\npool = \"lost\"\n[pool.lost\nretries = 1\n[[rule]]\npol = 1\n",
       {"8:11", "11:1"}},
      {"an array that goes on is lost whole",
       farm + "[global]\ncpu_affinity = [ 1, x,\n  2,\n 3 ]\nworkers = \"1\"\n",
       {"7:21", "10:11"}},
      {"two headers", farm + "[[rule]\n[[test]\n", {"6:8", "7:8"}},
      {"headers that toml++ asserts about", farm + "[[.x]]\n[[[y]]]\n[[=\n", {"6:3", "7:3", "8:3"}},
      {"a key twice", farm + "retries = 1\nretries = 2\n", {"7:11"}},
      {"a table twice", farm + "[global]\n[global]\nworkers = 1\n", {"7:1"}},
      {"a string that ends with the line",
       farm + "[global]\nuser = \"x\nworkers = true\n",
       {"7:10", "8:11"}},
      {"a string that never ends",
       farm + "[global]\nuser = \"\"\"x\n[[rule]]\n[[test]]\n",
       {"9:10"}},
      {"no value", farm + "[global]\nuser =\nwrkers = 1\n", {"7:7", "8:1"}},
      {"letters where there are none",
       farm + "\xc6\x91\n[global]\nuser = \xc3\xa9\n",
       {"6:1", "8:8"}},
      {"a table in braces over several lines",
       farm + "[[rule]]\npool = \"pages\"\nmatch = {\n  path = \"/x\",\n  host = \"b\" }\nnmae = "
              "\"x\"\n",
       {"8:10", "11:1"}},
      {"bytes that are not UTF-8", farm + "[global]\nuser = \"\xff\"\n", {"7:8"}},
  };
  for (const auto& [description, text, expected] : cases) {
    BOOST_TEST_CONTEXT(description) {
      const Loaded loaded = load(text);
      BOOST_TEST(places(loaded) == expected, boost::test_tools::per_element());
      if (places(loaded) != expected) BOOST_TEST_MESSAGE(loaded.diagnostics.to_string());
    }
  }
}

BOOST_AUTO_TEST_CASE(the_usual_mistake_has_a_hint) {
  for (const char* value : {"250ms", "10.0.0.1:80", "wlc", "64KiB"}) {
    const Loaded loaded = load(std::string("x = ") + value);
    BOOST_REQUIRE(!loaded.diagnostics.all().empty());
    BOOST_TEST(loaded.diagnostics.all()[0].hint.find("need quotes") != std::string::npos, value);
  }
}

BOOST_AUTO_TEST_CASE(hints_show_the_way_out) {
  const struct {
    const char* text;
    const char* hint;
  } cases[] = {
      {"path_regex = \"\\.png$\"", "in single quotes: '\\.png$'"},
      {"path_regex = [\"a\", \"\\.it's$\"]", "in single quotes: '…'"},
      {"name = \"abc\nx = 1", "closing quote"},
      {"match = {\n  path = \"/x\"\n}", "[rule.match]"},
      {"server {\n  listen 80;\n}", "this is TOML"},
      {"frontend web\n  bind *:80", "this is TOML"},
      {"global:\n  workers: 2", "this is TOML"},
  };
  for (const auto& [text, hint] : cases) {
    const Loaded loaded = load(text);
    BOOST_REQUIRE(!loaded.diagnostics.all().empty());
    const std::string shown = loaded.diagnostics.to_string();
    BOOST_TEST(shown.find(hint) != std::string::npos, shown);
  }
}

BOOST_AUTO_TEST_CASE(a_text_of_errors_ends) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "[[x]\n";
  BOOST_TEST(load(text).diagnostics.error_count() <= 25u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
