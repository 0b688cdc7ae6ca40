// What right configurations become: every key in its field, names resolved, defaults and the
// implied rule.
#include "core/config_load.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

Config load_clean(std::string_view text) {
  Loaded loaded = load(text);
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  return std::move(loaded.config);
}

// The match table of a rule with this text inside its braces.
Match load_match_text(std::string_view inside) {
  std::string text(kListenerText);
  text += kPoolText;
  text += "[[rule]]\npool = \"pages\"\nmatch = { ";
  text += inside;
  text += " }\n";
  return load_clean(text).rules.at(0).match;
}

BOOST_AUTO_TEST_SUITE(config_load)

BOOST_AUTO_TEST_CASE(a_listener_and_a_pool_are_enough) {
  const Config config = load_clean(
      "[[listener]]\nbind = \"127.0.0.1:80\"\n[[pool.web.server]]\naddress = \"10.0.0.1:80\"\n");
  BOOST_TEST((config.global == Global{}));
  BOOST_REQUIRE(config.listeners.size() == 1u);
  BOOST_TEST(config.listeners[0].name == "127.0.0.1:80");
  BOOST_REQUIRE(config.pools.size() == 1u);
  BOOST_REQUIRE(config.pools[0].servers.size() == 1u);
  BOOST_TEST(config.pools[0].servers[0].name == "10.0.0.1:80");
  BOOST_REQUIRE(config.rules.size() == 1u);
  BOOST_TEST(config.rules[0].name == "default");
  BOOST_TEST(config.rules[0].pool == 0u);
  BOOST_TEST(config.rules[0].match.empty());
}

BOOST_AUTO_TEST_CASE(every_global_key) {
  const Config config = load_clean(
      std::string(kListenerText) + std::string(kPoolText) +
      "[global]\nworkers = 4\ncpu_affinity = [0, 2]\nuser = \"nobody\"\naccess_log = \"/a.log\"\n"
      "access_log_format = \"combined\"\nevent_loop = \"io_uring\"\nmax_connections = 5000\n"
      "ktls = \"off\"\n"
      "drain_timeout = \"0s\"\nlayer4_threads = 2\nlayer4_connections = 5000\n"
      "layer4_new_connections = 700\n");
  Global expected;
  expected.workers = 4;
  expected.cpu_affinity = {0, 2};
  expected.user = "nobody";
  expected.access_log = "/a.log";
  expected.access_log_format = AccessLogFormat::kCombined;
  expected.event_loop = EventLoop::kIoUring;
  expected.ktls = KernelTls::kOff;
  expected.max_connections = 5000;
  expected.drain_timeout = 0s;
  expected.layer4_threads = 2;
  expected.layer4_connections = 5000;
  expected.layer4_new_connections = 700;
  BOOST_TEST((config.global == expected));
}

BOOST_AUTO_TEST_CASE(every_listener_key) {
  const Config config = load_clean(
      std::string(kPoolText) +
      "[[listener]]\nname = \"w\"\nbind = [\"127.0.0.1:80\", \"[::1]:80\", \"unix:@x\"]\n"
      "protocol = \"http\"\nproxy_protocol = true\nproxy_protocol_from = [\"10.0.0.0/8\", "
      "\"::1\"]\n"
      "unix_mode = \"0660\"\nheader_timeout = \"1s\"\n"
      "body_timeout = \"2s\"\nsend_timeout = \"3s\"\nkeep_alive_timeout = \"4s\"\n"
      "keep_alive_requests = 5\nrequest_line_max = \"1KiB\"\nheader_max = \"16KiB\"\n"
      "header_count_max = 7\n");
  Listener expected;
  expected.place = config.listeners.at(0).place;
  expected.name = "w";
  for (const char* bind : {"127.0.0.1:80", "[::1]:80", "unix:@x"})
    expected.bind.push_back(*SocketAddress::parse(bind));
  expected.proxy_protocol = true;
  expected.proxy_protocol_from = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("::1")};
  expected.unix_mode = 0660;
  expected.header_timeout = 1s;
  expected.body_timeout = 2s;
  expected.send_timeout = 3s;
  expected.keep_alive_timeout = 4s;
  expected.keep_alive_requests = 5;
  expected.request_line_max = 1024;
  expected.header_max = 16 * 1024;
  expected.header_count_max = 7;
  BOOST_TEST((config.listeners[0] == expected));
}

