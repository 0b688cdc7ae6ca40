// Which requests the admin endpoint takes.
#include "app/admin_http.h"

#include <boost/test/unit_test.hpp>

#include "proxy/http_parser.h"

namespace shunt::app {
namespace {

// `fields`: more of them, each with its line end.
std::expected<AdminRequest, AdminReply> read(const std::string& line, const std::string& host,
                                             bool loopback, const std::string& fields = {}) {
  const std::string text = line + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n";
  proxy::RequestHead head;
  BOOST_REQUIRE(!proxy::parse_request(text, {}, head).has_value());
  return read_request(head, loopback);
}

BOOST_AUTO_TEST_SUITE(admin_http)

BOOST_AUTO_TEST_CASE(path_and_query) {
  const auto request = read("GET /v1/trace?service=a%20b&client=%5B::1%5D:80&x", "localhost", true);
  BOOST_REQUIRE(request.has_value());
  BOOST_TEST(request->path == "/v1/trace");
  BOOST_TEST(request->query.at("service") == "a b");
  BOOST_TEST(request->query.at("client") == "[::1]:80");
  BOOST_TEST(request->query.at("x") == "");
  BOOST_TEST(*decode_query(encode_query("a b&c=%\xc3\xa4+")) == "a b&c=%\xc3\xa4+");
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  struct Case {
    const char* description;
    const char* line;
    const char* host;
    bool loopback;
    uint16_t status;  // 0: taken.
  };
  for (const Case& test : {
           Case{"another method", "POST /v1/services", "localhost", true, 405},
           Case{"half an escape", "GET /x?a=%4", "localhost", true, 400},
           Case{"no escape", "GET /x?a=%zz", "localhost", true, 400},
           Case{"given twice", "GET /x?a=1&a=2", "localhost", true, 400},
           Case{"another's name", "GET /x", "rebound.example:9090", true, 403},
           Case{"an address", "GET /x", "127.0.0.1:9090", true, 0},
           Case{"an IPv6 address", "GET /x", "[::1]:9090", true, 0},
           Case{"a name where that is no sign", "GET /x", "lb.example", false, 0},
       }) {
    BOOST_TEST_CONTEXT(test.description) {
      const auto request = read(test.line, test.host, test.loopback);
      BOOST_TEST((request ? 0 : request.error().status) == test.status);
    }
  }
}

BOOST_AUTO_TEST_CASE(web_pages_are_refused) {
  struct Case {
    const char* fields;
    uint16_t status;  // 0: taken.
  };
  for (const Case& test : {
           Case{"Origin: https://page.example\r\n", 403},
           Case{"origin: null\r\n", 403},
           Case{"Sec-Fetch-Site: cross-site\r\n", 403},
           Case{"sec-fetch-site: same-site\r\n", 403},
           Case{"Sec-Fetch-Site: none\r\n", 0},
           Case{"Sec-Fetch-Site: same-origin\r\n", 0},
           Case{"User-Agent: curl\r\n", 0},
       }) {
    for (const bool loopback : {true, false}) {
      const auto request = read("GET /v1/pcap", "127.0.0.1:9090", loopback, test.fields);
      BOOST_TEST_CONTEXT(test.fields) {
        BOOST_TEST((request ? 0 : request.error().status) == test.status);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(chunks) {
  std::string out;
  append_chunk(out, "0123456789abcdef");
  append_chunk(out, "");
  out += last_chunk("A: b\r\n");
  BOOST_TEST(out == "10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
