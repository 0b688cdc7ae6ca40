// Cookies as clients send and servers set them, and what of them goes on.
#include "proxy/cookies.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt::proxy {
namespace {

BOOST_AUTO_TEST_SUITE(cookies)

std::string listed(std::string_view field) {
  std::string out;
  Cookie cookie;
  for (CookieList all{field}; all.next(cookie);) {
    out += '[';
    out += cookie.name;
    out += '|';
    out += cookie.value;
    out += ']';
  }
  return out;
}

std::string filtered(std::string_view field, const CookieFilter& filter) {
  std::string out;
  filter_cookies(field, filter, [&out](std::string_view piece) { out += piece; });
  return out;
}

BOOST_AUTO_TEST_CASE(a_field_has_these_cookies) {
  const struct {
    const char* field;
    const char* expected;
  } cases[] = {
      {"", ""},
      {"a=1", "[a|1]"},
      {"a=1; b=2", "[a|1][b|2]"},
      {"a=1;b=2", "[a|1][b|2]"},
      {" a = 1 ;\tb=2 ", "[a|1][b|2]"},
      {"a=1;; ;b=2;", "[a|1][b|2]"},
      {"a=b=c", "[a|b=c]"},
      {"alone", "[|alone]"},
      {"=1", "[|1]"},
      {"a=", "[a|]"},
      {"a=\"1; b=2\"", "[a|\"1][b|2\"]"},  // As servers read it: quotes hold nothing together.
      {"a=1, b=2", "[a|1, b=2]"},
  };
  for (const auto& test : cases) BOOST_TEST(listed(test.field) == test.expected, test.field);
}

BOOST_AUTO_TEST_CASE(a_cookie_of_ours_is_taken_out) {
  const struct {
    const char* field;
    const char* expected;
  } cases[] = {
      {"S=1", ""},
      {"S=1; S=2", ""},
      {"a=1; S=x; b=2", "a=1; b=2"},
      {"S=x;a=1", "a=1"},
      {"a=1;S=x;", "a=1"},
      {"a=1;b=2;S=x;c=3", "a=1;b=2;c=3"},
      {" a = 1 ; S=x", "a = 1"},
      {"a=1;b=2 ;", "a=1;b=2 ;"},  // Without it: byte for byte.
      {"s=1; SS=2; xS=3", "s=1; SS=2; xS=3"},
      {"S", "S"},  // Has no name.
      {"", ""},
      {"S =1; a=2", "a=2"},
  };
  for (const auto& test : cases)
    BOOST_TEST(filtered(test.field, {"S"}) == test.expected, test.field);
  BOOST_TEST(filtered("S=1;a", {}) == "S=1;a");
}

BOOST_AUTO_TEST_CASE(a_mark_is_taken_off_a_value) {
  const std::string mark = "0123456789abcdef0123456789abcdef~";
  const struct {
    std::string field;
    std::string expected;
  } cases[] = {
      {"S=" + mark + "x", "S=x"},
      {"S=" + mark, "S="},
      {"a=1;S=" + mark + "x=y~z; b=2", "a=1;S=x=y~z; b=2"},
      {"S=" + mark + mark + "x", "S=" + mark + "x"},  // The value may look like a mark.
      {"S=x;S=" + mark + "y", "S=x;S=y"},
      {"s=" + mark + "x", "s=" + mark + "x"},
      {"S=0123456789ABCDEF0123456789abcdef~x", "S=0123456789ABCDEF0123456789abcdef~x"},
      {"S=0123456789abcdef0123456789abcdef-x", "S=0123456789abcdef0123456789abcdef-x"},
      {"S=0123456789abcdef0123456789abcde~x", "S=0123456789abcdef0123456789abcde~x"},
  };
  for (const auto& test : cases)
    BOOST_TEST(filtered(test.field, {"S", true}) == test.expected, test.field);
}

BOOST_AUTO_TEST_CASE(a_field_sets_this_cookie) {
  const struct {
    const char* field;
    const char* name;
    const char* value;
  } cases[] = {
      {"a=1", "a", "1"},      {"a=1; Path=/; HttpOnly", "a", "1"},
      {"a = 1 ;x", "a", "1"}, {"a=", "a", ""},
      {"a=b=c;", "a", "b=c"}, {"", "", ""},
      {"; Path=/", "", ""},   {"alone; Path=/", "", "alone"},
  };
  for (const auto& test : cases) {
    const std::string_view field = test.field;
    const Cookie cookie = set_cookie_of(field);
    BOOST_TEST(cookie.name == test.name, test.field);
    BOOST_TEST(cookie.value == test.value, test.field);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
