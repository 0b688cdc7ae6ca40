// Routes: which of several counts, families apart, and that the kernel's own can be read.
#include "io/route_table.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt::io {
namespace {

Route route(const char* destination, int interface, const char* gateway = nullptr,
            uint32_t metric = 0, bool refused = false) {
  Route made{.destination = Cidr::parse(destination).value(),
             .interface = interface,
             .metric = metric,
             .refused = refused};
  if (gateway != nullptr) made.gateway = IpAddress::parse(gateway).value();
  return made;
}

BOOST_AUTO_TEST_SUITE(route_table)

BOOST_AUTO_TEST_CASE(the_most_specific_route_counts) {
  const RouteTable table({
      route("0.0.0.0/0", 1, "10.0.0.254", 100),
      route("0.0.0.0/0", 2, "10.0.1.254", 50),
      route("10.0.0.0/8", 3),
      route("10.2.0.0/16", 4, "10.0.0.1"),
      route("10.2.3.0/24", 0, nullptr, 0, true),
      route("10.2.3.4/32", 5),
      route("::/0", 6, "fe80::1"),
      route("2001:db8::/32", 7),
  });
  struct Case {
    const char* address;
    int interface;  // 0: no route.
    const char* gateway;
  };
  for (const Case& test : {
           Case{"192.0.2.1", 2, "10.0.1.254"},
           Case{"10.1.2.3", 3, nullptr},
           Case{"10.2.9.9", 4, "10.0.0.1"},
           Case{"10.2.3.5", 0, nullptr},
           Case{"10.2.3.4", 5, nullptr},
           Case{"2001:db8:1::1", 7, nullptr},
           Case{"2001:db9::1", 6, "fe80::1"},
       }) {
    BOOST_TEST_CONTEXT(test.address) {
      const Route* found = table.find(IpAddress::parse(test.address).value());
      BOOST_REQUIRE((found == nullptr) == (test.interface == 0));
      if (found == nullptr) continue;
      BOOST_TEST(found->interface == test.interface);
      BOOST_TEST(found->on_link() == (test.gateway == nullptr));
      if (test.gateway != nullptr) BOOST_TEST(found->gateway.to_string() == test.gateway);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_default_route_of_one_family_is_not_that_of_the_other) {
  const RouteTable v6({route("::/0", 1, "fe80::1")});
  BOOST_TEST(v6.find(IpAddress::parse("192.0.2.1").value()) == nullptr);
  const RouteTable v4({route("0.0.0.0/0", 1, "10.0.0.1")});
  BOOST_TEST(v4.find(IpAddress::parse("2001:db8::1").value()) == nullptr);
  BOOST_TEST(RouteTable().find(IpAddress::parse("192.0.2.1").value()) == nullptr);
}

BOOST_AUTO_TEST_CASE(the_kernels_routes_can_be_read) {
  const auto routes = read_routes();
  BOOST_REQUIRE(routes.has_value());
  for (const Route& one : *routes) BOOST_TEST((one.refused || one.interface > 0));
  const auto changes = NetworkChanges::open();
  BOOST_REQUIRE(changes.has_value());
  BOOST_TEST((*changes)->fd() >= 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
