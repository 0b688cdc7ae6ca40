// What is refused: each case has exactly one problem, and its place, text and hint are those of
// that problem alone.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "core/config_load.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

struct Case {
  const char* text;   // Stands behind a prefix; line 1 is its first.
  const char* place;  // "line:column" within `text`.
  const char* message;
  const char* hint = "";
};

void check(std::string_view prefix, const Case& one) {
  BOOST_TEST_CONTEXT(one.text) {
    const Loaded loaded = load(std::string(prefix) + one.text);
    BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().size() == 1, loaded.diagnostics.to_string());
    const Diagnostic& problem = loaded.diagnostics.all()[0];
    const auto lines = static_cast<uint32_t>(std::ranges::count(prefix, '\n'));
    BOOST_TEST(fmt::format("{}:{}", problem.place.line - lines, problem.place.column) == one.place);
    BOOST_TEST(problem.text.find(one.message) != std::string::npos, problem.text);
    BOOST_TEST(problem.hint.find(one.hint) != std::string::npos, problem.hint);
    BOOST_TEST(problem.hint.empty() == std::string_view(one.hint).empty(), problem.hint);
  }
}

const std::string kFarm = std::string(kListenerText) + std::string(kPoolText);
// Behind this, keys of a pool that has a server follow.
const std::string kInPool = kFarm;

BOOST_AUTO_TEST_SUITE(config_errors)

BOOST_AUTO_TEST_CASE(top_level_and_global) {
  const Case cases[] = {
      {"[globl]\nworkers = 1\n", "1:2", "unknown key \"globl\" in the top level", "\"global\""},
      {"[[listner]]\n", "1:3", "unknown key \"listner\"", "\"listener\""},
      {"[xyz]\n", "1:2", "unknown key \"xyz\"", "keys: include, global"},
      {"[global]\nthreads = 2\n", "2:1", "unknown key \"threads\"", "\"workers\""},
      {"[global]\ninclude = \"a\"\n", "2:1", "unknown key \"include\"", "top of the file"},
      {"[[global]]\nworkers = 1\n", "1:1", "\"global\" must be a table, not an array", "[global]"},
      {"[rule]\npool = \"pages\"\n", "1:1", "\"rule\" must be an array of tables", "[[rule]]"},
      {"[global]\nworker = 1\n", "2:1", "unknown key \"worker\" in [global]", "\"workers\""},
      {"[global]\nworkers = \"2\"\n", "2:11", "\"workers\" must be an integer, not a string",
       "without quotes"},
      {"[global]\nworkers = 2.0\n", "2:11", "must be an integer, not a float"},
      {"[global]\nworkers = -1\n", "2:11", "\"workers\" must be 0 to 1024, not -1"},
      {"[global]\nworkers = 1025\n", "2:11", "must be 0 to 1024, not 1025"},
      {"[global]\nlayer4_connections = 999\n", "2:22", "must be 1000 to 100000000, not 999"},
      {"[global]\nlayer4_new_connections = -1\n", "2:26", "must be 0 to 100000000, not -1"},
      {"[global]\nlayer4_new_connections = 100000001\n", "2:26", "must be 0 to 100000000"},
      {"[global]\ncpu_affinity = 1\n", "2:16", "must be an array of CPU numbers, not an integer"},
      {"[global]\ncpu_affinity = [0, 1024]\n", "2:20", "must be 0 to 1023, not 1024"},
      {"[global]\ncpu_affinity = [\"a\"]\n", "2:17", "must hold CPU numbers, not a string"},
      {"[global]\nuser = 0\n", "2:8", "\"user\" must be a string, not an integer"},
      {"[global]\naccess_log = \"\"\n", "2:14", "\"access_log\" must not be empty"},
      {"[global]\naccess_log_format = \"jsno\"\n", "2:21", "must be \"json\" or \"combined\"",
       "\"json\""},
      {"[global]\nevent_loop = 1979-05-27\n", "2:14", "must be a string, not a date"},
      {"[global]\nadmin = \"9090\"\n", "2:9", "9090"},
      {"[global]\ndrain_timeout = 30\n", "2:17", "must be a duration in a string, not an integer",
       "unit"},
      {"[global]\ndrain_timeout = \"30\"\n", "2:17", "is not a duration"},
      {"[global]\ndrain_timeout = \"2d\"\n", "2:17", "must be 0s to 1d, not 2d"},
  };
  for (const Case& one : cases) check(kFarm, one);
}

