// What `shunt check` and `shunt explain` say about small configurations.
#include "app/commands.h"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "app_fixture.h"

namespace shunt::app {
namespace {

using test::ScratchDirectory;

constexpr const char* kFarm = R"([[listener]]
name = "web"
bind = "127.0.0.1:8080"
[[listener]]
name = "admin"
bind = "127.0.0.1:8081"

[[rule]]
name = "images"
match = { host = "*.example.com", extension = "png" }
pool = "images"
[[rule]]
name = "old"
match = { path = "/old" }
redirect = { to = "/new", status = 301 }
[[rule]]
name = "blocked"
match = { source = "203.0.113.0/24" }
respond = { status = 403, body = "no" }
[[rule]]
name = "inside"
listener = "admin"
pool = "pages"

[pool.images]
scheduler = "lblc"
key = "path"
server = [{ name = "i1", address = "10.0.0.1:80", weight = 3 }, { name = "i2", address = "10.0.0.2:80" }]
[pool.pages]
scheduler = "rr"
server = [{ name = "d1", address = "10.0.0.3:80", weight = 1 }]
)";

constexpr const char* kGoodTests = R"(
[[test]]
request = "GET http://a.example.com/x.png"
expect = { rule = "images", pool = "images" }
[[test]]
request = "GET http://h/old"
expect = { rule = "old", status = 301 }
[[test]]
request = "GET http://h/"
source = "203.0.113.5"
expect = { status = 403 }
[[test]]
request = "GET http://h/nothing"
expect = { status = 404 }
[[test]]
request = "GET http://h/x/..;/old"
expect = { status = 400 }
[[test]]
request = "GET http://h:8081/"
expect = { pool = "pages" }
)";

constexpr const char* kBadTests = R"(
[[test]]
request = "GET http://h/a.png"
expect = { rule = "images", pool = "images" }
[[test]]
request = "GET http://h/old"
expect = { status = 302 }
)";

BOOST_AUTO_TEST_SUITE(commands)

BOOST_AUTO_TEST_CASE(check_runs_the_tests_of_a_good_file) {
  const ScratchDirectory scratch;
  const std::string file = scratch.write("farm.toml", std::string(kFarm) + kGoodTests);
  const Outcome outcome = check({.file = file});
  BOOST_TEST((outcome.code == ExitCode::kFine), outcome.err);
  BOOST_TEST(outcome.out ==
             file + " is fine: 2 listeners, 4 rules, 2 pools, 3 servers, 6 tests passed\n");
  BOOST_TEST(outcome.err.empty());
}

BOOST_AUTO_TEST_CASE(check_places_each_test_that_fails) {
  const ScratchDirectory scratch;
  const std::string file = scratch.write("farm.toml", std::string(kFarm) + kBadTests);
  const Outcome outcome = check({.file = file});
  BOOST_TEST((outcome.code == ExitCode::kWrongInput));
  BOOST_TEST(outcome.out.empty());
  for (const char* text : {
           "error: test \"GET http://h/a.png\" failed: expected rule \"images\", got no rule; "
           "expected pool \"images\", got no pool",
           "error: test \"GET http://h/old\" failed: expected status 302, got 301",
           "2 errors, 0 warnings",
       })
    BOOST_TEST(outcome.err.contains(text), outcome.err);
  BOOST_TEST(outcome.err.starts_with(file + ":"));
}

BOOST_AUTO_TEST_CASE(check_says_the_same_in_json) {
  const ScratchDirectory scratch;
  const std::string file = scratch.write("farm.toml", std::string(kFarm) + kBadTests);
  const Outcome outcome = check({.file = file, .json = true});
  BOOST_TEST((outcome.code == ExitCode::kWrongInput));
  BOOST_TEST(outcome.err.empty());
  const auto json = nlohmann::json::parse(outcome.out);
  BOOST_TEST(json["fine"] == false);
  BOOST_TEST(json["errors"] == 2);
  BOOST_TEST(json["tests"]["failed"] == 2);
  BOOST_TEST(json["diagnostics"].size() == 2u);
  BOOST_TEST(json["diagnostics"][0]["file"] == file);
  BOOST_TEST(json["diagnostics"][0]["severity"] == "error");
}