BOOST_AUTO_TEST_CASE(a_smaller_head_pulls_the_default_line_with_it) {
  const Config config =
      load_clean(std::string(kPoolText) + std::string(kListenerText) + "header_max = \"4KiB\"\n");
  BOOST_TEST(config.listeners.at(0).request_line_max == 4096u);
}

BOOST_AUTO_TEST_CASE(every_pool_and_server_key) {
  const Config config = load_clean(
      std::string(kListenerText) +
      "[pool.p]\ntype = \"cgi\"\nscheduler = \"sh\"\n"
      "scheduler_flags = [\"sh-port\", \"sh-fallback\"]\n"
      "key = \"cookie:id\"\nhost_header = { set = \"in.example\" }\nforwarded = false\n"
      "connect_timeout = \"1s\"\nresponse_timeout = \"2s\"\nserver_timeout = \"3s\"\n"
      "retries = 4\nidle_connections = 5\nidle_timeout = \"6s\"\nidle_age = \"7s\"\n"
      "[[pool.p.server]]\nname = \"a\"\naddress = \"10.0.0.1:80\"\nweight = 0\nupper = 9\n"
      "lower = 8\n"
      "[[pool.p.server]]\naddress = \"unix:/run/b.sock\"\n");
  Pool expected;
  expected.place = config.pools.at(0).place;
  expected.name = "p";
  expected.type = PoolType::kCgi;
  expected.scheduler = "sh";
  expected.scheduler_flags = {"sh-port", "sh-fallback"};
  expected.key = LocalityKey{LocalityKey::Kind::kCookie, "id"};
  expected.host_header = HostHeader::kFixed;
  expected.host = "in.example";
  expected.forwarded = false;
  expected.connect_timeout = 1s;
  expected.response_timeout = 2s;
  expected.server_timeout = 3s;
  expected.retries = 4;
  expected.idle_connections = 5;
  expected.idle_timeout = 6s;
  expected.idle_age = 7s;
  const std::vector<Server>& servers = config.pools[0].servers;
  BOOST_REQUIRE(servers.size() == 2u);
  expected.servers.push_back(
      {servers[0].place, "a", *SocketAddress::parse("10.0.0.1:80"), {}, "10.0.0.1:80", 0, 9, 8});
  expected.servers.push_back({servers[1].place,
                              "unix:/run/b.sock",
                              *SocketAddress::parse("unix:/run/b.sock"),
                              {},
                              "unix:/run/b.sock",
                              1,
                              0,
                              0});
  BOOST_TEST((config.pools[0] == expected));
}

BOOST_AUTO_TEST_CASE(pools_and_servers_keep_the_order_of_the_file) {
  const Config config = load_clean(
      std::string(kListenerText) +
      "[[rule]]\npool = \"a\"\n"
      "[pool.z]\nserver = [ { address = \"10.0.0.9:80\" }, { address = \"10.0.0.1:80\" } ]\n"
      "[[pool.a.server]]\naddress = \"10.0.0.2:80\"\n"
      "[pool.m]\nserver = [ { address = \"10.0.0.3:80\" } ]\n");
  BOOST_REQUIRE(config.pools.size() == 3u);
  BOOST_TEST(config.pools[0].name == "z");
  BOOST_TEST(config.pools[1].name == "a");
  BOOST_TEST(config.pools[2].name == "m");
  BOOST_TEST(config.pools[0].servers.at(0).name == "10.0.0.9:80");
  BOOST_TEST(config.rules.at(0).pool == 1u);
}

