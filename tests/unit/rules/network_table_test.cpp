// Networks: the longest prefix first, IPv4 and IPv6 apart, and as Cidr::contains() says.
#include "rules/network_table.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace shunt::rules {
namespace {

BOOST_AUTO_TEST_SUITE(network_table_test)

BOOST_AUTO_TEST_CASE(finds_all_networks_of_an_address) {
  const std::vector<std::string> networks = {
      "0.0.0.0/0",      "10.0.0.0/8", "10.1.0.0/16",   "10.1.2.3",
      "192.0.2.128/25", "::/0",       "2001:db8::/33", "::1"};
  NetworkTable table;
  for (uint32_t i = 0; i < networks.size(); ++i) table.add(*Cidr::parse(networks[i]), i);
  const struct {
    const char* address;
    std::vector<uint32_t> expected;
  } cases[] = {
      {"10.1.2.3", {3, 2, 1, 0, 5}}, {"10.1.2.4", {2, 1, 0, 5}},
      {"10.2.0.1", {1, 0, 5}},       {"192.0.2.127", {0, 5}},
      {"192.0.2.255", {4, 0, 5}},    {"2001:db8:7fff::1", {6, 5}},
      {"2001:db8:8000::1", {5}},     {"::1", {7, 5}},
  };
  for (const auto& test : cases) {
    const IpAddress address = *IpAddress::parse(test.address);
    std::vector<uint32_t> found;
    table.find(address, [&](uint32_t value) { found.push_back(value); });
    BOOST_TEST(found == test.expected, test.address);
    size_t containing = 0;
    for (const std::string& network : networks)
      containing += Cidr::parse(network)->contains(address) ? 1 : 0;
    BOOST_TEST(found.size() == containing, test.address);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