BOOST_AUTO_TEST_CASE(what_is_missing_altogether) {
  const Case cases[] = {
      {"[[pool.p.server]]\naddress = \"10.0.0.1:80\"\n", "1:1", "there is no listener",
       "[[listener]]"},
      {"[[listener]]\nbind = \"127.0.0.1:80\"\n", "1:1", "there is no pool",
       "[[pool.NAME.server]]"},
      {"[[listener]]\nbind = \"127.0.0.1:80\"\n[pool.a]\nserver = [{ address = \"10.0.0.1:80\" }]\n"
       "[pool.b]\nserver = [{ address = \"10.0.0.1:80\" }]\n",
       "1:1", "there are 2 pools and no rule", "[[rule]]"},
  };
  for (const Case& one : cases) check("", one);
  BOOST_TEST(load("").diagnostics.error_count() == 2u);
}

BOOST_AUTO_TEST_CASE(listeners) {
  const Case cases[] = {
      {"[[listener]]\nname = \"x\"\n", "1:1", "a listener needs \"bind\"", "0.0.0.0:80"},
      {"[[listener]]\nname = \"x\"\nbind = []\n", "3:8", "\"bind\" must not be an empty array"},
      {"[[listener]]\nname = \"x\"\nbind = 80\n", "3:8",
       "\"bind\" must be a string or an array of strings, not an integer"},
      {"[[listener]]\nname = \"x\"\nbind = [\"127.0.0.1:1\", \"nowhere\"]\n", "3:24",
       "has no port"},
      {"[[listener]]\nname = \"x\"\nbind = \":8080\"\n", "3:8", "does not begin with an IP",
       "0.0.0.0:8080"},
      {"[[listener]]\nname = \"x\"\nbind = \"*:8080\"\n", "3:8", "does not begin with an IP",
       "0.0.0.0:8080"},
      {"[[listener]]\nname = \"x\"\nbind = \"localhost:80\"\n", "3:8", "does not begin with",
       "write the IP address"},
      {"[[listener]]\nname = \"x\"\nbind = \"127.0.0.1:81\"\nlisten = 1\n", "4:1",
       "unknown key \"listen\"", "\"bind\""},
      {"[[listener]]\nname = \"x\"\nbind = \"127.0.0.1:80\"\n", "3:8",
       "127.0.0.1:80 is bound twice, first at test.toml:3"},
      {"[[listener]]\nbind = \"127.0.0.1:80\"\n", "2:8", "127.0.0.1:80 is bound twice"},
      {"[[listener]]\nname = \"x\"\nbind = [\"[::1]:80\", \"[0::1]:80\"]\n", "3:21", "bound twice"},
      {"[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:81\"\n", "1:1",
       "listener \"web\" is given twice, first at test.toml:1"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nprotocol = \"htpp\"\n", "3:12",
       "\"protocol\" must be \"http\" or \"tcp\", not \"htpp\"", "\"http\""},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nproxy_protocol = true\n", "3:18",
       "needs \"proxy_protocol_from\"", "the addresses of the proxies"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nproxy_protocol_from = \"10.0.0.0/8\"\n", "3:23",
       "needs \"proxy_protocol\" = true"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nproxy_protocol = true\n"
       "proxy_protocol_from = \"10.0.0.1/8\"\n",
       "4:23", "bits set after its prefix"},
      {"[[listener]]\nbind = \"unix:@x\"\nunix_mode = \"888\"\n", "3:13", "must be an octal mode"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nproxy_protocol = \"no\"\n", "3:18",
       "must be true or false, not a string", "without quotes"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nheader_timeout = \"0s\"\n", "3:18",
       "must be 1ms to 1d, not 0s"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nheader_max = 4096\n", "3:14",
       "must be a size in a string, not an integer", "64KiB"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nheader_max = \"65KiB\"\n", "3:14",
       "must be 1KiB to 64KiB, not 65KiB"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nheader_max = \"4k\"\n", "3:14", "is not a size"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nrequest_id_header = \"a b\"\n", "3:21",
       "\"a b\" is not a header name", "x-request-id"},
      {"[[listener]]\nbind = \"127.0.0.1:81\"\nrequest_line_max = \"33KiB\"\n", "3:20",
       "must not be larger than \"header_max\""},
  };
  for (const Case& one : cases) check(kFarm, one);
}

