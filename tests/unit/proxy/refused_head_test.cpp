// What the log tells about requests that are none.
#include "proxy/refused_head.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt::proxy {
namespace {

BOOST_AUTO_TEST_SUITE(refused_head)

BOOST_AUTO_TEST_CASE(as_much_as_can_be_told) {
  const struct {
    const char* description;
    std::string bytes;
    const char* method;
    std::string target;
    const char* version;
    const char* host;
  } cases[] = {
      {"a line and a host", "GET /a?b HTTP/1.1\r\nX: 1\r\nhOST: \ta.example \r\nHost: b\r\n\r\n",
       "GET", "/a?b", "HTTP/1.1", "a.example"},
      {"a version of the future", "GET / HTTP/3.0\r\n", "GET", "/", "HTTP/3.0", ""},
      {"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\n", "GET", "/", "HTTP/1.1", ""},
      {"a line that goes on", "GET /half", "GET", "/half", "", ""},
      {"spaces in the target", "GET /a b c HTTP/1.1\r\n", "GET", "/a b c", "HTTP/1.1", ""},
      {"no version", "GET /a b\r\nHost", "GET", "/a b", "", ""},
      {"no method", "G@T / HTTP/1.1\r\n", "", "G@T / HTTP/1.1", "", ""},
      {"another protocol", "\x16\x03\x01 \x02", "", "\x16\x03\x01 \x02", "", ""},
      {"only a word", "QUIT\r\n", "", "QUIT", "", ""},
      {"nothing", "\r\n", "", "", "", ""},
      {"a long target", "GET /" + std::string(9000, 'x'), "GET", "/" + std::string(511, 'x'), "",
       ""},
      {"a long word", std::string(40, 'A') + " / HTTP/1.1", "",
       std::string(40, 'A') + " / HTTP/1.1", "", ""},
  };
  for (const auto& [description, bytes, method, target, version, host] : cases) {
    BOOST_TEST_CONTEXT(description) {
      const RefusedHead head = read_refused(bytes);
      BOOST_TEST(head.method == method);
      BOOST_TEST(head.target == target);
      BOOST_TEST(head.version == version);
      BOOST_TEST(head.host == host);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
