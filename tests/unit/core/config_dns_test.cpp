// Server addresses by name: what is one, and what it is called.
#include "core/config_dns.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "core/config_load.h"
#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

BOOST_AUTO_TEST_SUITE(config_dns)

BOOST_AUTO_TEST_CASE(names_and_ports) {
  const std::string label(63, 'a');
  const std::string longest =
      label + "." + label + "." + label + "." + std::string(61, 'b');  // 253 characters.
  const struct {
    std::string text;
    std::string name;  // "": refused.
    uint16_t port = 0;
    bool service = false;
  } cases[] = {
      {"dns:images.internal:8080", "images.internal", 8080},
      {"dns:localhost:1", "localhost", 1},
      {"dns:Images.Internal.:80", "images.internal", 80},
      {"dns:a_b.c-d.e9:65535", "a_b.c-d.e9", 65535},
      {"dns:10.0.0.1.nip.io:80", "10.0.0.1.nip.io", 80},
      {"dns:" + longest + ":80", longest, 80},
      {"srv:_http._tcp.images.internal", "_http._tcp.images.internal", 0, true},
      {"srv:web.service.consul.", "web.service.consul", 0, true},
      {"dns:b" + longest + ":80", ""},
      {"dns:a" + label + ":80", ""},
      {"dns:images.internal", ""},
      {"dns::80", ""},
      {"dns:.:80", ""},
      {"dns:a..b:80", ""},
      {"dns:-a.b:80", ""},
      {"dns:a-.b:80", ""},
      {"dns:a b:80", ""},
      {"dns:a/b:80", ""},
      {"dns:\xc3\xa4.test:80", ""},
      {"dns:10.0.0.1:80", ""},
      {"dns:10.0.0.300:80", ""},
      {"dns:[::1]:80", ""},
      {"dns:a:0", ""},
      {"dns:a:65536", ""},
      {"dns:a:http", ""},
      {"dns:a:+80", ""},
      {"srv:", ""},
      {"srv:_http._tcp.a:80", ""},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.text) {
      BOOST_TEST(is_dns_address(test.text));
      const auto address = parse_dns_address(test.text);
      BOOST_TEST(address.has_value() == !test.name.empty());
      if (!address || test.name.empty()) continue;
      BOOST_TEST(address->name == test.name);
      BOOST_TEST(address->port == test.port);
      BOOST_TEST(address->service == test.service);
    }
  }
  BOOST_TEST(!is_dns_address("10.0.0.1:80"));
  BOOST_TEST(!is_dns_address("unix:/run/dns:a"));
}

BOOST_AUTO_TEST_CASE(the_name_that_servers_go_by) {
  const struct {
    const char* text;
    const char* host;
    const char* authority;
  } cases[] = {
      {"dns:images.internal:8080", "images.internal", "images.internal:8080"},
      {"dns:_odd.internal:80", "_odd.internal", "_odd.internal:80"},
      {"srv:_http._tcp.images.internal", "images.internal", "images.internal"},
      {"srv:web.service.consul", "web.service.consul", "web.service.consul"},
      {"srv:_tcp", "_tcp", "_tcp"},
  };
  for (const auto& test : cases) {
    const auto address = parse_dns_address(test.text);
    BOOST_REQUIRE(address.has_value());
    BOOST_TEST(address->host() == test.host);
    BOOST_TEST(address->authority() == test.authority);
  }
}

BOOST_AUTO_TEST_CASE(members_are_found_by_their_names) {
  const Loaded loaded = load(std::string(kListenerText) + R"([pool.p]
server = [
  { name = "img", address = "dns:images.internal:80" },
  { name = "im", address = "10.0.0.1:80" },
  { address = "srv:_http._tcp.images.internal", tls = {}, family = "ipv6" },
  { address = "unix:/run/img/10.0.0.1:80" },
]
)");
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  const Pool& pool = loaded.config.pools.at(0);
  const Server* servers = pool.servers.data();
  const std::string member = member_name("img", *SocketAddress::parse("[2001:db8::1]:80"));
  BOOST_TEST(member == "img/[2001:db8::1]:80");
  BOOST_TEST(pool.find_server(member) == &servers[0]);
  BOOST_TEST(pool.find_server("img") == &servers[0]);
  BOOST_TEST(pool.find_server("im") == &servers[1]);
  BOOST_TEST(pool.find_server("im/10.0.0.2:80") == nullptr);  // Stands for itself alone.
  BOOST_TEST(pool.find_server("srv:_http._tcp.images.internal/10.0.0.1:80") == &servers[2]);
  BOOST_TEST(pool.find_server("unix:/run/img/10.0.0.1:80") == &servers[3]);
  BOOST_TEST(pool.find_server("i") == nullptr);
  BOOST_TEST(pool.find_server("images") == nullptr);
  BOOST_TEST(pool.has_names());

  BOOST_TEST(servers[0].address.size() == 0u);
  BOOST_TEST((servers[2].dns->family == AddressFamily::kIpv6));
  BOOST_TEST(servers[2].tls.name == "images.internal");  // Not an address, which would come and go.
}

BOOST_AUTO_TEST_CASE(nameservers_are_addresses) {
  const Loaded loaded = load(std::string(kListenerText) + std::string(kPoolText) +
                             "[resolver]\nnameservers = [\"10.0.0.1\", \"::1\", \"[::1]:5353\"]\n");
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  std::string text;
  for (const SocketAddress& one : loaded.config.resolver.nameservers) text += one.to_string() + " ";
  BOOST_TEST(text == "10.0.0.1:53 [::1]:53 [::1]:5353 ");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
