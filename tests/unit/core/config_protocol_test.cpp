// What connections without HTTP can have: the errors of rules, pools and listeners that ask for
// more, which listeners a rule is for, and when the name of a TLS client is waited for.
#include "core/config_protocol.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "core/config_load.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

const std::string kWeb(kListenerText);
const std::string kTcp =
    "[[listener]]\nname = \"db\"\nbind = \"127.0.0.1:5432\"\nprotocol = \"tcp\"\n";
const std::string kPool(kPoolText);

BOOST_AUTO_TEST_SUITE(config_protocol)

BOOST_AUTO_TEST_CASE(what_needs_http_is_refused_with_a_way_out) {
  const struct {
    std::string text;
    const char* place;  // "line:column".
    const char* message;
    const char* hint;
  } cases[] = {
      {kTcp + "keep_alive_timeout = \"1s\"\n" + kPool, "5:22",
       "\"keep_alive_timeout\" needs HTTP, and this listener has protocol = \"tcp\"",
       "leave it out"},
      {kTcp + "tls = { certificate = \"a.pem\" }\n" + kPool, "5:7", "does not end TLS", "sni ="},
      {kTcp + kWeb + kPool +
           "[[rule]]\nlistener = [\"web\", \"db\"]\nmatch = { path = \"/\" }\npool = \"pages\"\n",
       "12:18", "\"path\" needs HTTP, and listener \"db\" has protocol = \"tcp\"",
       "leave \"db\" out"},
      {kTcp + kWeb + kPool +
           "[[rule]]\nlistener = \"db\"\nmatch = { any = [ { sni = \"a\" }, { not = { method = "
           "\"GET\" } } ] }\npool = \"pages\"\n",
       "12:53", "\"method\" needs HTTP", "sni, source and listener"},
      {kTcp + kWeb + kPool + "[[rule]]\nlistener = \"db\"\nredirect = { to = \"/\" }\n", "12:12",
       "\"redirect\" needs HTTP", "choose a pool"},
      {kTcp + kWeb + kPool + "[[rule]]\nrespond = { status = 403 }\n", "11:11",
       "\"respond\" needs HTTP, but this rule gets the connections of listener \"db\" too",
       "add listener = [\"web\"]"},
      {kTcp + kWeb + kPool +
           "[[rule]]\npool = \"pages\"\nresponse_timeout = \"1s\"\nmatch = { sni = \"a\" }\n",
       "12:20", "\"response_timeout\" needs HTTP", "add listener = [\"web\"]"},
      {kTcp + kPool + "[[rule]]\npool = \"pages\"\nrate_limit = { rate = \"1/s\" }\n", "9:14",
       "\"rate_limit\" needs HTTP, and no listener has it", "leave \"rate_limit\" out"},
      {kTcp + kWeb + kPool +
           "[[rule]]\nlistener = \"db\"\npool = \"pages\"\nrequest_timeout = \"1s\"\n",
       "13:19", "\"request_timeout\" needs HTTP, and listener \"db\"", "leave \"db\" out"},
      {kTcp + "request_id_header = \"x-request-id\"\n" + kPool, "5:21",
       "\"request_id_header\" needs HTTP", "leave it out"},
      {kTcp + kPool + "[[rule]]\nmatch = { host = \"a\" }\npool = \"pages\"\n", "8:18",
       "\"host\" needs HTTP, and no listener has it", "remove protocol = \"tcp\""},
      {kTcp + kPool + "[[rule]]\nsplit = { pages = 1 }\nsplit_key = \"path\"\n", "9:13",
       "\"split_key\" needs HTTP", "leave \"split_key\" out"},
      {kTcp + "[pool.pages]\nkey = \"cookie:a\"\nserver = [ { address = \"10.0.0.1:80\" } ]\n",
       "6:7", "this key needs HTTP, and rule \"default\" sends connections of listener \"db\" here",
       "\"host\": the name asked for"},
  };
  for (const auto& each : cases) {
    BOOST_TEST_CONTEXT(each.text) {
      const Loaded loaded = load(each.text);
      BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().size() == 1, loaded.diagnostics.to_string());
      const Diagnostic& problem = loaded.diagnostics.all()[0];
      BOOST_TEST(std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column) ==
                 each.place);
      BOOST_TEST(problem.text.find(each.message) != std::string::npos, problem.text);
      BOOST_TEST(problem.hint.find(each.hint) != std::string::npos, problem.hint);
    }
  }
}

BOOST_AUTO_TEST_CASE(rules_are_for_the_listeners_that_can_have_them) {
  const struct {
    const char* rule;
    std::vector<uint32_t> listeners;  // 0: tcp, 1: http; none: both.
  } cases[] = {
      {"pool = \"pages\"\n", {}},
      {"pool = \"pages\"\nmatch = { source = \"10.0.0.0/8\", sni = \"a\" }\n", {}},
      {"pool = \"pages\"\nconnect_timeout = \"1s\"\nretries = 1\n", {}},
      {"split = { pages = 1 }\nsplit_key = \"source\"\n", {}},
      {"pool = \"pages\"\nmatch = { path = \"/\" }\n", {1}},
      {"pool = \"pages\"\nmatch = { not = { host = \"a\" } }\n", {1}},
      {"redirect = { to = \"/b\" }\nmatch = { path = \"/a\" }\n", {1}},
      {"listener = \"web\"\nrespond = { status = 403 }\n", {1}},
      {"listener = \"db\"\npool = \"pages\"\n", {0}},
  };
  for (const auto& each : cases) {
    BOOST_TEST_CONTEXT(each.rule) {
      const Loaded loaded = load(kTcp + kWeb + kPool + "[[rule]]\n" + each.rule);
      BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
      BOOST_TEST((loaded.config.rules[0].listener == each.listeners));
    }
  }
}

BOOST_AUTO_TEST_CASE(names_are_waited_for_only_where_they_decide) {
  const struct {
    const char* text;
    bool wanted;
  } cases[] = {
      {"pool = \"pages\"\n", false},
      {"pool = \"pages\"\nmatch = { source = \"10.0.0.0/8\" }\n", false},
      {"pool = \"pages\"\nmatch = { sni = \"a\" }\n", true},
      {"pool = \"pages\"\nmatch = { not = { sni = \"a\" } }\n", true},
      {"pool = \"pages\"\nmatch = { any = [ { source = \"10.0.0.0/8\" }, { sni = \"a\" } ] }\n",
       true},
      {"listener = \"web\"\npool = \"pages\"\nmatch = { sni = \"a\" }\n", false},
      {"pool = \"pages\"\nmatch = { sni = \"a\", listener = \"web\" }\n", false},
      {"pool = \"pages\"\nmatch = { sni = \"a\", path = \"/\" }\n", false},
      {"split = { pages = 1 }\nsplit_key = \"host\"\n", true},
      {"pool = \"named\"\n[pool.named]\nkey = \"host\"\n"
       "server = [ { address = \"10.0.0.1:80\" } ]\n",
       true},
  };
  for (const auto& each : cases) {
    BOOST_TEST_CONTEXT(each.text) {
      const Loaded loaded = load(kTcp + kWeb + kPool + "[[rule]]\n" + each.text);
      BOOST_REQUIRE_MESSAGE(!loaded.diagnostics.has_errors(), loaded.diagnostics.to_string());
      BOOST_TEST(wants_name(loaded.config, 0) == each.wanted);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
