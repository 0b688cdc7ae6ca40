// Tables of request targets and authorities, with the forms and characters that servers are known
// to read differently.
#include "proxy/request_target.h"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <string_view>

using namespace shunt::proxy;
using namespace std::string_literals;

BOOST_AUTO_TEST_SUITE(request_target)

BOOST_AUTO_TEST_CASE(accepted) {
  const struct {
    std::string_view target;
    std::string_view path;
    std::string_view query;
    bool has_query;
    std::string_view authority;
    std::string_view host;
    Method method = Method::kGet;
  } cases[] = {
      {"/", "/", "", false, "", ""},
      {"/a/b.png", "/a/b.png", "", false, "", ""},
      {"/a?x=1", "/a", "x=1", true, "", ""},
      {"/a?", "/a", "", true, "", ""},
      {"/a?x?y", "/a", "x?y", true, "", ""},
      {"///a//b", "///a//b", "", false, "", ""},
      {"/http://b/", "/http://b/", "", false, "", ""},
      {"/a;b=c/%2e%2E/~d", "/a;b=c/%2e%2E/~d", "", false, "", ""},
      {"/a|b^c`d{e}[f]", "/a|b^c`d{e}[f]", "", false, "", ""},
      {"/a?re=\\d+", "/a", "re=\\d+", true, "", ""},
      {"*", "*", "", false, "", "", Method::kOptions},
      {"http://a.b", "/", "", false, "a.b", "a.b"},
      {"http://a.b/", "/", "", false, "a.b", "a.b"},
      {"HTTPS://a.b:443/c?d", "/c", "d", true, "a.b:443", "a.b"},
      {"http://a.b?x=1", "/", "x=1", true, "a.b", "a.b"},
      {"http://[::1]:80/x", "/x", "", false, "[::1]:80", "[::1]"},
      {"http://a.b", "*", "", false, "a.b", "a.b", Method::kOptions},
      {"http://a.b/", "/", "", false, "a.b", "a.b", Method::kOptions},
      {"http://a.b?x", "/", "x", true, "a.b", "a.b", Method::kOptions},
  };
  const auto head = std::make_unique<RequestHead>();
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.target) {
      *head = RequestHead();
      head->method = test.method;
      head->target = test.target;
      BOOST_TEST(!parse_target(*head));
      BOOST_TEST(head->path == test.path);
      BOOST_TEST(head->query == test.query);
      BOOST_TEST((head->query.data() != nullptr) == test.has_query);
      BOOST_TEST(head->authority == test.authority);
      BOOST_TEST(head->host == test.host);
    }
  }
}

BOOST_AUTO_TEST_CASE(refused) {
  const std::string cases[] = {
      "",
      "a",
      "a/b",
      "?x",
      "a.b:80",
      "*",
      "**",
      "*/x",
      "/a b",
      "/a\tb",
      "/a#b",
      "/a?b#c",
      "/a\\b",
      "/a\"b",
      "/<a>",
      "/a?\"b",
      "/\x01",
      "/\x7f",
      "/\xc0\xaf",
      "/a?\xe9",
      "/a\0b"s,
      "//a b",
      "ftp://a/",
      "s://a/",
      "http:/a/",
      "http:a",
      "http//a/",
      "http:///",
      "http://",
      "http://?x",
      "http:// a/",
      "http://a b/",
      "http://u@a/",
      "http://u:p@a/",
      "http://a,b/",
      "http://a:x/",
      "http://a:80x/",
      "http://a:65536/",
      "http://a:1:2/",
      "http://::1/",
      "http://[::1/",
      "http://[]/",
      "http://[::g]/",
      "http://[fe80::1%25eth0]/",
      "http://[v1.a]/",
      "http://[::1]a/",
      "http://[1.2.3.4]/",
      "http://%61/",
      "http://a%00/",
      "http://a\\b/",
      "http://a#b/",
      "http://a/b#c",
      "http://a/b\\c",
      "javascript:alert(1)",
  };
  const auto head = std::make_unique<RequestHead>();
  for (const std::string& target : cases) {
    BOOST_TEST_CONTEXT(target) {
      *head = RequestHead();
      head->target = target;
      const auto reject = parse_target(*head);
      BOOST_TEST_REQUIRE(reject.has_value());
      BOOST_TEST(reject->status == 400);
    }
  }
}

BOOST_AUTO_TEST_CASE(authorities) {
  const struct {
    std::string_view text;
    std::string_view host;  // Empty: refused.
  } cases[] = {
      {"localhost", "localhost"},
      {"a.b:8080", "a.b"},
      {"a.b:", "a.b"},
      {"1.2.3.4:1", "1.2.3.4"},
      {"[::1]", "[::1]"},
      {"[::ffff:1.2.3.4]:5", "[::ffff:1.2.3.4]"},
      {"a_b-c", "a_b-c"},
      {"0.0.0.0=5000", "0.0.0.0=5000"},
      {"a:65535", "a"},
      {"a:00080", "a"},
      {"", ""},
      {":80", ""},
      {"a:000080", ""},
      {"a:-1", ""},
      {"a:+1", ""},
      {"a: 80", ""},
      {"a, b", ""},
      {"a,b", ""},
      {"a b", ""},
      {"a\tb", ""},
      {"a/b", ""},
      {"a?b", ""},
      {"a#b", ""},
      {"a@b", ""},
      {"a\\b", ""},
      {"a%41", ""},
      {"\xc3\xa9", ""},
      {"http://a", ""},
      {"[::1", ""},
      {"::1", ""},
      {"[::1]80", ""},
      {"[::1]:", "[::1]"},
      {"[", ""},
      {"]", ""},
      {"[:::1]", ""},
      {"[1:2:3:4:5:6:7:8:9]", ""},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.text) {
      const auto authority = parse_authority(test.text);
      BOOST_TEST(authority.has_value() == !test.host.empty());
      if (!authority) continue;
      BOOST_TEST(authority->host == test.host);
      BOOST_TEST(authority->text == test.text);
    }
  }
}

BOOST_AUTO_TEST_CASE(authority_size) {
  BOOST_TEST(parse_authority(std::string(262, 'a')).has_value());
  BOOST_TEST(!parse_authority(std::string(263, 'a')).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
