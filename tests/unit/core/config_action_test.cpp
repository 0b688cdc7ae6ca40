// What rules do beyond choosing a pool, as the loader reads it: what it makes of good tables, and
// what it says about bad ones.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

Loaded load_rule(std::string_view keys) {
  return load(std::string(kListenerText) + "[[rule]]\nname = \"r\"\n" + std::string(keys) + "\n" +
              std::string(kPoolText));
}

Rule rule_of(std::string_view keys) {
  Loaded loaded = load_rule(keys);
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  return loaded.config.rules.at(0);
}

BOOST_AUTO_TEST_SUITE(config_action)

BOOST_AUTO_TEST_CASE(reads_what_a_rule_does) {
  const Rule rule = rule_of(
      "pool = 'pages'\nconnect_timeout = '1s'\nserver_timeout = '2s'\nretries = 0\n"
      "request_timeout = '0s'\ntunnel_timeout = '30d'\n"
      "rewrite = { prefix = '/a', to = '', host = 'h', query = { add = { t = ['1', '2'] } } }\n"
      "request_headers = { set = { X-A = '${client.ip}' }, remove = ['x-b'] }");
  BOOST_TEST(rule.rewrite.prefix == "/a");
  BOOST_TEST(rule.rewrite.to.value().text == "");
  BOOST_TEST(rule.rewrite.host.value().text == "h");
  BOOST_TEST(rule.rewrite.query.add.size() == 2u);
  BOOST_TEST(rule.request_headers.set.at(0).name == "X-A");
  BOOST_TEST(rule.request_headers.set[0].value.text == "${client.ip}");
  BOOST_TEST(rule.request_headers.set[0].value.place.line > 0u);
  BOOST_TEST(rule.request_headers.remove.at(0) == "x-b");
  BOOST_TEST((rule.connect_timeout == 1s));
  BOOST_TEST((rule.server_timeout == 2s));
  BOOST_TEST(!rule.response_timeout.has_value());
  BOOST_TEST((rule.request_timeout == 0s));
  BOOST_TEST((rule.tunnel_timeout == 30 * 24h));
  BOOST_TEST(rule.retries.value() == 0u);
}

BOOST_AUTO_TEST_CASE(reads_splits) {
  const Rule rule = rule_of("split = { pages = 3 }\nsplit_key = 'cookie:id'");
  BOOST_REQUIRE_EQUAL(rule.split.size(), 1u);
  BOOST_TEST(rule.split[0].pool == 0u);
  BOOST_TEST(rule.split[0].weight == 3u);
  BOOST_TEST((rule.split_key == LocalityKey{LocalityKey::Kind::kCookie, "id"}));
  BOOST_TEST(rule.pool == kNone);
  BOOST_TEST((rule_of("split = { pages = 1 }").split_key.kind == LocalityKey::Kind::kSource));
}

BOOST_AUTO_TEST_CASE(reads_mirrors) {
  BOOST_TEST(rule_of("pool = 'pages'").mirror == kNone);
  const Rule all = rule_of("pool = 'pages'\nmirror = 'pages'");
  BOOST_TEST(all.mirror == 0u);
  BOOST_TEST(all.mirror_share == 1.0);
  const Rule some = rule_of("pool = 'pages'\nmirror = { pool = 'pages', share = 0.25 }");
  BOOST_TEST(some.mirror == 0u);
  BOOST_TEST(some.mirror_share == 0.25);
}

