// Templates: what they make of a request, that no value leaves the place it is put in, and that
// what is wrong is said where it is.
#include "rules/template.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace shunt::rules {
namespace {

struct TextSink {
  std::string text;
  void append(std::string_view piece) { text += piece; }
};

struct Fixture {
  Fixture() {
    request.method = "GET";
    request.scheme = "http";
    request.host = "www.example.com";
    request.path = "/img/a%20b.png";
    request.query = "v=1&name=x%0d%0aSet-Cookie:%20a=1&q=a+b%26c&html=%3Cb%3E&up=..%2F";
    request.headers = headers;
    request.source_port = 40000;
    values.request = &request;
    values.client_ip = "192.0.2.7";
    values.server_name = "s1";
    values.server_address = "10.0.0.1:80";
    values.rule = "images";
    values.pool = "pool";
    values.listener = "web";
    values.request_id = "0000000000000001abcdef0123456789";
    pattern = std::move(*Regex::parse("^/(?P<kind>[a-z]+)/(.*)\\.(png)$", Groups::kCaptured));
    patterns.push_back(pattern.get());
    BOOST_REQUIRE(pattern->capture(request.path, groups));
    values.captures = groups;
  }

  TemplateScope scope() { return {.server = true, .patterns = patterns}; }
  std::string write(std::string_view text, Encoding encoding = Encoding::kNone) {
    const auto parsed = Template::parse(text, encoding, scope());
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), text << ": " << parsed.error().text);
    TextSink sink;
    parsed->write(values, sink);
    return sink.text;
  }

  std::vector<HeaderView> headers = {
      {"X-Tier", "gold \"a\\b\""}, {"Cookie", "s=1; t=two"}, {"x-tier", "tin"}};
  RequestView request;
  Values values;
  std::array<std::string_view, kCapturesMax> groups;
  std::unique_ptr<const Regex> pattern;
  std::vector<const Regex*> patterns;
};

BOOST_FIXTURE_TEST_SUITE(template_test, Fixture)

BOOST_AUTO_TEST_CASE(variables_stand_for_what_they_name) {
  const struct {
    const char* text;
    const char* expected;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"a${method}b${scheme}c", "aGETbhttpc"},
      {"${client.ip}:${client.port}", "192.0.2.7:40000"},
      {"${server.name} ${server.address}", "s1 10.0.0.1:80"},
      {"${listener}/${rule}/${pool}", "web/images/pool"},
      {"https://${host}${path}", "https://www.example.com/img/a%20b.png"},
      {"${header.x-tier}", "gold \"a\\b\""},
      {"${header.X-TIER}", "gold \"a\\b\""},
      {"[${header.x-none}]", "[]"},
      {"${cookie.t}${cookie.T}", "two"},
      {"${query.v}/${query.q}/${query.none}", "1/a b&c/"},
      {"${capture.0}", "/img/a%20b.png"},
      {"${capture.1} ${capture.2} ${capture.kind} ${capture.3}", "img a%20b img png"},
      {"${request.id}", "0000000000000001abcdef0123456789"},
      {"[${tls.version}${tls.sni}${tls.subject}]", "[]"},
      {"$$", "$"},
      {"$${host}", "${host}"},
      {"a$b $", "a$b $"},
  };
  for (const auto& test : cases) BOOST_TEST(write(test.text) == test.expected, test.text);
}

BOOST_AUTO_TEST_CASE(target_is_path_and_query) {
  request.query = "a=1";
  BOOST_TEST(write("${target}") == "/img/a%20b.png?a=1");
  request.query = {};
  BOOST_TEST(write("${target}") == "/img/a%20b.png");
}

BOOST_AUTO_TEST_CASE(a_value_stays_in_its_place) {
  const struct {
    const char* description;
    Encoding encoding;
    const char* text;
    const char* expected;
  } cases[] = {
      {"no line of a head ends", Encoding::kHeader, "${query.name}", "x%0D%0ASet-Cookie: a=1"},
      {"a raw value is one path segment", Encoding::kPath, "/x/${query.up}/y", "/x/..%2F/y"},
      {"a path in a path keeps its slashes and escapes", Encoding::kPath, "/x${path}",
       "/x/img/a%20b.png"},
      {"a question mark in a path is escaped", Encoding::kPath, "/${header.x-tier}",
       "/gold%20%22a%5Cb%22"},
      {"one parameter stays one", Encoding::kComponent, "${query.q}", "a%20b%26c"},
      {"nothing is escaped twice", Encoding::kComponent, "${path}", "%2Fimg%2Fa%20b.png"},
      {"a fixed text of a parameter is plain", Encoding::kComponent, "a&b=50%", "a%26b%3D50%25"},
      {"a fixed text of a path keeps its escapes", Encoding::kPath, "/a%20b c", "/a%20b%20c"},
      {"a value in a location is no syntax", Encoding::kLocation, "/a?b=${query.q}",
       "/a?b=a%20b%26c"},
      {"no markup", Encoding::kHtml, "<p>${query.html}</p>", "<p>&lt;b&gt;</p>"},
      {"no end of a JSON string", Encoding::kJson, "{\"t\":\"${header.x-tier}${query.name}\"}",
       "{\"t\":\"gold \\u0022a\\u005Cb\\u0022x\\u000D\\u000ASet-Cookie: a=1\"}"},
  };
  for (const auto& test : cases)
    BOOST_TEST(write(test.text, test.encoding) == test.expected, test.description);
}