BOOST_AUTO_TEST_CASE(pools) {
  const Case cases[] = {
      {"schedular = \"wlc\"\n", "1:1", "unknown key \"schedular\" in pool \"pages\"",
       "\"scheduler\""},
      {"balance = \"rr\"\n", "1:1", "unknown key \"balance\"", "\"scheduler\""},
      {"timeout = \"1s\"\n", "1:1", "unknown key \"timeout\"", "connect_timeout, response_timeout"},
      {"scheduler = \"lbclr\"\n", "1:13", "unknown scheduler \"lbclr\"", "\"lblcr\""},
      {"scheduler = \"fastest\"\n", "1:13", "unknown scheduler \"fastest\"", "rr wrr lc"},
      {"scheduler = \"ewma\"\n", "1:13", "scheduler \"ewma\" is not available"},
      {"scheduler_flags = [\"sh-prot\"]\n", "1:20", "unknown scheduler flag", "\"sh-port\""},
      {"scheduler_flags = \"mh-port\"\n", "1:19", "is a flag of scheduler \"mh\", not of \"wlc\""},
      {"type = \"imgae\"\n", "1:8", "unknown pool type \"imgae\"", "\"image\""},
      {"type = \"video\"\n", "1:8", "unknown pool type \"video\"", "document, image"},
      {"key = \"pth\"\n", "1:7", "\"pth\" is not a locality key", "\"path\""},
      {"key = \"header\"\n", "1:7", "\"header\" is not a locality key", "header:NAME"},
      {"host_header = \"passs\"\n", "1:15", "\"host_header\" must be", "\"pass\""},
      {"host_header = {}\n", "1:15", "\"host_header\" needs \"set\""},
      {"host_header = { set = \"a b\" }\n", "1:23", "holds no space or control"},
      {"host_header = { sett = \"a\", set = \"b\" }\n", "1:17", "unknown key \"sett\"", "\"set\""},
      {"forwarded = 1\n", "1:13", "must be true or false, not an integer"},
      {"retries = 17\n", "1:11", "must be 0 to 16, not 17"},
      {"idle_age = \"31d\"\n", "1:12", "must be 1ms to 30d, not 31d"},
      {"balance_factor = 1.25\n", "1:1", "\"balance_factor\" in pool \"pages\" is not available"},
      {"spill = \"x\"\n", "1:1", "not available"},
      {"health = {}\n", "1:1", "not available"},
      {"feedback = {}\n", "1:1", "not available"},
      {"[[rule]]\npool = \"pages\"\n[pool.empty]\nretries = 1\n", "3:1",
       "pool \"empty\" has no server", "[[pool.empty.server]]"},
      {"[[rule]]\npool = \"pages\"\n[pool]\nx = 1\n", "4:5", "pool \"x\" must be a table",
       "[pool.NAME]"},
  };
  for (const Case& one : cases) check(kInPool, one);
  check(kListenerText, {"[[pool]]\nname = \"x\"\n[[rule]]\nrespond = {}\n", "1:1",
                        "\"pool\" must be a table, not an array", "[pool.NAME]"});
}

BOOST_AUTO_TEST_CASE(load_and_failures) {
  const Case cases[] = {
      {"queue = { size = 65537 }", "1:18", "must be 0 to 65536"},
      {"queue = { timeout = \"0s\" }", "1:21", "must be 1ms to 1d"},
      {"queue = 5", "1:9", "\"queue\" must be a table, not an integer"},
      {"retry_on = []", "1:12", "must not be an empty array"},
      {"retry_on = [\"connect\", \"timout\"]", "1:24", "\"timout\" is nothing to retry on",
       "\"timeout\""},
      {"retry_on = \"600\"", "1:12", "nothing to retry on", "from \"400\" to \"599\""},
      {"retry_on = \"200\"", "1:12", "nothing to retry on", "from \"400\" to \"599\""},
      {"retry_budget = { share = 1.5 }", "1:26", "\"share\" must be 0 to 1, not 1.5"},
      {"retry_budget = { share = nan }", "1:26", "\"share\" must be 0 to 1, not nan"},
      {"retry_budget = { share = \"0.5\" }", "1:26", "must be a number, not a string",
       "without quotes"},
      {"ejection = { failures = -1 }", "1:25", "must be 0 to 65535"},
      {"ejection = { share = 0.5 }", "1:14", "unknown key \"share\" in ejection", "keys: failures"},
  };
  for (const Case& one : cases) check(kInPool, one);
}

