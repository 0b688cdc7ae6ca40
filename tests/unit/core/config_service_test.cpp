// [[service]]: what is read, what is refused and where, and that it needs no listener beside it.
#include <boost/test/unit_test.hpp>
#include <string>

#include "unit/core/config_fixture.h"

namespace shunt::config {
namespace {

const std::string kService =
    "[[service]]\nprotocol = \"tcp\"\naddress = \"192.0.2.1:80\"\ninterface = \"eth0\"\n"
    "forward = \"nat\"\n";
const std::string kServer = "[[service.server]]\naddress = \"10.0.0.1:8080\"\n";

BOOST_AUTO_TEST_SUITE(config_service)

BOOST_AUTO_TEST_CASE(a_service_alone_is_a_configuration) {
  const Loaded loaded = load(kService + kServer);
  BOOST_TEST(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  const Service& service = loaded.config.services.at(0);
  BOOST_TEST(service.name == "tcp-192.0.2.1:80");
  BOOST_TEST(service.tcp);
  BOOST_TEST(!service.udp);
  BOOST_TEST(service.servers.at(0).name == "10.0.0.1:8080");
  BOOST_TEST(service.servers[0].port == 8080);
}

BOOST_AUTO_TEST_CASE(virtual_addresses) {
  struct Case {
    const char* text;
    const char* ip;
    uint16_t first;
    uint16_t last;
  };
  for (const Case& test : {Case{"192.0.2.1:80", "192.0.2.1", 80, 80},
                           Case{"192.0.2.1:8000-8100", "192.0.2.1", 8000, 8100},
                           Case{"192.0.2.1:0", "192.0.2.1", 0, 65535},
                           Case{"192.0.2.1:65535", "192.0.2.1", 65535, 65535},
                           Case{"[2001:db8::1]:53", "2001:db8::1", 53, 53}}) {
    BOOST_TEST_CONTEXT(test.text) {
      const bool v6 = std::string_view(test.ip).contains("::");
      const Loaded loaded =
          load(std::string("[[service]]\nprotocol = \"tcp\"\ninterface = \"eth0\"\n") +
               "forward = \"dr\"\naddress = \"" + test.text + "\"\n[[service.server]]\naddress = " +
               (v6 ? "\"2001:db8::2\"\n" : "\"10.0.0.1\"\n"));
      BOOST_REQUIRE(loaded.diagnostics.all().empty());
      const VirtualAddress& address = loaded.config.services.at(0).addresses.at(0);
      BOOST_TEST(address.ip.to_string() == test.ip);
      BOOST_TEST(address.first == test.first);
      BOOST_TEST(address.last == test.last);
      BOOST_TEST(loaded.config.services[0].servers.at(0).port == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  struct Case {
    std::string text;
    const char* says;
  };
  const std::string dr =
      "[[service]]\nprotocol = \"udp\"\naddress = \"192.0.2.1:53\"\ninterface = \"eth0\"\n"
      "forward = \"dr\"\n";
  for (const Case& test : {
           Case{"[[service]]\n" + kServer, "a service needs \"protocol\""},
           Case{"[[service]]\n" + kServer, "a service needs \"address\""},
           Case{"[[service]]\n" + kServer, "a service needs \"interface\""},
           Case{"[[service]]\n" + kServer, "a service needs \"forward\""},
           Case{kService, "has no server"},
           Case{"[[service]]\naddress = \"192.0.2.1\"\n", "is not \"IP:PORT\""},
           Case{"[[service]]\naddress = \"192.0.2.1:90-80\"\n", "is not \"IP:PORT\""},
           Case{"[[service]]\naddress = \"192.0.2.1:65536\"\n", "is not \"IP:PORT\""},
           Case{"[[service]]\naddress = \"host:80\"\n", "is not \"IP:PORT\""},
           Case{"[[service]]\naddress = \"0.0.0.0:80\"\n", "no address that clients can come for"},
           Case{"[[service]]\naddress = \"127.0.0.1:80\"\n", "no address that clients"},
           Case{"[[service]]\naddress = \"224.0.0.1:80\"\n", "no address that clients"},
           Case{"[[service]]\naddress = \"255.255.255.255:80\"\n", "no address that clients"},
           Case{"[[service]]\naddress = \"[::1]:80\"\n", "no address that clients"},
           Case{"[[service]]\naddress = \"[ff02::1]:80\"\n", "no address that clients"},
           Case{"[[service]]\naddress = \"unix:/x:80\"\n", "is not \"IP:PORT\""},
           Case{"[[service]]\naddress = [\"192.0.2.1:1\", \"[::2]:1\"]\n", "is IPv4 or IPv6"},
           Case{"[[service]]\nprotocol = \"sctp\"\n", "must be \"tcp\" or \"udp\""},
           Case{"[[service]]\nforward = \"masq\"\n", "\"forward\" must be"},
           Case{"[[service]]\ninterface = \"an-interface-name\"\n", "too long"},
           Case{kService + "scheduler = \"wlcc\"\n" + kServer, "unknown scheduler \"wlcc\""},
           Case{kService + kServer + "tunnel_checksum = true\n", "is for tunnel = \"gue\""},
           Case{kService + kServer + "tunnel_checksum = 1\n", "must be true or false"},
           Case{kService + "scheduler_flags = \"mh-port\"\n" + kServer, "a flag of scheduler"},
           Case{kService + "one_packet = true\n" + kServer, "is for protocol = \"udp\""},
           Case{kService + "netmask = 24\n" + kServer, "\"netmask\" is for"},
           Case{kService + "persistence = \"1m\"\nnetmask = 64\n" + kServer, "is at most 32"},
           Case{kService + "forwrd = 1\n" + kServer, "unknown key \"forwrd\""},
           Case{kService + "[[service.server]]\naddress = \"x\"\n", "is not \"IP:PORT\" or \"IP\""},
           Case{kService + "[[service.server]]\naddress = \"dns:a:80\"\n",
                "by its address, not by name"},
           Case{kService + "[[service.server]]\naddress = \"[::1]:80\"\n", "has IPv4 servers"},
           Case{dr + kServer, "only forward = \"nat\" translates ports"},
           Case{kService + kServer + kServer, "server \"10.0.0.1:8080\" is given twice"},
           Case{kService + kServer + kService + "name = \"b\"\n" + kServer,
                "tcp 192.0.2.1 port 80 has a service already, at test.toml:3"},
           Case{kService + kServer + "lower = 2\n", "\"lower\" must not be larger"},
           Case{kService + kServer + "upper = 2147483648\n", "must be 0 to 2147483647"},
       }) {
    const std::string errors = load(test.text).diagnostics.to_string();
    BOOST_TEST(errors.contains(test.says), test.text << " -> " << errors);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::config
