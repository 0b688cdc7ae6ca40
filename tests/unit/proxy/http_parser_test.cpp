// Request and answer heads through scanner and parser: what is understood, what is refused and with
// which status.
#include "proxy/http_parser.h"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <string_view>

using namespace shunt::proxy;
using namespace std::string_literals;

namespace {

template <class HeadType>
struct Parsed {
  std::string bytes;
  std::unique_ptr<HeadType> head = std::make_unique<HeadType>();
  std::optional<Reject> reject;
  uint16_t refused() const { return reject ? reject->status : uint16_t{0}; }
};

Parsed<RequestHead> request(std::string bytes, const HeadLimits& limits = {}) {
  Parsed<RequestHead> parsed{std::move(bytes)};
  HeadScanner scanner(true);
  if (scanner.scan(parsed.bytes, limits) == Scan::kReject) {
    parsed.reject = scanner.reject();
    return parsed;
  }
  const auto head = std::string_view(parsed.bytes).substr(scanner.skipped(), scanner.head_size());
  BOOST_TEST_REQUIRE(!head.empty());
  parsed.reject = parse_request(head, limits, *parsed.head);
  return parsed;
}

Parsed<ResponseHead> response(std::string bytes, Method method = Method::kGet) {
  Parsed<ResponseHead> parsed{std::move(bytes)};
  HeadScanner scanner(false);
  if (scanner.scan(parsed.bytes, {}) == Scan::kReject) {
    parsed.reject = scanner.reject();
    return parsed;
  }
  BOOST_TEST_REQUIRE(scanner.head_size() > 0u);
  parsed.reject = parse_response(std::string_view(parsed.bytes).substr(0, scanner.head_size()), {},
                                 method, *parsed.head);
  return parsed;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_parser)

BOOST_AUTO_TEST_CASE(request_members) {
  const auto parsed = request(
      "POST /a/b?c=d HTTP/1.1\r\nHost: www.example.com:8080\r\nX-Empty:\r\nX-Padded: \t v w \t\r\n"
      "Connection: Upgrade, X-Padded\r\nUpgrade: h2c\r\nContent-Length: 12\r\nExpect: "
      "100-Continue\r\n\r\n");
  BOOST_TEST_REQUIRE(!parsed.reject);
  const RequestHead& head = *parsed.head;
  BOOST_TEST((head.method == Method::kPost));
  BOOST_TEST(head.method_text == "POST");
  BOOST_TEST(head.target == "/a/b?c=d");
  BOOST_TEST(head.path == "/a/b");
  BOOST_TEST(head.query == "c=d");
  BOOST_TEST(head.authority == "www.example.com:8080");
  BOOST_TEST(head.host == "www.example.com");
  BOOST_TEST((head.version == Version::kHttp11));
  BOOST_TEST((head.framing == Framing::kLength));
  BOOST_TEST(head.content_length == 12u);
  BOOST_TEST(head.expect_continue);
  BOOST_TEST(head.keep_alive);
  BOOST_TEST(head.has_connection_names);
  BOOST_TEST(head.connection == "Upgrade, X-Padded");
  BOOST_TEST(head.upgrade == "h2c");
  BOOST_TEST(head.size == parsed.bytes.size());
  BOOST_TEST_REQUIRE(head.fields().size() == 7u);
  BOOST_TEST(head.fields()[0].name == "Host");
  BOOST_TEST(head.fields()[1].value == "");
  BOOST_TEST(head.fields()[2].value == "v w");
}

BOOST_AUTO_TEST_CASE(a_reused_head_remembers_nothing) {
  const std::string first =
      "OPTIONS * HTTP/1.1\r\nHost: a:1\r\nConnection: x\r\nUpgrade: y\r\nTransfer-Encoding: "
      "chunked\r\nExpect: 100-continue\r\n\r\n";
  const std::string second = "GET /b HTTP/1.0\r\nA:\r\n\r\n";
  const auto head = std::make_unique<RequestHead>();
  BOOST_TEST_REQUIRE(!parse_request(first, {}, *head));
  BOOST_TEST(head->expect_continue);
  BOOST_TEST_REQUIRE(!parse_request(second, {}, *head));
  BOOST_TEST((head->method == Method::kGet));
  BOOST_TEST((head->framing == Framing::kNone));
  BOOST_TEST((head->version == Version::kHttp10));
  BOOST_TEST(!head->expect_continue);
  BOOST_TEST(!head->keep_alive);
  BOOST_TEST(!head->has_connection_names);
  BOOST_TEST(head->authority.empty());
  BOOST_TEST(head->host.empty());
  BOOST_TEST(head->connection.data() == nullptr);
  BOOST_TEST(head->upgrade.data() == nullptr);
  BOOST_TEST(head->query.data() == nullptr);
  BOOST_TEST(head->fields().size() == 1u);
  BOOST_TEST(head->fields()[0].value == "");
}

BOOST_AUTO_TEST_CASE(request_lines) {
  const struct {
    std::string_view line;
    uint16_t refused = 0;
    Method method = Method::kGet;
  } cases[] = {
      {"GET / HTTP/1.1"},
      {"GET / HTTP/1.0"},
      {"GET / HTTP/1.2"},
      {"HEAD / HTTP/1.1", 0, Method::kHead},
      {"POST / HTTP/1.1", 0, Method::kPost},
      {"PUT / HTTP/1.1", 0, Method::kPut},
      {"DELETE / HTTP/1.1", 0, Method::kDelete},
      {"PATCH / HTTP/1.1", 0, Method::kPatch},
      {"OPTIONS * HTTP/1.1", 0, Method::kOptions},
      {"PURGE / HTTP/1.1", 0, Method::kOther},
      {"get / HTTP/1.1", 0, Method::kOther},
      {"X-!#$%&'*+.^_`|~9 / HTTP/1.1", 0, Method::kOther},
      {"TRACE / HTTP/1.1", 501},
      {"CONNECT a:80 HTTP/1.1", 501},
      {"CONNECT / HTTP/1.1", 501},
      {"GET  / HTTP/1.1", 400},
      {"GET /  HTTP/1.1", 400},
      {"GET / HTTP/1.1 ", 400},
      {"GET / a HTTP/1.1", 400},
      {"GET\t/ HTTP/1.1", 400},
      {"GET /\tHTTP/1.1", 400},
      {"GET / \tHTTP/1.1", 400},
      {"GET /", 400},
      {"GET ", 400},
      {"GET / ", 400},
      {"G ET / HTTP/1.1", 400},
      {"GET / http/1.1", 400},
      {"GET / HTTP/1", 400},
      {"GET / HTTP/1.", 400},
      {"GET / HTTP/11", 400},
      {"GET / HTTP/1.11", 400},
      {"GET / HTTP/01.1", 400},
      {"GET / HTTP/1.1x", 400},
      {"GET / HTTP/1,1", 400},
      {"GET / HTTP/a.b", 400},
      {"GET / HTT/1.1", 400},
      {"GET / RTSP/1.0", 400},
      {"GET / HTTP/0.9", 505},
      {"GET / HTTP/2.0", 505},
      {"PRI * HTTP/2.0", 505},
      {"GET / HTTP/5.6", 505},
      {"GET * HTTP/1.1", 400},
      {"GET a HTTP/1.1", 400},
      {"GET /\xc3\xa4 HTTP/1.1", 400},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.line) {
      const auto parsed = request(std::string(test.line) + "\r\nHost: a\r\n\r\n");
      BOOST_TEST(parsed.refused() == test.refused);
      if (!parsed.reject && test.refused == 0) BOOST_TEST((parsed.head->method == test.method));
    }
  }
}

