// Answers of Shunt's own, byte for byte.
#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

#include "proxy/head_writer.h"

using namespace shunt::proxy;

BOOST_AUTO_TEST_SUITE(local_response)

BOOST_AUTO_TEST_CASE(whole_answers) {
  const struct {
    const char* description;
    LocalResponse response;
    std::string expected;
  } cases[] = {
      {"error page",
       {.status = 403, .body = "no\n"},
       "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
       "3\r\n\r\nno\n"},
      {"answer to HEAD",
       {.status = 404, .body = "no\n", .head_only = true},
       "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
       "3\r\n\r\n"},
      {"redirect",
       {.status = 301, .location = "/new?a=b"},
       "HTTP/1.1 301 Moved Permanently\r\nLocation: /new?a=b\r\nContent-Length: 0\r\n\r\n"},
      {"location that would end the field",
       {.status = 302, .location = "/a\r\nSet-Cookie: x\xff"},
       "HTTP/1.1 302 Found\r\nLocation: /a%0D%0ASet-Cookie:%20x%FF\r\nContent-Length: 0\r\n\r\n"},
      {"with the date",
       {.status = 204, .date = "Sun, 06 Nov 1994 08:49:37 GMT"},
       "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"},
      {"closing",
       {.status = 400, .keep_alive = false},
       "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
      {"keeping an old client",
       {.status = 200, .client_version = Version::kHttp10},
       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"},
      {"204 has no body", {.status = 204, .body = "x"}, "HTTP/1.1 204 No Content\r\n\r\n"},
      {"unregistered status", {.status = 299}, "HTTP/1.1 299 Unknown\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      std::array<char, 512> memory;
      HeadBuffer out(memory);
      write_local_response(out, test.response);
      BOOST_TEST(out.view() == test.expected);
      BOOST_TEST(!out.overflowed());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
