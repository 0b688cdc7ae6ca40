// What is allowed and hardly meant: each doubt with what raises it, and what does not.
#include "core/config_doubts.h"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "config_fixture.h"

namespace shunt::config {
namespace {

std::string doubts(std::string_view text) {
  Loaded loaded = load(text);
  BOOST_REQUIRE_MESSAGE(!loaded.diagnostics.has_errors(), loaded.diagnostics.to_string());
  warn_of_doubts(loaded.config, loaded.diagnostics);
  std::string result;
  for (const Diagnostic& one : loaded.diagnostics.all())
    result += fmt::format("{}: {} ({})\n", one.place.line, one.text, one.hint);
  return result;
}

BOOST_AUTO_TEST_CASE(doubts_and_what_raises_them) {
  const std::string listener = "[[listener]]\nbind = ['0.0.0.0:80', '[::]:80', '10.0.0.9:81']\n";
  const std::string pages = "[pool.pages]\nserver = [{ address = '10.0.0.1:80' }]\n";
  const struct {
    const char* description;
    std::string text;
    const char* expected;
  } table[] = {
      {"nothing", listener + pages, ""},
      {"a pool that nothing leads to",
       listener + "[[rule]]\npool = 'pages'\n" + pages +
           "[pool.spare]\nserver = [{ address = '10.0.0.2:80' }]\n",
       "7: no rule leads to pool \"spare\" (add [[rule]] with pool = \"spare\")\n"},
      {"pools of a split and a mirror are used",
       listener + "[[rule]]\nsplit = { a = 1, b = 1 }\nmirror = 'c'\n[pool.a]\nserver = [{ address "
                  "= '10.0.0.1:80' }]\n"
                  "[pool.b]\nserver = [{ address = '10.0.0.1:80' }]\n[pool.c]\nserver = [{ address "
                  "= '10.0.0.1:80' }]\n",
       ""},
      {"all weights 0",
       listener + "[pool.pages]\nserver = [{ address = '10.0.0.1:80', weight = 0 }]\n",
       "3: every server of pool \"pages\" has weight 0, so none gets a request ()\n"},
      {"one weight 0 is a server that is quiesced",
       listener + "[pool.pages]\nserver = [{ address = '10.0.0.2:80' }, { address = '10.0.0.1:80', "
                  "weight = 0 }]\n",
       ""},
      {"our own listener, by its address",
       listener + "[pool.pages]\nserver = [{ name = 's', address = '10.0.0.9:81' }]\n",
       "4: server \"s\" is our own listener \"0.0.0.0:80\": requests would go round ()\n"},
      {"our own listener, by loopback",
       listener +
           "[pool.pages]\nserver = [{ name = 's', address = '127.0.0.2:80' },\n"
           "{ name = 't', address = '[::1]:80' }, { name = 'u', address = '127.0.0.1:81' }]\n",
       "4: server \"s\" is our own listener \"0.0.0.0:80\": requests would go round ()\n"
       "5: server \"t\" is our own listener \"0.0.0.0:80\": requests would go round ()\n"},
      {"a method that nobody sends, at any depth",
       listener +
           "[[rule]]\nmatch = { method = ['GTE', 'QUERY'], not = { method = 'FROB' } }\n"
           "pool = 'pages'\n" +
           pages,
       "4: \"GTE\" is no method that is registered (did you mean \"GET\"?)\n"
       "4: \"FROB\" is no method that is registered ()\n"},
      {"an admin endpoint that others may reach",
       "[global]\nadmin = '10.0.0.9:9090'\n" + listener + pages,
       "2: the admin endpoint asks nobody for a password: whoever reaches this address sees "
       "clients' addresses and, with `shunt ctl pcap`, what they send (admin = "
       "\"127.0.0.1:9090\" or \"unix:/run/shunt.sock\")\n"},
      {"admin endpoints that only this machine reaches",
       "[global]\nadmin = '[::1]:9090'\n" + listener + pages, ""},
      {"or only who may open a file", "[global]\nadmin = 'unix:/run/x'\n" + listener + pages, ""},
  };
  for (const auto& test : table) {
    BOOST_TEST_CONTEXT(test.description) {
      BOOST_TEST(doubts(test.text) == test.expected);
    }
  }
}

}  // namespace
}  // namespace shunt::config