BOOST_AUTO_TEST_CASE(rules_have_names_listeners_and_one_action) {
  const Config config = load_clean(
      std::string(kListenerText) + "[[listener]]\nname = \"second\"\nbind = \"127.0.0.1:81\"\n" +
      std::string(kPoolText) +
      "[[rule]]\nname = \"to-pool\"\nlistener = [\"second\", \"web\"]\npool = \"pages\"\n"
      "[[rule]]\nlistener = \"second\"\nredirect = { to = \"/new\" }\n"
      "[[rule]]\nredirect = { to = \"https://a.example/\", status = 308 }\n"
      "[[rule]]\nrespond = { status = 403, body = \"no\", content_type = \"text/html\" }\n"
      "[[rule]]\nrespond = {}\n");
  BOOST_REQUIRE(config.rules.size() == 5u);
  BOOST_TEST(config.rules[0].name == "to-pool");
  BOOST_TEST((config.rules[0].listener == std::vector<uint32_t>{1, 0}));
  BOOST_TEST(config.rules[0].pool == 0u);
  BOOST_TEST(config.rules[1].name == "rule-2");
  BOOST_TEST(config.rules[1].pool == kNone);
  BOOST_TEST(config.rules[1].redirect->to == "/new");
  BOOST_TEST(config.rules[1].redirect->status == 302);
  BOOST_TEST(config.rules[2].redirect->status == 308);
  BOOST_TEST(config.rules[3].respond->status == 403);
  BOOST_TEST(config.rules[3].respond->body == "no");
  BOOST_TEST(config.rules[3].respond->content_type == "text/html");
  BOOST_TEST(config.rules[4].respond->status == 200);
}

BOOST_AUTO_TEST_CASE(match_values_are_a_string_or_a_list_in_the_form_that_compares) {
  const Match match = load_match_text(
      "host = \"*.Example.COM\", path = [\"/a\", \"*\"], path_prefix = \"/b/\", "
      "path_regex = ['\\.png$', '^/x'], extension = [\".PNG\", \"Jpg\"], method = \"GET\", "
      "content_type = [\"Image/*\", \"text/html\"], source = [\"10.0.0.0/8\", \"::1\"], "
      "scheme = \"https\", listener = \"web\"");
  using Texts = std::vector<std::string>;
  BOOST_TEST(match.host == Texts{"*.example.com"}, boost::test_tools::per_element());
  BOOST_TEST((match.path == Texts{"/a", "*"}));
  BOOST_TEST((match.path_prefix == Texts{"/b/"}));
  BOOST_TEST((match.path_regex == Texts{"\\.png$", "^/x"}));
  BOOST_TEST((match.extension == Texts{"png", "jpg"}));
  BOOST_TEST((match.method == Texts{"GET"}));
  BOOST_TEST((match.content_type == Texts{"image/*", "text/html"}));
  BOOST_TEST((match.source == std::vector{*Cidr::parse("10.0.0.0/8"), *Cidr::parse("::1")}));
  BOOST_TEST((match.scheme == Texts{"https"}));
  BOOST_TEST((match.listener == Texts{"web"}));
  BOOST_TEST(!match.empty());
}

BOOST_AUTO_TEST_CASE(named_values) {
  const Match match = load_match_text(
      "header = { X-A = \"1\", x-b = { prefix = \"p\" }, x-c = { regex = \"r+\" }, "
      "x-d = { present = true }, x-e = true }, cookie = { Sid = \"\" }, query = { \"a b\" = true "
      "}");
  using Kind = ValueMatch::Kind;
  const struct {
    const char* name;
    Kind kind;
    const char* text;
  } expected[] = {{"x-a", Kind::kExact, "1"},
                  {"x-b", Kind::kPrefix, "p"},
                  {"x-c", Kind::kRegex, "r+"},
                  {"x-d", Kind::kPresent, ""},
                  {"x-e", Kind::kPresent, ""}};
  BOOST_REQUIRE(match.header.size() == std::size(expected));
  for (size_t i = 0; i < std::size(expected); ++i) {
    BOOST_TEST(match.header[i].name == expected[i].name);
    BOOST_TEST((match.header[i].value.kind == expected[i].kind), expected[i].name);
    BOOST_TEST(match.header[i].value.text == expected[i].text);
  }
  BOOST_TEST(match.cookie.at(0).name == "Sid");
  BOOST_TEST((match.cookie[0].value.kind == Kind::kExact));
  BOOST_TEST(match.query.at(0).name == "a b");
}