BOOST_AUTO_TEST_CASE(a_percent_sign_that_is_no_escape_is_escaped_in_a_query) {
  request.query = "50%";
  BOOST_TEST(write("${query}", Encoding::kComponent) == "50%25");
  request.query = "%4";
  BOOST_TEST(write("${query}", Encoding::kComponent) == "%254");
}

BOOST_AUTO_TEST_CASE(control_octets_of_every_kind_are_no_header) {
  for (int octet = 0; octet < 256; ++octet) {
    const std::string value(1, static_cast<char>(octet));
    values.rule = value;
    const std::string text = write("${rule}", Encoding::kHeader);
    const bool control = (octet < 0x20 && octet != '\t') || octet == 0x7f;
    BOOST_TEST((text == value) == !control, octet);
  }
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_said_where_it_is) {
  const struct {
    const char* text;
    size_t offset;
    const char* message;
    const char* hint;
  } cases[] = {
      {"a${clent.ip}", 3, "unknown variable \"clent.ip\"", "did you mean \"client.ip\"?"},
      {"${heder.x-a}", 2, "unknown variable \"heder.x-a\"", "did you mean \"header.\"?"},
      {"${header.}", 2, "unknown variable \"header.\"", ""},
      {"${header.a b}", 9, "\"a b\" is not a header name", ""},
      {"x${host", 1, "\"${\" has no \"}\"", "$$"},
      {"/new/$1", 5, "\"$1\" is not a variable", "${capture.1}"},
      {"${capture.4}", 10, "has no group \"4\"", "3 of them"},
      {"${capture.nme}", 10, "has no group \"nme\"", ""},
      {"${}", 2, "unknown variable \"\"", ""},
  };
  for (const auto& test : cases) {
    const auto parsed = Template::parse(test.text, Encoding::kNone, scope());
    BOOST_REQUIRE_MESSAGE(!parsed.has_value(), test.text);
    BOOST_TEST(parsed.error().offset == test.offset, test.text);
    BOOST_TEST(parsed.error().text.find(test.message) != std::string::npos, parsed.error().text);
    BOOST_TEST(parsed.error().hint.find(test.hint) != std::string::npos, parsed.error().hint);
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_known_is_refused) {
  const auto server = Template::parse("${server.name}", Encoding::kNone, {});
  BOOST_TEST(server.error().text.find("no server has been chosen") != std::string::npos);
  const auto capture = Template::parse("${capture.1}", Encoding::kNone, {});
  BOOST_TEST(capture.error().text == "there is nothing to capture from");
}

BOOST_AUTO_TEST_CASE(a_capture_is_the_same_group_in_every_pattern) {
  const auto other = std::move(*Regex::parse("^/x/()(?P<kind>.)", Groups::kCaptured));
  patterns.push_back(other.get());
  BOOST_TEST(Template::parse("${capture.2}", Encoding::kNone, scope()).has_value());
  BOOST_TEST(!Template::parse("${capture.3}", Encoding::kNone, scope()).has_value());
  BOOST_TEST(!Template::parse("${capture.kind}", Encoding::kNone, scope()).has_value());
}

BOOST_AUTO_TEST_CASE(says_what_it_needs) {
  const auto literal = *Template::parse("x", Encoding::kNone, scope());
  BOOST_TEST(!literal.has_variables());
  const auto client = *Template::parse("${client.ip}", Encoding::kNone, scope());
  BOOST_TEST(client.has_variables());
  BOOST_TEST(!client.uses_request());
  BOOST_TEST((*Template::parse("${path}", Encoding::kNone, scope())).uses_request());
  const auto capture = *Template::parse("${capture.1}", Encoding::kNone, scope());
  BOOST_TEST(capture.uses_captures());
  BOOST_TEST(capture.uses_request());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