BOOST_AUTO_TEST_CASE(hosts) {
  const struct {
    const char* description;
    std::string head;
    uint16_t refused;
    std::string_view authority;
  } cases[] = {
      {"missing", "GET / HTTP/1.1\r\n\r\n", 400, ""},
      {"missing beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", 400, ""},
      {"missing in 1.0", "GET / HTTP/1.0\r\n\r\n", 0, ""},
      {"absolute target in 1.0", "GET http://a/ HTTP/1.0\r\n\r\n", 0, "a"},
      {"twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
      {"twice the same", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, ""},
      {"twice in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, ""},
      {"empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, ""},
      {"empty in 1.0", "GET / HTTP/1.0\r\nHost: \r\n\r\n", 400, ""},
      {"list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, ""},
      {"user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, ""},
      {"path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, ""},
      {"absolute target wins", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 0, "a"},
      {"invalid beside an absolute target", "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400, ""},
      {"not removed by Connection", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n", 0,
       "a"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const auto parsed = request(test.head);
      BOOST_TEST(parsed.refused() == test.refused);
      if (!parsed.reject && test.refused == 0) BOOST_TEST(parsed.head->authority == test.authority);
    }
  }
}

BOOST_AUTO_TEST_CASE(request_fields) {
  const std::string host = "POST / HTTP/1.1\r\nHost: a\r\n";
  std::string many_options = "Connection: a";
  for (int i = 0; i < 32; ++i) many_options += ",b";
  const struct {
    const char* description;
    std::string fields;
    uint16_t refused;
    bool expect_continue = false;
  } cases[] = {
      {"expectation", "Content-Length: 1\r\nExpect: 100-continue\r\n", 0, true},
      {"expectation without content", "Expect: 100-continue\r\n", 0, false},
      {"expectation with length zero", "Content-Length: 0\r\nExpect: 100-continue\r\n", 0, false},
      {"unknown expectation", "Expect: 200-ok\r\n", 417},
      {"more than the known one", "Content-Length: 1\r\nExpect: 100-continue, x\r\n", 417},
      {"two expectations", "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n",
       417},
      {"too many connection options", many_options + "\r\n", 400},
      {"no Content-Length number", "Content-Length: x\r\n", 400},
      {"two equal lengths", "Content-Length: 1\r\nContent-Length: 1\r\n", 400},
      {"length and chunked", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400},
      {"chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400},
      {"unknown coding", "Transfer-Encoding: gzip\r\n", 501},
      {"chunked not last", "Transfer-Encoding: chunked, gzip\r\n", 400},
      {"chunked with a space inside", "Transfer-Encoding: chun ked\r\n", 400},
      {"framing with an underscore", "Transfer_Encoding: chunked\r\n", 400},
      {"Max-Forwards is for OPTIONS", "Max-Forwards: 0\r\n", 0},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const auto parsed = request(host + test.fields + "\r\n");
      BOOST_TEST(parsed.refused() == test.refused);
      if (!parsed.reject && test.refused == 0) {
        BOOST_TEST(parsed.head->expect_continue == test.expect_continue);
      }
    }
  }
  const auto old = request("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  BOOST_TEST(!old.reject);
  BOOST_TEST(!old.head->expect_continue);
  BOOST_TEST(request("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 00\r\n\r\n").refused() == 501);
  BOOST_TEST(request("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n").refused() == 0);
}

BOOST_AUTO_TEST_CASE(the_largest_head) {
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (uint32_t i = 1; i < kFieldsMax; ++i)
    head += "N" + std::to_string(i) + ": v" + std::to_string(i) + "\r\n";
  const HeadLimits limits{.fields_max = kFieldsMax};
  const auto parsed = request(head + "\r\n", limits);
  BOOST_TEST_REQUIRE(!parsed.reject);
  BOOST_TEST_REQUIRE(parsed.head->fields().size() == kFieldsMax);
  BOOST_TEST(parsed.head->fields().back().value == "v255");
  // The parser holds the limit on its own, too.
  BOOST_TEST(parse_request(parsed.bytes, {.fields_max = 255}, *parsed.head)->status == 431);
}

BOOST_AUTO_TEST_CASE(answers) {
  const struct {
    std::string_view head;
    uint16_t refused;
    uint16_t status = 0;
    std::string_view reason = "";
    Framing framing = Framing::kUntilClose;
    bool keep_alive = false;
    Method method = Method::kGet;
  } cases[] = {
      {"HTTP/1.1 200 OK\r\n\r\n", 0, 200, "OK"},
      {"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", 0, 200, "", Framing::kLength, true},
      {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", 0, 200, "", Framing::kLength, true},
      {"HTTP/1.1 200  a:b \xe9\r\nContent-Length: 1\r\n\r\n", 0, 200, " a:b \xe9", Framing::kLength,
       true},
      {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", 0, 200, "OK", Framing::kLength, false},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", 0, 200, "OK",
       Framing::kLength, true},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", 0, 200, "OK",
       Framing::kLength, false},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 200, "OK", Framing::kChunked,
       true},
      {"HTTP/1.1 204 None\r\n\r\n", 0, 204, "None", Framing::kNone, true},
      {"HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\n", 0, 204, "None", Framing::kNone, false},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 0, 200, "OK", Framing::kNone, true,
       Method::kHead},
      {"HTTP/1.1 100 Continue\r\n\r\n", 0, 100, "Continue", Framing::kNone, true},
      {"HTTP/1.1 599 x\r\n\r\n", 0, 599, "x"},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", 502},
      {"HTTP/1.1 099 x\r\n\r\n", 502},
      {"HTTP/1.1 600 x\r\n\r\n", 502},
      {"HTTP/1.1 20 x\r\n\r\n", 502},
      {"HTTP/1.1 2000 x\r\n\r\n", 502},
      {"HTTP/1.1 2x0 x\r\n\r\n", 502},
      {"HTTP/1.1 +20 x\r\n\r\n", 502},
      {"HTTP/1.1\r\n\r\n", 502},
      {"HTTP/1.1  200 x\r\n\r\n", 502},
      {"HTTP/1.1\t200 x\r\n\r\n", 502},
      {"HTTP/1.1 200\tx\r\n\r\n", 502},
      {"HTTP/1.1 200OK\r\n\r\n", 502},
      {"HTTP/1.11 200 x\r\n\r\n", 502},
      {"HTTP/1.x 200 x\r\n\r\n", 502},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 502},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 502},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 502},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 502},
      {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 502},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", 502},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.head) {
      const auto parsed = response(std::string(test.head), test.method);
      BOOST_TEST(parsed.refused() == test.refused);
      if (parsed.reject || test.refused != 0) continue;
      BOOST_TEST(parsed.head->status == test.status);
      BOOST_TEST(parsed.head->reason == test.reason);
      BOOST_TEST((parsed.head->framing == test.framing));
      BOOST_TEST(parsed.head->keep_alive == test.keep_alive);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
