// Rewritten targets: a table of rules, requests and what the server is asked for; and that what a
// client sends cannot leave the place that a rule gives it.
#include "rules/rewrite.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "core/config_load.h"
#include "rules/path.h"

namespace shunt::rules {
namespace {

struct Compiled {
  config::Loaded loaded;
  std::vector<std::unique_ptr<const Actions>> actions;
  Diagnostics diagnostics;
};

// `rule` is the text of a rule's keys.
Compiled compile(const std::string& rule) {
  Compiled result;
  result.loaded = config::load_text("[[listener]]\nbind = \"127.0.0.1:80\"\n[[rule]]\n" + rule +
                                        "\n[pool.p]\nserver = [{ address = \"10.0.0.1:80\" }]\n",
                                    "test", {.schedulers = {"wlc"}});
  BOOST_REQUIRE_MESSAGE(!result.loaded.diagnostics.has_errors(),
                        result.loaded.diagnostics.to_string());
  result.actions =
      compile_actions(result.loaded.config.rules, result.loaded.config.pools, result.diagnostics);
  return result;
}

struct Result {
  Rewritten kind;
  std::string target;
};

Result rewrite(const std::string& rule, std::string_view raw_path, const char* query) {
  const Compiled compiled = compile("pool = \"p\"\n" + rule);
  BOOST_REQUIRE_MESSAGE(!compiled.diagnostics.has_errors(), compiled.diagnostics.to_string());
  const Actions& actions = *compiled.actions.at(0);
  std::string scratch;
  RequestView request;
  request.host = "www.example.com";
  request.path = normalise_path(raw_path, scratch);
  if (query != nullptr) request.query = query;
  std::array<std::string_view, kCapturesMax> groups;
  actions.capture(request.path, groups);
  Values values;
  values.request = &request;
  values.captures = groups;
  Result result;
  result.kind = rewrite_target(actions, raw_path, query != nullptr, values, result.target);
  return result;
}

BOOST_AUTO_TEST_SUITE(rewrite_test)

BOOST_AUTO_TEST_CASE(makes_the_target) {
  const struct {
    const char* rule;
    const char* path;
    const char* query;
    const char* expected;
  } cases[] = {
      {"rewrite = { prefix = '/api/', to = '/' }", "/api/x/y", nullptr, "/x/y"},
      {"rewrite = { prefix = '/api/', to = '/' }", "/api/x", "a=1", "/x?a=1"},
      {"rewrite = { prefix = '/api/', to = '/' }", "/api/x", "", "/x?"},
      {"rewrite = { prefix = '/api', to = '' }", "/api", nullptr, "/"},
      {"rewrite = { prefix = '/api', to = '/' }", "/api/x", nullptr, "/x"},
      {"rewrite = { prefix = '/api', to = '/v2' }", "//api/%78/", nullptr, "/v2/x/"},
      {"rewrite = { prefix = '/a', to = '/b' }", "/a/x%2fy", nullptr, "/b/x%2Fy"},
      {"rewrite = { to = '/all' }", "/api/x", "q=1", "/all?q=1"},
      {"rewrite = { to = '/${host}${path}' }", "/x", nullptr, "/www.example.com/x"},
      {"rewrite = { regex = '^/u/([0-9]+)/(.*)$', to = '/${capture.2}/of/${capture.1}' }",
       "/u/42/photos", nullptr, "/photos/of/42"},
      {"rewrite = { regex = 'o+', to = '0' }", "/foo/boo", nullptr, "/f0/boo"},
      {"rewrite = { regex = '(?P<id>\\d+)', to = '[${capture.id}]' }", "/a/7", nullptr,
       "/a/%5B7%5D"},
      {"match = { path_regex = '^/(\\w+)/(\\w+)' }\nrewrite = { to = '/${capture.2}' }", "/a/b/c",
       nullptr, "/b"},
      {"rewrite = { query = { set = { a = '2' } } }", "/x/%7Ey", "a=1&b=%41&a=3",
       "/x/%7Ey?b=%41&a=2"},
      {"rewrite = { query = { remove = ['a b'] } }", "/x", "a%20b=1&c&a+b", "/x?c"},
      {"rewrite = { query = { remove = ['a'] } }", "/x", "a=1", "/x"},
      {"rewrite = { query = { add = { t = ['1', '2'] } } }", "/x", nullptr, "/x?t=1&t=2"},
      {"rewrite = { query = { set = { 'a&b' = 'c=d' } } }", "/x", nullptr, "/x?a%26b=c%3Dd"},
      {"rewrite = { to = '/y', query = { add = { from = '${path}' } } }", "/x", "z",
       "/y?z&from=%2Fx"},
      {"rewrite = { to = '/y/${query.n}' }", "/x", "n=a%2fb%3Fc", "/y/a%2Fb%3Fc?n=a%2fb%3Fc"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.rule << " " << test.path) {
      const Result result = rewrite(test.rule, test.path, test.query);
      BOOST_TEST((result.kind == Rewritten::kChanged));
      BOOST_TEST(result.target == test.expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(leaves_alone_what_it_does_not_apply_to) {
  const struct {
    const char* rule;
    const char* path;
  } cases[] = {
      {"rewrite = { prefix = '/api/', to = '/' }", "/app/x"},
      {"rewrite = { regex = '^/u/', to = '/' }", "/x/u/"},
      {"rewrite = { to = '/all' }", "*"},
      {"rewrite = { query = { set = { a = '1' } } }", "*"},
      {"rewrite = { host = 'a.example' }", "/x/../y"},
  };
  for (const auto& test : cases) {
    const Result result = rewrite(test.rule, test.path, "a=1");
    BOOST_TEST((result.kind == Rewritten::kUnchanged), test.rule);
  }
}

BOOST_AUTO_TEST_CASE(nothing_climbs_out) {
  const struct {
    const char* rule;
    const char* path;
    const char* query;
  } cases[] = {
      {"rewrite = { to = '/files/${query.f}' }", "/x", "f=.."},
      {"rewrite = { to = '/files/${query.f}/a' }", "/x", "f=%2e%2E"},
      {"rewrite = { to = '/files/${query.f}/a' }", "/x", "f=."},
      {"rewrite = { regex = '^/(.)x(.).*$', to = '/${capture.1}${capture.2}/etc' }", "/.x.", ""},
  };
  for (const auto& test : cases) {
    const Result result = rewrite(test.rule, test.path, test.query);
    BOOST_TEST((result.kind == Rewritten::kInvalid), test.rule << " " << result.target);
  }
  // A slash in a value is not one in the path.
  BOOST_TEST(rewrite("rewrite = { to = '/files/${query.f}' }", "/x", "f=../../etc").target ==
             "/files/..%2F..%2Fetc?f=../../etc");
}

BOOST_AUTO_TEST_CASE(is_bounded) {
  const std::string path = "/" + std::string(kTargetMax / 2, 'a');
  BOOST_TEST((rewrite("rewrite = { to = '${path}${path}${path}' }", path, nullptr).kind ==
              Rewritten::kTooLong));
  BOOST_TEST(
      (rewrite("rewrite = { query = { set = { a = '${path}${path}' } } }", path, nullptr).kind ==
       Rewritten::kTooLong));
}

BOOST_AUTO_TEST_CASE(errors_of_templates_have_a_caret_at_the_octet) {
  const Compiled compiled = compile("pool = \"p\"\nrewrite = { to = \"/a/${hst}\" }");
  BOOST_REQUIRE_EQUAL(compiled.diagnostics.all().size(), 1u);
  const Diagnostic& error = compiled.diagnostics.all()[0];
  BOOST_TEST(error.text == "unknown variable \"hst\"");
  BOOST_TEST(error.hint == "did you mean \"host\"?");
  BOOST_TEST(error.place.line == 5u);
  BOOST_TEST(error.place.column == 24u);
}

BOOST_AUTO_TEST_CASE(plain_rules_have_no_actions) {
  BOOST_TEST(compile("pool = \"p\"").actions.at(0) == nullptr);
  BOOST_TEST(compile("respond = { body = \"no\" }").actions.at(0) == nullptr);
  BOOST_TEST(compile("respond = { body = \"${host}\" }").actions.at(0) != nullptr);
}

BOOST_AUTO_TEST_CASE(drops_fields_in_every_spelling) {
  const Compiled compiled = compile(
      "pool = \"p\"\nrequest_headers = { set = { X-User = 'a' }, add = { x-b = 'c' }, "
      "remove = ['x-debug'] }");
  const HeaderEdits& edits = compiled.actions.at(0)->request_headers;
  for (const char* name : {"x-user", "X_USER", "X-User", "x_debug"}) BOOST_TEST(edits.drops(name));
  for (const char* name : {"x-b", "x-users", "xuser", ""}) BOOST_TEST(!edits.drops(name));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
