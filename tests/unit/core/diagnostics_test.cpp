// How problems look: order, place, line, caret, hint, JSON; and which word "did you mean" finds.
#include "core/diagnostics.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt {
namespace {

BOOST_AUTO_TEST_SUITE(diagnostics)

BOOST_AUTO_TEST_CASE(printed_in_order_with_line_caret_and_hint) {
  Diagnostics diagnostics;
  const uint32_t a = diagnostics.add_file("a.toml", "x = 1\r\n\tkey = 2\n");
  const uint32_t b = diagnostics.add_file("b.toml", "caf\xc3\xa9 = 3");
  diagnostics.error({b, 1, 6}, "second file");
  diagnostics.warning({a, 2, 2}, "tabs stay", "use spaces");
  diagnostics.error({a, 1, 5}, "first");
  diagnostics.error({b, 0, 0}, "the file as a whole");
  BOOST_TEST(diagnostics.error_count() == 3u);
  BOOST_TEST(diagnostics.to_string() ==
             "a.toml:1:5: error: first\n"
             "    1 | x = 1\n"
             "      |     ^\n"
             "a.toml:2:2: warning: tabs stay\n"
             "    2 | \tkey = 2\n"
             "      | \t^\n"
             "      = use spaces\n"
             "b.toml: error: the file as a whole\n"
             "b.toml:1:6: error: second file\n"
             "    1 | caf\xc3\xa9 = 3\n"
             "      |      ^\n");
}

BOOST_AUTO_TEST_CASE(places_beyond_the_text_do_no_harm) {
  Diagnostics diagnostics;
  const uint32_t file = diagnostics.add_file("f", "short");
  diagnostics.error({file, 9, 9}, "line");
  diagnostics.error({file, 1, 99}, "column");
  diagnostics.error({7, 1, 1}, "file");
  BOOST_TEST(diagnostics.to_string() ==
             "f:1:99: error: column\n    1 | short\n      |      ^\n"
             "f:9:9: error: line\n    9 | \n      | ^\n"
             "error: file\n");
}

BOOST_AUTO_TEST_CASE(of_a_long_line_the_part_around_the_caret_is_shown) {
  Diagnostics diagnostics;
  const std::string line = std::string(5000, 'a') + "!" + std::string(5000, 'b');
  const uint32_t file = diagnostics.add_file("f", line);
  diagnostics.error({file, 1, 5001}, "here");
  const std::string text = diagnostics.to_string();
  BOOST_TEST(text.size() < 500u);
  const size_t mark = text.find('!');
  const size_t caret = text.find('^');
  BOOST_REQUIRE(mark != std::string::npos);
  const size_t line_start = text.rfind('\n', mark);
  const size_t caret_start = text.rfind('\n', caret);
  BOOST_TEST(mark - line_start == caret - caret_start);
}

BOOST_AUTO_TEST_CASE(warnings_are_no_errors) {
  Diagnostics diagnostics;
  diagnostics.warning({0, 1, 1}, "w");
  BOOST_TEST(!diagnostics.has_errors());
  BOOST_TEST(diagnostics.all().size() == 1u);
}

BOOST_AUTO_TEST_CASE(json) {
  Diagnostics diagnostics;
  BOOST_TEST(diagnostics.to_json() == "[]\n");
  const uint32_t file = diagnostics.add_file("a\"b", "x");
  diagnostics.error({file, 1, 1}, "say \"x\"", "h");
  diagnostics.warning({file, 2, 1}, "w");
  BOOST_TEST(diagnostics.to_json() ==
             "[\n  {\"file\": \"a\\\"b\", \"line\": 1, \"column\": 1, \"severity\": \"error\", "
             "\"message\": \"say \\\"x\\\"\", \"hint\": \"h\"},\n"
             "  {\"file\": \"a\\\"b\", \"line\": 2, \"column\": 1, \"severity\": \"warning\", "
             "\"message\": \"w\", \"hint\": \"\"}\n]\n");
}

BOOST_AUTO_TEST_CASE(the_nearest_word) {
  const std::array<std::string_view, 8> words = {"scheduler", "server", "wlc", "lblc",
                                                 "lblcr",     "sh",     "sed", "key"};
  const struct {
    const char* word;
    const char* expected;
  } cases[] = {
      {"schedular", "scheduler"},  // One letter wrong.
      {"shceduler", "scheduler"},  // Two swapped.
      {"Scheduler", "scheduler"},  // Case only.
      {"sheduler", "scheduler"},   // One missing.
      {"lbclr", "lblcr"},          // A swap counts once, so this is nearer than "lblc".
      {"lblrc", "lblcr"},          // As near to "lblc", but with other letters.
      {"lblc", "lblc"},
      {"wcl", "wlc"},
      {"kye", "key"},
      {"balance", ""},  // Nothing near.
      {"x", ""},        // Anything would be one letter away.
      {"", ""},
  };
  for (const auto& [word, expected] : cases)
    BOOST_TEST(nearest(word, words) == expected, word << " -> " << nearest(word, words));
  BOOST_TEST(did_you_mean("srever", words) == "did you mean \"server\"?");
  BOOST_TEST(did_you_mean("balance", words) == "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
