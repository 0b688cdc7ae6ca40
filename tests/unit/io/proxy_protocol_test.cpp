// The PROXY protocol: what is read, what is refused, and that what is written is read again.
#include "io/proxy_protocol.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt::io {
namespace {

using Status = ProxyParse::Status;

BOOST_AUTO_TEST_SUITE(proxy_protocol)

std::string binary(uint8_t command, uint8_t family, const std::string& rest) {
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header += static_cast<char>(command);
  header += static_cast<char>(family);
  header += static_cast<char>(rest.size() >> 8);
  header += static_cast<char>(rest.size() & 0xff);
  return header + rest;
}

const std::string kEnds4("\xc0\x00\x02\x01\x0a\x00\x00\x01\xd9\x03\x00\x50", 12);
const std::string kEnds6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" +
                           std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x02" +
                           std::string("\xd9\x03\x01\xbb", 4);

struct Good {
  const char* description;
  std::string header;
  const char* source;  // Empty: not told.
  const char* destination = "";
};

BOOST_AUTO_TEST_CASE(headers_that_are_read) {
  const Good cases[] = {
      {"IPv4", "PROXY TCP4 192.0.2.1 10.0.0.1 55555 80\r\n", "192.0.2.1:55555", "10.0.0.1:80"},
      {"IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 55555 443\r\n", "[2001:db8::1]:55555",
       "[2001:db8::2]:443"},
      {"ports at their ends", "PROXY TCP4 192.0.2.1 10.0.0.1 0 65535\r\n", "192.0.2.1:0",
       "10.0.0.1:65535"},
      {"unknown", "PROXY UNKNOWN\r\n", ""},
      {"unknown, with what is to be ignored", "PROXY UNKNOWN ff:: any thing\r\n", ""},
      {"v2, IPv4", binary(0x21, 0x11, kEnds4), "192.0.2.1:55555", "10.0.0.1:80"},
      {"v2, IPv6", binary(0x21, 0x21, kEnds6), "[2001:db8::1]:55555", "[2001:db8::2]:443"},
      {"v2, local", binary(0x20, 0x00, ""), ""},
      {"v2, local with addresses", binary(0x20, 0x11, kEnds4), ""},
      {"v2, unspecified", binary(0x21, 0x00, ""), ""},
      {"v2, datagrams", binary(0x21, 0x12, kEnds4), ""},
      {"v2, unix", binary(0x21, 0x31, std::string(216, 'u')), ""},
      {"v2, an extension", binary(0x21, 0x11, kEnds4 + std::string("\x01\x00\x02h2", 5)),
       "192.0.2.1:55555", "10.0.0.1:80"},
      {"v2, an empty extension", binary(0x21, 0x11, kEnds4 + std::string("\x04\x00\x00", 3)),
       "192.0.2.1:55555", "10.0.0.1:80"},
      {"v2, the right checksum",
       binary(0x21, 0x11, kEnds4 + std::string("\x03\x00\x04\x50\x01\x21\xdc", 7)),
       "192.0.2.1:55555", "10.0.0.1:80"},
  };
  for (const Good& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      const ProxyParse parse = parse_proxy_header(each.header + "GET / HTTP/1.1\r\n");
      BOOST_TEST(parse.why == "");
      BOOST_REQUIRE((parse.status == Status::kComplete));
      BOOST_TEST(parse.header.size == each.header.size());
      BOOST_TEST(parse.header.told.has_value() == (each.source[0] != '\0'));
      if (!parse.header.told) continue;
      BOOST_TEST(parse.header.told->source.to_string() == each.source);
      BOOST_TEST(parse.header.told->destination.to_string() == each.destination);
      for (size_t size = 0; size < each.header.size(); ++size) {
        const ProxyParse part = parse_proxy_header(std::string_view(each.header).substr(0, size));
        BOOST_TEST((part.status == Status::kIncomplete));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(headers_that_are_refused) {
  struct Bad {
    const char* description;
    std::string bytes;
    const char* why;
  };
  const char* const kAddress = "addresses that are none";
  const Bad cases[] = {
      {"a request", "GET / HTTP/1.1\r\n", "without a PROXY header"},
      {"its first byte", "G", "without a PROXY header"},
      {"lower case", "proxy TCP4 192.0.2.1 10.0.0.1 5 80\r\n", "without a PROXY header"},
      {"TLS", std::string("\x16\x03\x01", 3), "without a PROXY header"},
      {"no address", "PROXY TCP4\r\n", kAddress},
      {"no protocol", "PROXY \r\n", "another protocol"},
      {"UDP", "PROXY UDP4 192.0.2.1 10.0.0.1 5 80\r\n", "another protocol"},
      {"three words", "PROXY TCP4 192.0.2.1 10.0.0.1 5\r\n", kAddress},
      {"five words", "PROXY TCP4 192.0.2.1 10.0.0.1 5 80 1\r\n", kAddress},
      {"a space at the end", "PROXY TCP4 192.0.2.1 10.0.0.1 5 80 \r\n", kAddress},
      {"two spaces", "PROXY TCP4  192.0.2.1 10.0.0.1 5 80\r\n", kAddress},
      {"v6 in TCP4", "PROXY TCP4 2001:db8::1 2001:db8::2 5 80\r\n", kAddress},
      {"v4 in TCP6", "PROXY TCP6 192.0.2.1 10.0.0.1 5 80\r\n", kAddress},
      {"octal", "PROXY TCP4 0300.0.2.1 10.0.0.1 5 80\r\n", kAddress},
      {"port too large", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n", kAddress},
      {"port with a sign", "PROXY TCP4 192.0.2.1 10.0.0.1 +5 80\r\n", kAddress},
      {"port with a zero before", "PROXY TCP4 192.0.2.1 10.0.0.1 05 80\r\n", kAddress},
      {"a line without end", "PROXY TCP4 " + std::string(96, '1'), "more than 107 bytes"},
      {"v2 of version 1", binary(0x11, 0x11, kEnds4), "another version"},
      {"v2 with command 2", binary(0x22, 0x11, kEnds4), "another version"},
      {"v2 too short for its addresses", binary(0x21, 0x11, kEnds4.substr(1)), "too short"},
      {"v2 too short for IPv6", binary(0x21, 0x21, kEnds4), "too short"},
      {"v2 too long", binary(0x21, 0x11, std::string(4081, 'x')), "more than 4096"},
      {"v2 with half an extension's head", binary(0x21, 0x11, kEnds4 + "\x01"),
       "half an extension"},
      {"v2 with half an extension", binary(0x21, 0x11, kEnds4 + std::string("\x01\x00\x02h", 4)),
       "half an extension"},
      {"v2 with a wrong checksum",
       binary(0x21, 0x11, kEnds4 + std::string("\x03\x00\x04\x00\x00\x00\x01", 7)),
       "wrong checksum"},
      {"v2 with a checksum of two bytes",
       binary(0x21, 0x11, kEnds4 + std::string("\x03\x00\x02\x00\x00", 5)), "the wrong size"},
  };
  for (const Bad& each : cases) {
    BOOST_TEST_CONTEXT(each.description) {
      const ProxyParse parse = parse_proxy_header(each.bytes);
      BOOST_TEST((parse.status == Status::kMalformed));
      BOOST_TEST(std::string_view(parse.why).find(each.why) != std::string_view::npos, parse.why);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  const std::pair<const char*, const char*> ends[] = {
      {"192.0.2.1:55555", "10.0.0.1:80"},
      {"255.255.255.255:65535", "255.255.255.255:65535"},
      {"[2001:db8::1]:1", "[2001:db8::2]:65535"},
      {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535",
       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
      {"unix:/run/a", "unix:/run/b"},
      {"192.0.2.1:55555", "[2001:db8::2]:80"},
  };
  for (const auto& [source_text, destination_text] : ends) {
    const SocketAddress source = *SocketAddress::parse(source_text);
    const SocketAddress destination = *SocketAddress::parse(destination_text);
    for (const int version : {1, 2}) {
      BOOST_TEST_CONTEXT(source_text << " to " << destination_text << ", version " << version) {
        char out[kProxyHeaderWritten];
        const size_t size = write_proxy_header(version, source, destination, out);
        const ProxyParse parse = parse_proxy_header({out, size});
        BOOST_TEST(parse.why == "");
        BOOST_REQUIRE((parse.status == Status::kComplete));
        BOOST_TEST(parse.header.size == size);
        const bool known = source.is_ip() && source.family() == destination.family();
        BOOST_REQUIRE(parse.header.told.has_value() == known);
        if (!known) continue;
        BOOST_TEST((parse.header.told->source == source));
        BOOST_TEST((parse.header.told->destination == destination));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