BOOST_AUTO_TEST_CASE(stickiness) {
  const Case cases[] = {
      {"sticky = {}", "1:10", "\"sticky\" needs \"cookie\" or \"key\"", "cookie = \"SHUNT\""},
      {"sticky = true", "1:10", "must be a table, not a boolean"},
      {"sticky = { cookie = \"S\", key = \"source\" }", "1:32", "goes by \"cookie\" or by \"key\"",
       "leave one"},
      {"sticky = { cookie = \"a b\" }", "1:21", "\"a b\" is not a cookie name"},
      {"sticky = { cookie = \"S\", mode = \"rewrite\" }", "1:33",
       "must be \"insert\", \"prefix\" or \"learn\""},
      {"sticky = { cookie = \"S\", ttl = \"500ms\" }", "1:32", "must be 1s to 400d"},
      {"sticky = { cookie = \"S\", secret = \"short\" }", "1:35", "16 characters or more",
       "openssl"},
      {"sticky = { cookie = \"S\", path = \"a\" }", "1:33", "must begin with \"/\""},
      {"sticky = { cookie = \"S\", path = \"/;x\" }", "1:33", "hold no \";\""},
      {"sticky = { cookie = \"S\", domain = \"a b\" }", "1:35", "not a host name"},
      {"sticky = { cookie = \"S\", secure = false, same_site = \"none\" }", "1:54",
       "browsers refuse"},
      {"sticky = { cookie = \"S\", entries = 5 }", "1:36", "means nothing with mode = \"insert\""},
      {"sticky = { cookie = \"S\", mode = \"prefix\", ttl = \"1h\" }", "1:49", "means nothing"},
      {"sticky = { cookie = \"S\", mode = \"learn\", path = \"/\" }", "1:49", "means nothing"},
      {"sticky = { key = \"source\", mode = \"learn\" }", "1:35", "means nothing with \"key\""},
      {"sticky = { key = \"source\", entries = 0 }", "1:38", "must be 1 to 10000000"},
      {"sticky = { key = \"sorce\" }", "1:18", "not a locality key", "\"source\""},
      {"sticky = { kookie = \"S\", key = \"source\" }", "1:12", "unknown key", "\"cookie\""},
  };
  for (const Case& one : cases) check(kInPool, one);
}

BOOST_AUTO_TEST_CASE(resolver) {
  const Case cases[] = {
      {"nameserver = \"10.0.0.1\"\n", "1:1", "unknown key \"nameserver\"", "\"nameservers\""},
      {"nameservers = \"ns.local\"\n", "1:15", "\"ns.local\" is not \"IP\" or \"IP:PORT\""},
      {"nameservers = [\"10.0.0.1\", \"10.0.0.1:0\"]\n", "1:28", "of a nameserver"},
      {"attempts = 0\n", "1:12", "must be 1 to 10, not 0"},
      {"ttl_min = \"2h\"\n", "1:11", "must not be longer than \"ttl_max\""},
      {"retry_min = \"1m\"\n", "1:13", "must not be longer than \"retry_max\""},
      {"start_wait = \"2m\"\n", "1:14", "must be 0s to 1m, not 2m"},
  };
  for (const Case& one : cases) check(kFarm + "[resolver]\n", one);
}

