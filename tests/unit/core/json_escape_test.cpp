// JSON strings: plain text untouched, everything else valid JSON whatever the bytes.
#include "core/json_escape.h"

#include <boost/test/unit_test.hpp>

namespace shunt {
namespace {

BOOST_AUTO_TEST_SUITE(json_escaping)

BOOST_AUTO_TEST_CASE(texts) {
  const struct {
    const char* description;
    std::string_view input;
    std::string_view expected;
  } cases[] = {
      {"empty", "", ""},
      {"plain", "GET /index.html?a=b&c=~", "GET /index.html?a=b&c=~"},
      {"quote and backslash", R"(a"b\c)", R"(a\"b\\c)"},
      {"line ends and tab", "a\r\n\tb", R"(a\r\n\tb)"},
      {"other controls", std::string_view("\0\x1f\x01", 3), R"(\u0000\u001f\u0001)"},
      {"delete is plain enough for JSON", "a\x7f", "a\x7f"},
      {"UTF-8 of 2, 3 and 4 bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"Latin-1", "caf\xe9!", R"(caf\ufffd!)"},
      {"cut off", "\xe2\x82", R"(\ufffd\ufffd)"},
      {"overlong slash", "\xc0\xaf", R"(\ufffd\ufffd)"},
      {"overlong of 3 bytes", "\xe0\x9f\xbf", R"(\ufffd\ufffd\ufffd)"},
      {"surrogate", "\xed\xa0\x80", R"(\ufffd\ufffd\ufffd)"},
      {"beyond U+10FFFF", "\xf4\x90\x80\x80", R"(\ufffd\ufffd\ufffd\ufffd)"},
      {"sequence broken by ASCII",
       "\xe2\x82"
       "a",
       R"(\ufffd\ufffda)"},
  };
  for (const auto& [description, input, expected] : cases)
    BOOST_TEST(json_escape(input) == expected, description << ": " << json_escape(input));
}

BOOST_AUTO_TEST_CASE(appends_to_what_is_there) {
  std::string out = "\"";
  append_json_escaped(out, "a\"");
  append_json_escaped(out, "b");
  BOOST_TEST(out == "\"a\\\"b");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