BOOST_AUTO_TEST_CASE(not_and_any_nest) {
  const Match match = load_match_text(
      "not = { path = \"/a\" }, any = [ { host = \"x.example\" }, "
      "{ not = { method = \"GET\" }, any = [ { path = \"/b\" } ] } ]");
  BOOST_REQUIRE(match.none.size() == 1u);
  BOOST_TEST(match.none[0].path.at(0) == "/a");
  BOOST_REQUIRE(match.any.size() == 2u);
  BOOST_TEST(match.any[0].host.at(0) == "x.example");
  BOOST_TEST(match.any[1].none.at(0).method.at(0) == "GET");
  BOOST_TEST(match.any[1].any.at(0).path.at(0) == "/b");
}

BOOST_AUTO_TEST_CASE(tests_are_read) {
  const Config config = load_clean(
      std::string(kListenerText) + std::string(kPoolText) +
      "[[rule]]\nname = \"r\"\nrespond = { status = 403 }\n"
      "[[test]]\nrequest = \"POST http://a.example/x?y\"\n"
      "headers = { accept = \"*/*\", x-list = [\"1\", \"2\"] }\nsource = \"2001:db8::1\"\n"
      "expect = { rule = \"r\", status = 403 }\n"
      "[[test]]\nrequest = \"GET https://b.example\"\nexpect = { pool = \"pages\" }\n");
  BOOST_REQUIRE(config.tests.size() == 2u);
  const Test& test = config.tests[0];
  BOOST_TEST(test.method == "POST");
  BOOST_TEST(test.url == "http://a.example/x?y");
  BOOST_REQUIRE(test.headers.size() == 3u);
  BOOST_TEST(test.headers[0].first == "accept");
  BOOST_TEST(test.headers[2].second == "2");
  BOOST_TEST(test.source == "2001:db8::1");
  BOOST_TEST(test.expect_rule.value() == "r");
  BOOST_TEST(!test.expect_pool.has_value());
  BOOST_TEST(test.expect_status.value() == 403u);
  BOOST_TEST(config.tests[1].source == Test{}.source);
  BOOST_TEST(config.tests[1].expect_pool.value() == "pages");
}

BOOST_AUTO_TEST_CASE(a_test_may_expect_the_implied_rule) {
  const Config config =
      load_clean(std::string(kListenerText) + std::string(kPoolText) +
                 "[[test]]\nrequest = \"GET http://a/\"\nexpect = { rule = \"default\" }\n");
  BOOST_TEST(config.tests.at(0).expect_rule.value() == config.rules.at(0).name);
}

BOOST_AUTO_TEST_CASE(a_farm_of_answers_needs_no_pool) {
  const Config config = load_clean(std::string(kListenerText) +
                                   "[[rule]]\nredirect = { to = \"https://x.example/\" }\n");
  BOOST_TEST(config.pools.empty());
  BOOST_TEST(config.rules.size() == 1u);
}

BOOST_AUTO_TEST_CASE(listeners_on_port_0_are_no_duplicates) {
  const Config config = load_clean(std::string(kPoolText) +
                                   "[[listener]]\nname = \"a\"\nbind = \"127.0.0.1:0\"\n"
                                   "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:0\"\n");
  BOOST_TEST(config.listeners.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