BOOST_AUTO_TEST_CASE(servers) {
  const std::string prefix = std::string(kListenerText) +
                             "[[pool.p.server]]\nname = \"a\"\naddress = \"10.0.0.1:80\"\n"
                             "[[pool.p.server]]\n";
  const Case cases[] = {
      {"name = \"b\"\n", "0:1", "a server needs \"address\"", "10.0.0.11:8080"},
      {"address = 80\n", "1:11", "\"address\" must be a string, not an integer"},
      {"address = \"10.0.0.2\"\n", "1:11", "has no port"},
      {"address = \"10.0.0.2:0\"\n", "1:11", "port must be 1 to 65535"},
      {"address = \"web.local:80\"\n", "1:11", "does not begin with an IP address",
       "\"dns:web.local:80\""},
      {"address = \"unix:run/x\"\n", "1:11", "path starts with \"/\", \"run/x\" does not"},
      {"address = \"10.0.0.2:80\"\naddr = 1\n", "2:1", "unknown key \"addr\"", "\"address\""},
      {"address = \"dns:web\"\n", "1:11", "has no port"},
      {"address = \"dns:web:0\"\n", "1:11", "port must be 1 to 65535, not \"0\""},
      {"address = \"dns:10.0.0.1:80\"\n", "1:11", "is an address, not a name"},
      {"address = \"dns:web..local:80\"\n", "1:11", "\"web..local\" is not a host name"},
      {"address = \"srv:_http._tcp.web:80\"\n", "1:11", "the ports are in the SRV records"},
      {"address = \"10.0.0.2:80\"\nfamily = \"ipv4\"\n", "2:10", "is for addresses by name"},
      {"address = \"dns:web:80\"\nfamily = \"inet\"\n", "2:10", "\"any\", \"ipv4\" or \"ipv6\""},
      {"address = \"dns:web:80\"\nname = \"b\"\n[[pool.p.server]]\nname = \"b/1\"\n"
       "address = \"10.0.0.2:80\"\n",
       "3:1", "names that begin with \"b/\" are for the servers that dns:web:80 leads to"},
      {"name = \"a\"\naddress = \"10.0.0.2:80\"\n", "0:1", "server \"a\" is given twice"},
      {"name = \"b\"\naddress = \"10.0.0.1:80\"\n", "0:1", "10.0.0.1:80 is in pool \"p\" twice"},
      {"address = \"10.0.0.2:80\"\nweight = 65536\n", "2:10", "must be 0 to 65535, not 65536"},
      {"address = \"10.0.0.2:80\"\nweight = -1\n", "2:10", "must be 0 to 65535, not -1"},
      {"address = \"10.0.0.2:80\"\nupper = 2\nlower = 3\n", "3:9", "must not be larger"},
      {"address = \"10.0.0.2:80\"\nwieght = 1\n", "2:1", "unknown key \"wieght\" in a server of",
       "\"weight\""},
      {"address = \"10.0.0.2:80\"\ntls = true\n", "2:7", "must be a table, not a boolean"},
      {"address = \"10.0.0.2:80\"\ntls = { key = \"a\" }\n", "2:15", "needs \"certificate\""},
      {"address = \"10.0.0.2:80\"\ntls = { name = \"a:1\" }\n", "2:16", "is not a host name"},
      {"address = \"10.0.0.2:80\"\ntls = { ca = \"a\", verify = false }\n", "2:28", "useless"},
      {"address = \"unix:/s\"\ntls = {}\n", "2:7", "needs \"name\""},
      {"address = \"10.0.0.2:80\"\nmax_connections = -1\n", "2:19", "must be 0 to 4294967295"},
      {"address = \"10.0.0.2:80\"\nslow_start = \"2d\"\n", "2:14", "must be 0s to 1d, not 2d"},
      {"address = \"10.0.0.2:80\"\nbreaker = { request = 1 }\n", "2:13",
       "unknown key \"request\" in breaker", "\"requests\""},
  };
  for (const Case& one : cases) check(prefix, one);
  check(kListenerText, {"[pool.p]\nserver = { address = \"10.0.0.1:80\" }\n", "2:10",
                        "\"server\" must be an array of tables, not a table", "[[pool.p.server]]"});
  check(kListenerText,
        {"[pool.p]\nserver = [ { address = \"10.0.0.1:80\" }, \"10.0.0.2:80\" ]\n", "2:41",
         "must be an array of tables, not a string", "server = [{ address = "});
  check(kListenerText, {"[pool.p]\nserver = \"10.0.0.2:80\"\n", "2:10",
                        "must be an array of tables, not a string", "server = [{ address = "});
}