BOOST_AUTO_TEST_CASE(check_says_what_it_could_not_look_at) {
  const ScratchDirectory scratch;
  const std::string file =
      scratch.write("farm.toml", std::string(kFarm) + "wieght = 1\n" + kBadTests);
  const Outcome outcome = check({.file = file});
  BOOST_TEST(outcome.err.contains("1 error, 0 warnings; no [[test]] run, rules not compared"),
             outcome.err);
  BOOST_TEST(nlohmann::json::parse(check({.file = file, .json = true}).out)["complete"] == false);
}

BOOST_AUTO_TEST_CASE(check_of_a_file_that_is_not_there) {
  const Outcome outcome = check({.file = "/nonexistent/farm.toml"});
  BOOST_TEST((outcome.code == ExitCode::kWrongInput));
  BOOST_TEST(outcome.err.contains("/nonexistent/farm.toml"));
}

Outcome explain_farm(const ExplainCommand& command) {
  const ScratchDirectory scratch;
  std::string farm = kFarm;
  farm.replace(farm.find("weight = 1"), 10, "weight = 0");  // Of pool "pages": it has nobody else.
  ExplainCommand with_file = command;
  with_file.file = scratch.write("farm.toml", farm);
  return explain(with_file);
}

// Lines with runs of blanks made one, so that a test says what is shown and not how it is aligned.
std::string squeezed(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' && (out.empty() || out.back() == ' ' || out.back() == '\n')) continue;
    out += c;
  }
  return out;
}

BOOST_AUTO_TEST_CASE(explain_outcomes) {
  struct Case {
    const char* description;
    ExplainCommand command;
    std::vector<const char*> shows;
    std::vector<const char*> hides;
  };
  const std::vector<Case> cases = {
      {"a pool",
       {.url = "http://a.example.com/x.png"},
       {"request GET http://a.example.com/x.png\n", "from 192.0.2.1 at listener web\n",
        "rules yes images", "farm.toml:8", "pool images, type document\n", "key path = /x.png\n",
        "scheduler lblc, ", "servers 1. i", " i1 10.0.0.1:80 weight 3\n",
        " i2 10.0.0.2:80 weight 1\n"},
       {"old", "blocked"}},
      {"every rule before the one that matches",
       {.url = "http://h/old"},
       {"rules no images", "\nyes old", "answer redirect 301 to /new\n"},
       {"blocked", "pool", "scheduler"}},
      {"the source counts",
       {.url = "http://h/", .source = "203.0.113.77"},
       {"no images", "no old", "yes blocked", "answer respond 403"},
       {"inside"}},
      {"no rule", {.url = "http://h/"}, {"no inside", "answer 404: no rule matches\n"}, {"yes"}},
      {"the listener by the port",
       {.url = "http://h:8081/"},
       {"at listener admin", "yes inside", "pool pages", "key none: rr does not look",
        "servers none takes new requests: the answer is 503\n"},
       {}},
      {"the listener by name",
       {.url = "http://h/", .listener = "admin"},
       {"at listener admin", "yes inside"},
       {}},
      {"headers are shown and the path is the rules'",
       {.url = "http://h/x/../old", .headers = {{"Cookie", "a=1"}}},
       {"\nCookie: a=1\n", "rules see the path /old\n", "yes old"},
       {}},
  };
  for (const Case& test : cases) {
    const Outcome outcome = explain_farm(test.command);
    const std::string out = squeezed(outcome.out);
    BOOST_TEST((outcome.code == ExitCode::kFine), test.description << ": " << outcome.err);
    for (const char* text : test.shows)
      BOOST_TEST(out.contains(text), test.description << ": no `" << text << "` in\n" << out);
    for (const char* text : test.hides)
      BOOST_TEST(!out.contains(text), test.description << ": `" << text << "` in\n" << out);
  }
}

