// Whom the director speaks as.
#include "l4/host_view.h"

#include <boost/test/unit_test.hpp>
#include <string>

#include "support/own_network.h"

namespace shunt::l4::test {
namespace {

using shunt::test::in_own_network;
using shunt::test::ip;

BOOST_AUTO_TEST_SUITE(host_view)

BOOST_AUTO_TEST_CASE(the_source_is_what_the_kernel_would_take) {
  in_own_network([] {
    for (const char* address : {"10.0.0.5/24", "10.1.0.5/24", "10.1.0.6/24"})
      ip(std::string("address add ") + address + " dev a0");
    ip("address add 2001:db8:1::5/64 dev a0 nodad");
    ip("address add 2001:db8:2::5/64 dev a0 nodad");
    ip("address add 2001:db8:6::5/64 dev b0 nodad");
    ip("address add 192.0.2.9/32 dev lo");
    ip("link set lo up");
    ip("route add 192.0.2.0/25 via 10.1.0.1");
    ip("route add 198.51.100.0/24 via 10.0.0.1 src 10.1.0.6");
    ip("route add 203.0.113.0/24 dev b0");
    ip("-6 route add 2001:db8:3::/64 via 2001:db8:2::1");
    ip("-6 route add 2001:db8:4::/64 via 2001:db8:1::1 src 2001:db8:2::5");
    ip("-6 route add 2001:db8:5::/64 via fe80::1 dev b0");
    const auto view = HostView::read();
    BOOST_REQUIRE(view.has_value());
    struct Case {
      const char* destination;
      const char* source;
    };
    for (const Case& test : {
             Case{"10.0.0.9", "10.0.0.5"},
             Case{"10.1.0.9", "10.1.0.5"},
             Case{"192.0.2.7", "10.1.0.5"},
             Case{"198.51.100.7", "10.1.0.6"},
             Case{"203.0.113.7", "192.0.2.9"},  // Of another interface: this one has none.
             Case{"2001:db8:1::9", "2001:db8:1::5"},
             Case{"2001:db8:2::9", "2001:db8:2::5"},
             Case{"2001:db8:3::9", "2001:db8:2::5"},
             Case{"2001:db8:4::9", "2001:db8:2::5"},
             Case{"2001:db8:5::9", "2001:db8:6::5"},
         }) {
      const IpAddress destination = *IpAddress::parse(test.destination);
      const io::Route* route = view->routes.find(destination);
      BOOST_REQUIRE_MESSAGE(route != nullptr, test.destination);
      const std::string source = view->source_for(*route, destination).to_string();
      BOOST_TEST_CONTEXT(test.destination) {
        BOOST_TEST(source == test.source);
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_host_without_addresses_has_no_source) {
  in_own_network([] {
    ip("route add 203.0.113.0/24 dev b0");
    const auto view = HostView::read();
    BOOST_REQUIRE(view.has_value());
    const IpAddress destination = *IpAddress::parse("203.0.113.7");
    BOOST_TEST((view->source_for(*view->routes.find(destination), destination) == IpAddress{}));
  });
}

BOOST_AUTO_TEST_CASE(an_interface_has_one_name) {
  in_own_network([] {
    ip("address add 10.0.0.5/24 dev a0");
    ip("address add 10.0.0.6/24 dev a0 label a0:1");
    ip("link property add dev a0 altname another");
    const auto plain = io::find_interface("a0");
    BOOST_REQUIRE(plain.has_value());
    BOOST_TEST(plain->addresses.size() >= 2u);  // Those with a label are there too.
    for (const char* other : {"a0:1", "another"}) {
      const auto found = io::find_interface(other);
      BOOST_REQUIRE(found.has_value());
      BOOST_TEST(found->name == "a0");
      BOOST_TEST(found->index == plain->index);
      BOOST_TEST((found->addresses == plain->addresses));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::l4::test