BOOST_AUTO_TEST_CASE(rules) {
  const Case cases[] = {
      {"[[rule]]\nname = \"x\"\n", "1:1", "a rule needs an action", "redirect"},
      {"[[rule]]\npool = \"pages\"\nrespond = {}\n", "1:1", "a rule has one action"},
      {"[[rule]]\npool = \"pagse\"\n", "2:8", "unknown pool \"pagse\"", "\"pages\""},
      {"[[rule]]\npool = \"backend\"\n", "2:8", "unknown pool \"backend\"", "pools: \"pages\""},
      {"[[rule]]\npool = \"pages\"\nlistener = \"nope\"\n", "3:12", "unknown listener \"nope\"",
       "listeners: \"web\""},
      {"[[rule]]\ndeny = true\nrespond = {}\n", "2:1", "unknown key \"deny\"", "\"respond\""},
      {"[[rule]]\nredirect = \"/x\"\n", "2:12", "must be a table, not a string", "{ to = \"/new\""},
      {"[[rule]]\npool = \"pages\"\nlistener = \"wbe\"\n", "3:12", "unknown listener \"wbe\"",
       "\"web\""},
      {"[[rule]]\npool = \"pages\"\nlistener = []\n", "3:12", "must not be an empty array"},
      {"[[rule]]\npool = \"pages\"\nnmae = \"x\"\n", "3:1", "unknown key \"nmae\" in a rule",
       "\"name\""},
      {"[[rule]]\nname = \"a\"\npool = \"pages\"\n[[rule]]\nname = \"a\"\npool = \"pages\"\n",
       "4:1", "rule \"a\" is given twice, first at test.toml:6"},
      {"[[rule]]\nsplit = { page = 1 }\n", "2:11", "unknown pool \"page\"", "\"pages\""},
      {"[[rule]]\npool = \"pages\"\nrequest_headers = {}\n", "3:19", "changes nothing",
       "give set, add or remove"},
      {"[[rule]]\nredirect = { to = \"new\" }\n", "2:19", "neither a path nor an absolute URI",
       "\"/new\""},
      {"[[rule]]\nredirect = { to = \"/a$uri\" }\n", "2:19", "a variable is written ${…}", "$$"},
      {"[[rule]]\nmatch = { path = [\"/b\", \"/a\"] }\nredirect = { to = \"/a\" }\n", "3:19",
       "redirects a path to itself"},
      {"[[rule]]\nredirect = {}\n", "2:12", "a redirect needs \"to\"", "/new"},
      {"[[rule]]\nredirect = { to = \"/a b\" }\n", "2:19", "holds no space", "percent-encoded"},
      {"[[rule]]\nredirect = { to = \"/a\\r\\nx: y\" }\n", "2:19", "control character",
       "percent-encoded"},
      {"[[rule]]\nredirect = { to = \"/\", status = 304 }\n", "2:33", "must be one of 301, 302"},
      {"[[rule]]\nredirect = { to = \"/\", status = 65837 }\n", "2:33", "must be one of 301, 302"},
      {"[[rule]]\nredirect = { to = \"/\", status = 200 }\n", "2:33", "must be one of 301, 302"},
      {"[[rule]]\nrespond = { status = 100 }\n", "2:22", "must be 200 to 599, not 100"},
      {"[[rule]]\nrespond = { status = 204, body = \"x\" }\n", "2:34", "a 204 answer has no body"},
      {"[[rule]]\nrespond = { content_type = \"a\\nb\" }\n", "2:28", "control characters"},
      {"[[rule]]\nrespond = 404\n", "2:11", "\"respond\" must be a table, not an integer",
       "respond = { status"},
  };
  for (const Case& one : cases) check(kFarm, one);
}

BOOST_AUTO_TEST_CASE(tls_of_listeners) {
  const Case cases[] = {
      {"tls = true", "1:7", "must be a table or an array of tables, not a boolean"},
      {"tls = []", "1:7", "not an empty array"},
      {"tls = [ 1 ]", "1:9", "must hold tables, not an integer"},
      {"tls = { key = \"a\" }", "1:7", "needs \"certificate\"", "add certificate"},
      {"tls = { certificate = \"a\", minimum_version = \"1.1\" }", "1:46", "not \"1.1\"", "1.2"},
      {"tls = { certificate = \"a\", client_certificate = \"optional\" }", "1:49",
       "needs \"client_ca\"", "PEM"},
      {"tls = { certificate = \"a\", client_header = \"X-Client-Subject\" }", "1:44",
       "\"client_header\" needs \"client_ca\""},
      {"tls = { certificate = \"a\", client_ca = \"c\", client_header = \"Host\" }", "1:61",
       "must begin with \"X-Client-\"", "X-Client-Subject"},
      {"tls = [ { certificate = \"a\" }, { certificate = \"b\", ciphers = \"c\" } ]", "1:63",
       "belongs to the listener", "first table"},
      {"tls = { certificate = \"a\", kye = \"b\" }", "1:28", "unknown key \"kye\"", "\"key\""},
  };
  const std::string prefix = kFarm + "[[listener]]\nbind = \"127.0.0.1:82\"\n";
  for (const Case& one : cases) check(prefix, one);
}

