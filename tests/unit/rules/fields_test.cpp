// Cookies, query parameters and headers: the pairs that the rules see.
#include "rules/fields.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "rules/subject.h"

namespace shunt::rules {
namespace {

std::string joined(std::span<const Field> fields) {
  std::string text;
  for (const Field& field : fields)
    text.append(field.name).append("=").append(field.value).append("|");
  return text;
}

BOOST_AUTO_TEST_SUITE(fields_test)

BOOST_AUTO_TEST_CASE(reads_parameters_decoded) {
  const struct {
    const char* query;
    const char* expected;
  } cases[] = {
      {"", ""},
      {"a=1&b=2", "a=1|b=2|"},
      {"a", "a=|"},
      {"a=", "a=|"},
      {"=1", "=1|"},
      {"&&a=1&", "a=1|"},
      {"a=1=2", "a=1=2|"},
      {"a%62=%31+%2B", "ab=1 +|"},
      {"a%3D=%26", "a==&|"},
      {"a=%zz%4", "a=%zz%4|"},
      {"a;b=1", "a;b=1|"},
  };
  for (const auto& test : cases) {
    RequestView request;
    request.query = test.query;
    Subject subject;
    subject.begin(request);
    BOOST_TEST(joined(subject.parameters()) == test.expected);
  }
}

BOOST_AUTO_TEST_CASE(compares_undecoded_names) {
  BOOST_TEST(decodes_to("a%62", "ab"));
  BOOST_TEST(decodes_to("", ""));
  BOOST_TEST(!decodes_to("a%62", "a"));
  BOOST_TEST(!decodes_to("a", "ab"));
  BOOST_TEST(!decodes_to("ac", "ab"));
}

BOOST_AUTO_TEST_CASE(reads_cookies_of_all_fields) {
  const std::vector<HeaderView> headers = {
      {"Cookie", "a=1; b=\"2\" ;c"}, {"x", "a=9"}, {"cookie", ";; A=3;=4"}};
  RequestView request;
  request.headers = headers;
  Subject subject;
  subject.begin(request);
  BOOST_TEST(joined(subject.cookies()) == "a=1|b=\"2\"|c=|A=3|");
}

BOOST_AUTO_TEST_CASE(finds_headers_without_case) {
  const std::vector<HeaderView> headers = {{"X-One", "1"}, {"x-one", "2"}, {"Empty", {}}};
  RequestView request;
  request.headers = headers;
  BOOST_TEST(request.header("x-ONE") == "1");
  BOOST_TEST(request.header("empty").empty());
  BOOST_TEST((request.header("empty").data() != nullptr));
  BOOST_TEST((request.header("x-on").data() == nullptr));
}

BOOST_AUTO_TEST_CASE(derives_extension_host_and_media_type) {
  const struct {
    const char* path;
    const char* expected;
  } cases[] = {
      {"/a.PNG", "png"}, {"/a.tar.gz", "gz"}, {"/a.b/c", nullptr}, {"/.htaccess", "htaccess"},
      {"/a.", ""},       {"/", nullptr},      {"*", nullptr}};
  Subject subject;
  for (const auto& test : cases) {
    RequestView request;
    request.path = test.path;
    subject.begin(request);
    BOOST_TEST((subject.extension().data() == nullptr) == (test.expected == nullptr), test.path);
    if (test.expected != nullptr) BOOST_TEST(subject.extension() == test.expected, test.path);
  }
  const std::vector<HeaderView> headers = {{"Content-Type", "Image/PNG ; q=1"}};
  RequestView request;
  request.headers = headers;
  request.host = "WWW.Example.COM.";
  subject.begin(request);
  BOOST_TEST(subject.media_type() == "image/png");
  BOOST_TEST(subject.host() == "www.example.com");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