BOOST_AUTO_TEST_CASE(says_what_is_wrong) {
  const struct {
    const char* keys;
    const char* expected;
  } cases[] = {
      {"pool = 'pages'\nsplit = { pages = 1 }", "one action: pool, split, redirect or respond"},
      {"split = { pages = 0 }", "every weight of \"split\" is 0"},
      {"split = {}", "names no pool"},
      {"split = { pages = 65536 }", "must be an integer of 0 to 65535"},
      {"split = { pages = '1' }", "must be an integer of 0 to 65535"},
      {"split = { page = 1 }", "unknown pool \"page\""},
      {"pool = 'pages'\nsplit_key = 'source'", "no effect without \"split\""},
      {"split = { pages = 1 }\nsplit_key = 'cooky:a'", "is not a locality key"},
      {"pool = 'pages'\nrewrite = {}", "\"rewrite\" changes nothing"},
      {"pool = 'pages'\nrewrite = { prefix = '/a' }", "needs \"to\""},
      {"pool = 'pages'\nrewrite = { prefix = '/a', regex = 'b', to = '/' }", "not both"},
      {"pool = 'pages'\nrewrite = { prefix = 'a', to = '/' }", "prefix starts with \"/\""},
      {"pool = 'pages'\nrewrite = { to = 'a' }", "a path starts with \"/\", \"a\" does not"},
      {"pool = 'pages'\nrewrite = { to = '/a#b' }", "a path, which has no \"#\""},
      {"pool = 'pages'\nrewrite = { to = \"/a\\nb\" }", "holds a control character"},
      {"pool = 'pages'\nrewrite = { query = { set = { a = ['1'] } } }", "one value, not an array"},
      {"pool = 'pages'\nrewrite = { query = { set = { a = '1' }, remove = ['a'] } }",
       "\"a\" is set or removed twice"},
      {"pool = 'pages'\nrequest_headers = {}", "\"request_headers\" changes nothing"},
      {"pool = 'pages'\nrequest_headers = { set = { 'a b' = '1' } }", "is not a header name"},
      {"pool = 'pages'\nrequest_headers = { set = { a = 1 } }", "must be a string, not an integer"},
      {"pool = 'pages'\nrequest_headers = { set = { x-a = '1', X_A = '2' } }", "twice"},
      {"pool = 'pages'\nrequest_headers = { set = { a = \"x\\r\\ny\" } }", "control character"},
      {"pool = 'pages'\nrequest_headers = { sett = { a = '1' } }", "unknown key \"sett\""},
      {"pool = 'pages'\nretries = 17", "\"retries\" must be 0 to 16, not 17"},
      {"pool = 'pages'\nmirror = 'page'", "unknown pool \"page\""},
      {"pool = 'pages'\nmirror = 1", "must be the name of a pool or a table"},
      {"pool = 'pages'\nmirror = {}", "\"mirror\" needs \"pool\""},
      {"pool = 'pages'\nmirror = { pool = 'pages', share = 0.0 }", "above 0 and at most 1"},
      {"pool = 'pages'\nmirror = { pool = 'pages', share = 1.5 }", "above 0 and at most 1"},
      {"redirect = { to = '/' }\nmirror = 'pages'", "asks no server"},
      {"respond = { body = 'x' }\nrequest_headers = { remove = ['a'] }", "asks no server"},
      {"redirect = { to = '/' }\nrewrite = { to = '/a' }", "asks no server"},
      {"redirect = { to = '/' }\nretries = 1", "asks no server"},
  };
  for (const auto& test : cases) {
    const std::string text = load_rule(test.keys).diagnostics.to_string();
    BOOST_TEST(text.find(test.expected) != std::string::npos, test.keys << "\n" << text);
  }
}

BOOST_AUTO_TEST_CASE(fields_that_must_be_true_cannot_be_edited) {
  for (const std::string name :
       {"Connection", "content-length", "Content_Length", "Transfer-Encoding", "upgrade", "te",
        "trailer", "keep-alive", "proxy-connection", "http2-settings"}) {
    const std::string edits[] = {"set = { " + name + " = '1' }", "add = { " + name + " = '1' }",
                                 "remove = ['" + name + "']"};
    for (const std::string& edit : edits) {
      for (const char* message : {"request_headers", "response_headers"}) {
        const std::string keys = fmt::format("pool = 'pages'\n{} = {{ {} }}", message, edit);
        const std::string text = load_rule(keys).diagnostics.to_string();
        BOOST_TEST(text.find("cannot be edited: it ") != std::string::npos, keys << "\n" << text);
      }
    }
  }
  const auto host = load_rule("pool = 'pages'\nrequest_headers = { set = { host = 'a' } }");
  BOOST_TEST(host.diagnostics.all().at(0).hint.find("rewrite = { host") != std::string::npos);
  // Of an answer it is any field.
  rule_of("pool = 'pages'\nresponse_headers = { remove = ['host'] }");
}

BOOST_AUTO_TEST_CASE(reads_expectations) {
  const Loaded loaded = load(std::string(kListenerText) + std::string(kPoolText) +
                             "[[test]]\nrequest = 'GET http://a/'\n[test.expect]\ntarget = '/x'\n"
                             "headers = { X-A = '1', x-b = false }\n");
  BOOST_REQUIRE_MESSAGE(!loaded.diagnostics.has_errors(), loaded.diagnostics.to_string());
  const Test& test = loaded.config.tests.at(0);
  BOOST_TEST(test.expect_target.value() == "/x");
  BOOST_REQUIRE_EQUAL(test.expect_headers.size(), 2u);
  for (const auto& [name, value] : test.expect_headers)
    BOOST_TEST(value.value_or("none") == (name == "x-a" ? "1" : "none"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
