// The heads that go out, byte for byte: what is removed, what is added, and how framing is stated.
#include "proxy/head_writer.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http_parser.h"

using namespace shunt::proxy;
using shunt::config::HostHeader;

namespace {

std::string forward(std::string_view head, RequestForwarding how) {
  const auto request = std::make_unique<RequestHead>();
  BOOST_TEST_REQUIRE(!parse_request(head, {}, *request));
  std::array<char, 4096> memory;
  HeadBuffer out(memory);
  write_request_head(out, *request, how);
  BOOST_TEST(!out.overflowed());
  return std::string(out.view());
}

std::string answer(std::string_view head, ResponseForwarding how, Method method = Method::kGet) {
  const auto response = std::make_unique<ResponseHead>();
  BOOST_TEST_REQUIRE(!parse_response(head, {}, method, *response));
  std::array<char, 4096> memory;
  HeadBuffer out(memory);
  write_response_head(out, *response, how);
  BOOST_TEST(!out.overflowed());
  return std::string(out.view());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(head_writer)

BOOST_AUTO_TEST_CASE(requests_without_forwarding_fields) {
  const struct {
    const char* description;
    std::string_view head;
    std::string_view expected;
    bool chunked = false;
  } cases[] = {
      {"Host first, the rest in order", "GET /a?b HTTP/1.1\r\nB: 1\r\nHost: h\r\nA:  2 \r\n\r\n",
       "GET /a?b HTTP/1.1\r\nHost: h\r\nB: 1\r\nA: 2\r\n\r\n"},
      {"absolute target, other Host", "GET HTTP://t:80/a HTTP/1.1\r\nHost: h\r\n\r\n",
       "GET /a HTTP/1.1\r\nHost: t:80\r\n\r\n"},
      {"absolute target without path", "GET http://t?q HTTP/1.1\r\nHost: h\r\n\r\n",
       "GET /?q HTTP/1.1\r\nHost: t\r\n\r\n"},
      {"OPTIONS for a whole server", "OPTIONS http://t HTTP/1.1\r\nHost: h\r\n\r\n",
       "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n"},
      {"an empty query stays", "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n",
       "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: server\r\n\r\n"},
      {"hop-by-hop fields",
       "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, upgrade, HTTP2-Settings\r\nX-A: 1\r\nX-B: "
       "2\r\n"
       "Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: "
       "y\r\n"
       "Proxy-Authorization: z\r\nProxy: evil\r\nTrailer: X\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: h\r\nX-B: 2\r\nTrailer: X\r\n\r\n"},
      {"Connection cannot take away what servers decide by",
       "GET / HTTP/1.1\r\nHost: h\r\nConnection: Authorization, Cookie, Host, X-Forwarded-For\r\n"
       "Authorization: a\r\nCookie: c\r\nX-Forwarded-For: f\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nCookie: c\r\nX-Forwarded-For: f\r\n\r\n"},
      {"look-alikes with underscore",
       "GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: f\r\nX_A: 1\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: h\r\nX_A: 1\r\n\r\n"},
      {"the length is written anew", "POST / HTTP/1.1\r\ncontent-length: 005\r\nHost: h\r\n\r\n",
       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"},
      {"Connection cannot take away the length",
       "POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\n",
       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"},
      {"chunked", "POST / HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n",
       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", true},
      {"expectation",
       "POST / HTTP/1.1\r\nHost: h\r\nEXPECT: 100-Continue\r\nContent-Length: 1\r\n\r\n",
       "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"},
      {"expectation of HTTP/1.0",
       "POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"},
      {"expectation without content", "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"Max-Forwards counts down for OPTIONS",
       "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 10\r\n\r\n",
       "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 9\r\n\r\n"},
      {"and for nothing else", "GET / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 10\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 10\r\n\r\n"},
      {"forwarding fields pass",
       "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nForwarded: for=a\r\nVia: "
       "b\r\n\r\n",
       "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nForwarded: for=a\r\nVia: "
       "b\r\n\r\n"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      BOOST_TEST(
          forward(test.head, {.forwarded = false, .host = "server", .chunked = test.chunked}) ==
          test.expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(forwarding_fields) {
  const struct {
    const char* description;
    std::string_view head;
    std::string_view client_ip;
    std::string_view scheme;
    std::string_view expected;
  } cases[] = {
      {"first proxy", "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n", "192.0.2.1", "http",
       "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:80\r\n"
       "Forwarded: for=192.0.2.1;host=\"h:80\";proto=http\r\nVia: 1.1 shunt\r\n"},
      {"IPv6", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "2001:db8::1", "https",
       "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n"
       "Forwarded: for=\"[2001:db8::1]\";host=\"h\";proto=https\r\nVia: 1.1 shunt\r\n"},
      {"unix socket, HTTP/1.0, no Host", "GET / HTTP/1.0\r\n\r\n", "unknown", "http",
       "X-Forwarded-For: unknown\r\nX-Forwarded-Proto: http\r\nForwarded: "
       "for=unknown;proto=http\r\nVia: 1.0 shunt\r\n"},
      {"lists go on, claims are replaced",
       "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a, b\r\nx-forwarded-for: "
       "c\r\nX-Forwarded-For:\r\n"
       "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=\"_x\\\"y\"\r\nVia: "
       "1.0 p\r\n\r\n",
       "192.0.2.1", "http",
       "Via: 1.0 p\r\nX-Forwarded-For: a, b, c, 192.0.2.1\r\nX-Forwarded-Proto: "
       "http\r\nX-Forwarded-Host: h\r\n"
       "Forwarded: for=\"_x\\\"y\", for=192.0.2.1;host=\"h\";proto=http\r\nVia: 1.1 shunt\r\n"},
      {"a quoted string without end cannot swallow ours",
       "GET / HTTP/1.1\r\nHost: h\r\nForwarded: for=\"a\r\nForwarded: for=b\r\nForwarded: "
       "for=\"c\\\"\r\n\r\n",
       "192.0.2.1", "http",
       "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
       "Forwarded: for=b, for=192.0.2.1;host=\"h\";proto=http\r\nVia: 1.1 shunt\r\n"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      const std::string out =
          forward(test.head, {.scheme = test.scheme, .client_ip = test.client_ip});
      const size_t host_end = out.find("\r\n", out.find("\r\nHost:") + 2) + 2;
      BOOST_TEST(out.substr(host_end) == std::string(test.expected) + "\r\n");
    }
  }
}

BOOST_AUTO_TEST_CASE(host_header) {
  constexpr std::string_view kHead = "GET / HTTP/1.1\r\nHost: client\r\n\r\n";
  for (const auto mode : {HostHeader::kServer, HostHeader::kFixed}) {
    const std::string out =
        forward(kHead, {.client_ip = "192.0.2.1", .host_header = mode, .host = "10.0.0.1:80"});
    BOOST_TEST(out.starts_with("GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n"));
    BOOST_TEST((out.find("X-Forwarded-Host: client\r\n") != std::string::npos));
  }
  BOOST_TEST(
      forward(kHead, {.host = "10.0.0.1:80"}).starts_with("GET / HTTP/1.1\r\nHost: client\r\n"));
}

BOOST_AUTO_TEST_CASE(answers) {
  const ResponseForwarding plain{.via = false};
  const ResponseForwarding old{.client_version = Version::kHttp10, .via = false};
  const ResponseForwarding old_close{
      .client_version = Version::kHttp10, .keep_alive = false, .via = false};
  const ResponseForwarding close{.keep_alive = false, .via = false};
  const ResponseForwarding chunked{.chunked = true, .via = false};
  const ResponseForwarding dated{.via = false, .date = "Sun, 06 Nov 1994 08:49:37 GMT"};
  const struct {
    const char* description;
    std::string_view head;
    ResponseForwarding how;
    std::string_view expected;
    Method method = Method::kGet;
  } cases[] = {
      {"length", "HTTP/1.0 200 OK\r\nContent-Length: 07\r\nA: b\r\n\r\n", plain,
       "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 7\r\n\r\n"},
      {"reason missing", "HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n", plain,
       "HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n"},
      {"hop-by-hop fields",
       "HTTP/1.1 200 OK\r\nConnection: x-a, close\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: "
       "h2c\r\nProxy-Connection: x\r\n"
       "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 7\r\n\r\n",
       plain, "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 7\r\n\r\n"},
      {"closing", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", close,
       "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"},
      {"keeping an old client", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", old,
       "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n"},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", chunked,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"chunked to an old client", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
       old_close, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
      {"until close, as chunks", "HTTP/1.1 200 OK\r\n\r\n", chunked,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"until close", "HTTP/1.1 200 OK\r\n\r\n", close,
       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
      {"HEAD with length", "HTTP/1.1 200 OK\r\nContent-Length: 007\r\n\r\n", plain,
       "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Method::kHead},
      {"HEAD with chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n", plain,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Method::kHead},
      {"HEAD with chunked to an old client",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", old,
       "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", Method::kHead},
      {"HEAD with neither", "HTTP/1.1 200 OK\r\n\r\n", plain, "HTTP/1.1 200 OK\r\n\r\n",
       Method::kHead},
      {"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", plain,
       "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
      {"204 with length", "HTTP/1.1 204 None\r\nContent-Length: 7\r\n\r\n", plain,
       "HTTP/1.1 204 None\r\n\r\n"},
      {"205", "HTTP/1.1 205 Reset\r\n\r\n", plain,
       "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n"},
      {"a date for one that has none", "HTTP/1.1 204 None\r\nX-Date: 1\r\n\r\n", dated,
       "HTTP/1.1 204 None\r\nX-Date: 1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"},
      {"the server's own date", "HTTP/1.1 204 None\r\nDATE: today\r\n\r\n", dated,
       "HTTP/1.1 204 None\r\nDATE: today\r\n\r\n"},
      {"no date for an interim one", "HTTP/1.1 103 Early Hints\r\n\r\n", dated,
       "HTTP/1.1 103 Early Hints\r\n\r\n"},
      {"interim", "HTTP/1.1 103 Early Hints\r\nLink: a\r\nConnection: close\r\n\r\n", close,
       "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      BOOST_TEST(answer(test.head, test.how, test.method) == test.expected);
    }
  }
  BOOST_TEST(answer("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", {}) ==
             "HTTP/1.1 200 OK\r\nVia: 1.0 shunt\r\nContent-Length: 1\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(growth_is_bounded) {
  const std::string authority = std::string(256, 'a') + ":65535";
  std::string head = "GET http://" + authority + "/ HTTP/1.1\r\nHost:a\r\n";
  for (uint32_t i = 1; i < kFieldsMax; ++i) head += "A:b\r\n";
  head += "\r\n";
  const auto request = std::make_unique<RequestHead>();
  BOOST_TEST_REQUIRE(!parse_request(head, {.fields_max = kFieldsMax}, *request));
  std::vector<char> memory(head.size() + kHeadGrowthMax);
  HeadBuffer out(memory);
  write_request_head(
      out, *request,
      {.scheme = "https", .client_ip = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"});
  BOOST_TEST(!out.overflowed());
  BOOST_TEST(out.view().ends_with("\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(buffer_that_is_too_small) {
  std::array<char, 8> memory{};
  HeadBuffer out(memory);
  out.append("12345678");
  BOOST_TEST(!out.overflowed());
  out.append("");
  BOOST_TEST(!out.overflowed());
  out.append("9");
  BOOST_TEST(out.overflowed());
  BOOST_TEST(out.view() == "12345678");
  HeadBuffer second(std::span<char>{memory}.first(4));
  second.append_number(18446744073709551615ULL);
  BOOST_TEST(second.overflowed());
  second.append("a");  // Nothing with a hole in it.
  BOOST_TEST(second.view() == "");
}

BOOST_AUTO_TEST_SUITE_END()