BOOST_AUTO_TEST_CASE(explain_knows_whose_a_path_could_be) {
  const ScratchDirectory scratch;
  const std::string farm =
      "[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:8080\"\n"
      "[[listener]]\nname = \"strict\"\nbind = \"127.0.0.1:8081\"\nambiguous_path = \"reject\"\n"
      "[[listener]]\nname = \"lax\"\nbind = \"127.0.0.1:8082\"\nambiguous_path = \"pass\"\n"
      "[[rule]]\nname = \"blocked\"\nmatch = { path_prefix = \"/admin\" }\nrespond = { status = "
      "403 }\n"
      "[[rule]]\nname = \"rest\"\npool = \"p\"\n"
      "[pool.p]\nserver = [ { address = \"10.0.0.1:80\" } ]\n";
  const std::string file = scratch.write("farm.toml", farm);
  const struct {
    const char* url;
    const char* listener;
    const char* answer;
  } cases[] = {
      {"http://h/x/..;/admin/a", "web",
       "answer 400, ambiguous_path: the rules disagree about what the path can be read as; read as "
       "/admin/a, rule \"blocked\" would match\n"},
      {"http://h/group%2Fproject", "web", "pool p"},
      {"http://h/group%2Fproject", "strict",
       "answer 400, ambiguous_path: the path can be read in more than one way\n"},
      {"http://h/x/..;/admin/a", "lax", "pool p"},
      {"http://h/a%00", "web", "answer 400, ambiguous_path: "},
  };
  for (const auto& test : cases) {
    const Outcome outcome = explain({.file = file, .url = test.url, .listener = test.listener});
    BOOST_TEST(squeezed(outcome.out).contains(test.answer), outcome.out);
  }
}

BOOST_AUTO_TEST_CASE(explain_knows_where_a_client_belongs) {
  const ScratchDirectory scratch;
  // As `printf 'p\0two' | openssl dgst -sha256 -hmac 0123456789abcdef` has it, the first half.
  const std::string token = "c07d78795570b3fcbb1f8a0d07d45e9a";
  const struct {
    const char* sticky;
    std::string cookie;
    std::string shows;
  } cases[] = {
      {"cookie = \"S\", secret = \"0123456789abcdef\"", "",
       "sticky by cookie S: the request has none, the answer will set it\n"},
      {"cookie = \"S\", secret = \"0123456789abcdef\"", "S=" + token,
       "sticky by cookie S: it leads to two\nrequest x-server: two\n"},
      {"cookie = \"S\", secret = \"0123456789abcdef\"", "S=x; S=" + token,
       "sticky by cookie S: it leads to two\n"},
      {"cookie = \"S\", secret = \"0123456789abcdef\"", "S=10.0.0.1",
       "sticky by cookie S: it leads to no server of this pool\nrequest x-server: one\n"},
      {"cookie = \"S\", mode = \"prefix\", secret = \"0123456789abcdef\"", "S=" + token + "~abc",
       "sticky by cookie S: it leads to two\n"},
      {"cookie = \"S\"", "S=" + token, "sticky by cookie S: only the Shunt that made it can tell"},
      {"cookie = \"S\", mode = \"learn\"", "S=a",
       "sticky by cookie S: to the server that set this value"},
      {"key = \"cookie:S\", ttl = \"10m\"", "S=ann",
       "sticky by cookie:S = ann: to the server that it went to in the last 10m\n"},
      {"key = \"cookie:S\"", "", "sticky by cookie:S: the request has none\n"},
  };
  for (const auto& test : cases) {
    const std::string file = scratch.write(
        "farm.toml",
        std::string("[[listener]]\nbind = \"127.0.0.1:8080\"\n[[rule]]\npool = \"p\"\n"
                    "request_headers = { set = { x-server = \"${server.name}\" } }\n"
                    "[pool.p]\nscheduler = \"fo\"\n"
                    "server = [ { name = \"one\", address = \"10.0.0.1:80\", weight = 2 }, "
                    "{ name = \"two\", address = \"10.0.0.2:80\" } ]\nsticky = { ") +
            test.sticky + " }\n");
    ExplainCommand command{.file = file, .url = "http://h/"};
    if (!test.cookie.empty()) command.headers = {{"Cookie", test.cookie}};
    const Outcome outcome = explain(command);
    BOOST_TEST(squeezed(outcome.out).contains(test.shows), test.sticky << "\n" << outcome.out);
  }
}

BOOST_AUTO_TEST_CASE(explain_refuses) {
  struct Case {
    ExplainCommand command;
    const char* says;
  };
  const std::vector<Case> cases = {
      {{.url = "/path"}, "not an absolute URL"},
      {{.url = "http://h/", .source = "here"}, "source"},
      {{.url = "http://h/", .listener = "wbe"}, "no listener \"wbe\""},
  };
  for (const Case& test : cases) {
    const Outcome outcome = explain_farm(test.command);
    BOOST_TEST((outcome.code == ExitCode::kWrongInput));
    BOOST_TEST(outcome.err.contains(test.says), outcome.err);
    BOOST_TEST(outcome.out.empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
