// Requests as people write them down: what the rules get to see, and what is refused.
#include "app/sample_request.h"

#include <boost/test/unit_test.hpp>

namespace shunt::app {
namespace {

BOOST_AUTO_TEST_SUITE(sample_request)

BOOST_AUTO_TEST_CASE(urls) {
  struct Case {
    const char* url;
    const char* scheme;
    const char* host;
    const char* path;
    const char* query;
    uint16_t port;
  };
  for (const Case& test : {
           Case{"http://Example.COM/a.png", "http", "example.com", "/a.png", "", 80},
           Case{"https://h/x?a=1&b=/", "https", "h", "/x", "a=1&b=/", 443},
           Case{"http://h:8080", "http", "h", "/", "", 8080},
           Case{"http://h?q", "http", "h", "/", "q", 80},
           Case{"HTTP://[::1]:81/", "http", "[::1]", "/", "", 81},
           Case{"http://[2001:db8::1]/v6", "http", "[2001:db8::1]", "/v6", "", 80},
           Case{"http://h/a/../b//%61", "http", "h", "/b/a", "", 80},
       }) {
    SampleRequest request;
    const auto parsed = request.parse("GET", test.url, {}, "192.0.2.1");
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), test.url);
    BOOST_TEST(request.view().scheme == test.scheme, test.url);
    BOOST_TEST(request.view().host == test.host, test.url);
    BOOST_TEST(request.view().path == test.path, test.url);
    BOOST_TEST(request.view().query == test.query, test.url);
    BOOST_TEST(request.port() == test.port, test.url);
  }
}

// Where there is no HTTP, a URL stands for a connection, and its name for what TLS asks for.
BOOST_AUTO_TEST_CASE(connections) {
  config::Config config;
  config.listeners.resize(2);
  config.listeners[1].protocol = config::Protocol::kTcp;
  for (const auto& [url, sni] : {std::pair("https://A.example:8443/x?y", "a.example"),
                                 std::pair("http://a.example:8443/x?y", "")}) {
    SampleRequest request;
    BOOST_REQUIRE(request.parse("GET", url, {}, "192.0.2.1").has_value());
    request.arrive_at(config, 0);
    BOOST_TEST(!request.is_connection());
    BOOST_TEST(request.view().path == "/x");
    request.arrive_at(config, 1);
    BOOST_TEST(request.is_connection());
    BOOST_TEST(!request.path_rewritten());
    BOOST_TEST(request.view().sni == sni);
    BOOST_TEST(request.view().host == sni);
    for (const std::string_view none :
         {request.view().method, request.view().scheme, request.view().path, request.view().query})
      BOOST_TEST(none == "");
  }
}

BOOST_AUTO_TEST_CASE(refused) {
  struct Case {
    const char* url;
    const char* source;
    const char* says;
  };
  for (const Case& test : {
           Case{"/relative", "192.0.2.1", "not an absolute URL"},
           Case{"ftp://h/", "192.0.2.1", "http or https"},
           Case{"http:///x", "192.0.2.1", "no host"},
           Case{"http://h:0/", "192.0.2.1", "not a port"},
           Case{"http://h:99999/", "192.0.2.1", "not a port"},
           Case{"http://u@h/", "192.0.2.1", "names a user"},
           Case{"http://h/a b", "192.0.2.1", "blanks"},
           Case{"http://h/#x", "192.0.2.1", "fragment"},
           Case{"http://h/", "nobody", "source"},
       }) {
    SampleRequest request;
    const auto parsed = request.parse("GET", test.url, {}, test.source);
    BOOST_REQUIRE_MESSAGE(!parsed.has_value(), test.url);
    BOOST_TEST(parsed.error().text.contains(test.says), parsed.error().text);
  }
}

BOOST_AUTO_TEST_CASE(a_host_header_wins) {
  const std::vector<HeaderPair> headers = {{"X-A", "1"}, {"HOST", "Other.example:81"}};
  SampleRequest request;
  BOOST_REQUIRE(request.parse("GET", "http://h/", headers, "192.0.2.1").has_value());
  BOOST_TEST(request.view().host == "other.example");
  BOOST_TEST(request.view().header("x-a") == "1");
}

BOOST_AUTO_TEST_CASE(it_arrives_where_its_port_is_bound) {
  config::Config config;
  config.listeners.resize(2);
  config.listeners[0].bind = {SocketAddress::parse("192.0.2.8:80").value()};
  config.listeners[1].bind = {SocketAddress::parse("192.0.2.9:81").value(),
                              SocketAddress::parse("[::1]:443").value()};
  BOOST_TEST(listener_for(config, 80) == 0u);
  BOOST_TEST(listener_for(config, 81) == 1u);
  BOOST_TEST(listener_for(config, 443) == 1u);
  BOOST_TEST(listener_for(config, 9999) == 0u);
  SampleRequest request;
  BOOST_REQUIRE(request.parse("GET", "http://h/", {}, "192.0.2.1").has_value());
  request.arrive_at(config, 1);
  BOOST_TEST(request.view().listener == 1u);
  BOOST_TEST(request.view().destination.to_string() == "192.0.2.9");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