BOOST_AUTO_TEST_CASE(matches) {
  const Case cases[] = {
      {"hots = \"a\" }", "1:1", "unknown key \"hots\" in match", "\"host\""},
      {"sni = \"a:443\" }", "1:7", "must be without a port"},
      {"host = 1 }", "1:8", "must be a string or an array of strings, not an integer"},
      {"host = [\"a\", true] }", "1:14", "must be a string or an array of strings, not a boolean"},
      {"host = [] }", "1:8", "must not be an empty array"},
      {"host = \"\" }", "1:8", "must not be empty"},
      {"host = \"a.*.example\" }", "1:8", "\"*\" stands only for whole labels"},
      {"host = \"*example.com\" }", "1:8", "\"*\" stands only for whole labels"},
      {"host = \"a.example:80\" }", "1:8", "must be without a port"},
      {"host = \"a b\" }", "1:8", "is not a host name"},
      {"host = \"*.\" }", "1:8", "is not a host name"},
      {"path = \"x\" }", "1:8", "a path starts with \"/\", \"x\" does not"},
      {"path = \"/x?y=1\" }", "1:8", "no path has a \"?\""},
      {"path_prefix = [\"/a\", \"b\"] }", "1:22", "\"b\" does not"},
      {"extension = \"tar.gz\" }", "1:13", "what follows the last dot"},
      {"extension = \".\" }", "1:13", "what follows the last dot"},
      {"method = \"G T\" }", "1:10", "is not a method"},
      {"method = \"get\" }", "1:10", "methods compare with case", "\"GET\""},
      {"content_type = \"image\" }", "1:16", "is not a media type"},
      {"content_type = \"*/*\" }", "1:16", "is not a media type"},
      {"source = \"10.0.0.0/33\" }", "1:10", "prefix length must be 0 to 32"},
      {"source = \"10.0.0.1/8\" }", "1:10", "the network is 10.0.0.0/8"},
      {"source = \"2001:db8::1/32\" }", "1:10", "the network is 2001:db8::/32"},
      {"regex = \"x\" }", "1:1", "unknown key \"regex\"", "\"path_regex\""},
      {"url = \"x\" }", "1:1", "unknown key \"url\"", "\"path_prefix\""},
      {"source = \"localhost\" }", "1:10", "is not a network"},
      {"scheme = \"htps\" }", "1:10", "must be \"http\" or \"https\"", "\"https\""},
      {"listener = \"wbe\" }", "1:12", "unknown listener \"wbe\"", "\"web\""},
      {"header = \"x\" }", "1:10", "\"header\" must be a table, not a string"},
      {"header = {} }", "1:10", "must not be an empty table"},
      {"header = { \"a b\" = \"1\" } }", "1:12", "\"a b\" is not a header name"},
      {"header = { a = 1 } }", "1:16", "must be a string, a table or true, not an integer"},
      {"header = { a = [\"1\"] } }", "1:16", "not an array", "any = ["},
      {"header = { a = false } }", "1:16", "not false", "not = {"},
      {"header = { a = {} } }", "1:16", "is one of prefix, regex and present", "prefix"},
      {"header = { a = { prefix = \"x\", regex = \"y\" } } }", "1:16", "is one of", "prefix"},
      {"header = { a = { present = false } } }", "1:28", "can only be true", "not = {"},
      {"header = { a = { prefx = \"x\", regex = \"y\" } } }", "1:18", "unknown key \"prefx\"",
       "\"prefix\""},
      {"cookie = { \"a;b\" = true } }", "1:12", "is not a cookie name"},
      {"query = { \"\" = true } }", "1:11", "is not a query name"},
      {"not = [] }", "1:7", "\"not\" must be a table, not an array"},
      {"not = {} }", "1:7", "always matches"},
      {"any = {} }", "1:7", "must be an array of tables, not a table", "[[rule.match.any]]"},
      {"any = [ { path = \"/\" }, {} ] }", "1:25", "always matches"},
  };
  const std::string prefix = kFarm + "[[rule]]\npool = \"pages\"\nmatch = { ";
  for (const Case& one : cases) {
    const std::string text = std::string(one.text) + "\n";
    BOOST_TEST_CONTEXT(one.text) {
      const Loaded loaded = load(prefix + text);
      BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().size() == 1, loaded.diagnostics.to_string());
      const Diagnostic& problem = loaded.diagnostics.all()[0];
      BOOST_TEST(fmt::format("1:{}", problem.place.column - 10) == one.place);
      BOOST_TEST(problem.place.line == 8u);
      BOOST_TEST(problem.text.find(one.message) != std::string::npos, problem.text);
      BOOST_TEST(problem.hint.find(one.hint) != std::string::npos, problem.hint);
    }
  }
}

