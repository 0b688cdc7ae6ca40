// Addresses and networks: what is accepted, how it prints, and what must be refused.
#include "core/address.h"

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstring>

namespace shunt {
namespace {

BOOST_AUTO_TEST_SUITE(address)

BOOST_AUTO_TEST_CASE(socket_addresses_print_as_they_were_written) {
  const struct {
    const char* text;
    int family;
    uint16_t port;
  } cases[] = {
      {"1.2.3.4:80", AF_INET, 80},          {"0.0.0.0:0", AF_INET, 0},
      {"[::1]:65535", AF_INET6, 65535},     {"[2001:db8::1]:443", AF_INET6, 443},
      {"unix:/run/shunt.sock", AF_UNIX, 0}, {"unix:@abstract", AF_UNIX, 0},
  };
  for (const auto& [text, family, port] : cases) {
    BOOST_TEST_CONTEXT(text) {
      const auto address = SocketAddress::parse(text);
      BOOST_REQUIRE(address.has_value());
      BOOST_TEST(address->to_string() == text);
      BOOST_TEST(address->family() == family);
      BOOST_TEST(address->port() == port);
      BOOST_TEST((*address == SocketAddress::from_sockaddr(address->data(), address->size())));
    }
  }
}

BOOST_AUTO_TEST_CASE(refused_socket_addresses_say_what_is_wrong) {
  const std::string long_path = "unix:/" + std::string(200, 'x');
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"", "has no port"},
      {"1.2.3.4", "has no port"},
      {"1.2.3.4:", "has no port in 0..65535"},
      {"1.2.3.4:65536", "has no port in 0..65535"},
      {"1.2.3.4:8o", "has no port in 0..65535"},
      {"1.2.3.4:-1", "has no port in 0..65535"},
      {"::1:80", "is not an address and a port"},
      {"[1.2.3.4]:80", "is not an address and a port"},
      {"[::1:80", "is not an address and a port"},
      {"1.2.3:80", "does not begin with an IP address"},
      {"01.2.3.4:80", "does not begin with an IP address"},
      {"localhost:80", "does not begin with an IP address"},
      {"unix:", "expected a path"},
      {"unix:@", "expected a path"},
      {long_path.c_str(), "at most 107 bytes"},
  };
  for (const auto& [text, error] : cases) {
    BOOST_TEST_CONTEXT(text) {
      const auto address = SocketAddress::parse(text);
      BOOST_REQUIRE(!address.has_value());
      BOOST_TEST(address.error().text.find(error) != std::string::npos, address.error().text);
    }
  }
}

BOOST_AUTO_TEST_CASE(equality_looks_at_every_part) {
  const char* const texts[] = {"1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80", "[::1]:80",
                               "unix:/a",    "unix:@/a",   "unix:/ab"};
  for (const char* a : texts)
    for (const char* b : texts)
      BOOST_TEST((*SocketAddress::parse(a) == *SocketAddress::parse(b)) == (a == b),
                 a << " and " << b);
}

BOOST_AUTO_TEST_CASE(an_unnamed_unix_peer_has_an_address_too) {
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  const auto address = SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&unnamed),
                                                    offsetof(sockaddr_un, sun_path));
  BOOST_TEST(address.to_string() == "unix:");
  BOOST_TEST(SocketAddress().to_string() == "unspecified");
}

BOOST_AUTO_TEST_CASE(a_mapped_peer_of_a_dual_stack_socket_is_ipv4) {
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = htons(99);
  const IpAddress v4 = *IpAddress::parse("192.0.2.1");
  std::memcpy(&mapped.sin6_addr, v4.bytes.data(), v4.bytes.size());
  const auto address =
      SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&mapped), sizeof(mapped));
  BOOST_TEST(address.to_string() == "192.0.2.1:99");
  BOOST_TEST(address.ip().is_v4());
}

BOOST_AUTO_TEST_CASE(folding_keeps_ipv4_and_mixes_the_words_of_ipv6) {
  BOOST_TEST(IpAddress::parse("10.1.2.3")->folded() == 0x0a010203u);
  BOOST_TEST(IpAddress::parse("1:2:3:4:5:6:7:8")->folded() ==
             (0x00010002u ^ 0x00030004u ^ 0x00050006u ^ 0x00070008u));
}

BOOST_AUTO_TEST_CASE(networks_contain_their_addresses_only) {
  const struct {
    const char* network;
    const char* address;
    bool inside;
  } cases[] = {
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.128/25", "192.0.2.128", true},
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.2", false},
      {"0.0.0.0/0", "255.1.2.3", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"::/0", "2001:db8::1", true},
      {"2001:db8::/33", "2001:db8:7fff::1", true},
      {"2001:db8::/33", "2001:db8:8000::1", false},
  };
  for (const auto& [network, address, inside] : cases)
    BOOST_TEST(Cidr::parse(network)->contains(*IpAddress::parse(address)) == inside,
               network << " and " << address);
}

BOOST_AUTO_TEST_CASE(networks_print_their_prefix_and_refuse_nonsense) {
  BOOST_TEST(Cidr::parse("10.0.0.0/8")->to_string() == "10.0.0.0/8");
  BOOST_TEST(Cidr::parse("10.0.0.0/8")->prefix == 104);
  BOOST_TEST(Cidr::parse("::1")->to_string() == "::1/128");
  for (const char* text : {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/a", "10.0.0.1/8",
                           "10.0.0/8", "example.com"})
    BOOST_TEST(!Cidr::parse(text).has_value(), text);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