BOOST_AUTO_TEST_CASE(nesting_has_an_end) {
  std::string inner = "path = \"/\"";
  for (int depth = 1; depth <= 40; ++depth) {
    inner = "not = { " + inner + " }";
    const Loaded loaded = load(kFarm + "[[rule]]\npool = \"pages\"\nmatch = { " + inner + " }\n");
    BOOST_TEST(loaded.diagnostics.error_count() == (depth <= 8 ? 0u : 1u), depth);
  }
}

BOOST_AUTO_TEST_CASE(tests) {
  const Case cases[] = {
      {"[[test]]\nexpect = { status = 200 }\n", "1:1", "a test needs \"request\"", "GET http"},
      {"[[test]]\nrequest = \"GET http://a/\"\n", "1:1", "a test needs \"expect\"", "rule"},
      {"[[test]]\nrequest = \"GET http://a/\"\nexpect = {}\n", "3:10", "the test could not fail",
       "give"},
      {"[[test]]\nrequest = \"GET /a\"\nexpect = { status = 200 }\n", "2:11",
       "must be a method and an absolute URL", "GET http"},
      {"[[test]]\nrequest = \"http://a/\"\nexpect = { status = 200 }\n", "2:11",
       "must be a method and an absolute URL", "GET http"},
      {"[[test]]\nrequest = \"GET http://a/ HTTP/1.1\"\nexpect = { status = 200 }\n", "2:11",
       "must be a method and an absolute URL", "GET http"},
      {"[[test]]\nrequest = \"GET http://a/\"\nexpect = { rule = \"x\" }\n", "3:19",
       "unknown rule \"x\""},
      {"[[test]]\nrequest = \"GET http://a/\"\nexpect = { pool = \"page\" }\n", "3:19",
       "unknown pool \"page\"", "\"pages\""},
      {"[[test]]\nrequest = \"GET http://a/\"\nexpect = { status = 99 }\n", "3:21",
       "must be 100 to 599"},
      {"[[test]]\nrequest = \"GET http://a/\"\nsource = \"x\"\nexpect = { status = 200 }\n", "3:10",
       "is not an IP address"},
      {"[[test]]\nrequest = \"GET http://a/\"\nheaders = { a = 1 }\nexpect = { status = 200 }\n",
       "3:17", "a header's value must be a string or an array of strings, not an integer"},
      {"[[test]]\nrequest = \"GET http://a/\"\nheaders = { \"a:\" = \"1\" }\n"
       "expect = { status = 200 }\n",
       "3:13", "\"a:\" is not a header name"},
  };
  for (const Case& one : cases) check(kFarm, one);
}

BOOST_AUTO_TEST_CASE(all_problems_come_in_one_pass) {
  const Loaded loaded = load(
      "[global]\nworkers = -1\nusr = \"x\"\n"
      "[[listener]]\nbind = \"nowhere\"\nheader_timeout = 1\n"
      "[pool.p]\nscheduler = \"wcl\"\nserver = [ { address = \"x\", weight = -1 } ]\n"
      "[[rule]]\npool = \"q\"\nmatch = { path = \"x\", method = 1 }\n"
      "[[test]]\nrequest = \"x\"\nexpect = { rule = \"none\" }\n");
  BOOST_TEST(loaded.diagnostics.error_count() == 12u, loaded.diagnostics.to_string());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
