// What one of several threads has of the whole, and what a ring has to let in.
#include "app/layer4_shares.h"

#include <boost/test/unit_test.hpp>

namespace shunt::app {
namespace {

IpAddress address(uint32_t number) {
  return IpAddress::from_v4(0xc6336400 + number);
}

Layer4Plan plan(uint32_t number) {
  Layer4Plan plan;
  ServicePlan& service = plan.services.emplace_back();
  service.spec.ranges = {{.addresses = {address(number), 128}, .first = 80, .last = 80}};
  service.real = {
      {.name = "nat", .address = address(2000 + number), .method = l4::Method::kNat},
      {.name = "tun", .address = address(4000 + number), .method = l4::Method::kTunnel}};
  return plan;
}

BOOST_AUTO_TEST_SUITE(layer4_shares)

BOOST_AUTO_TEST_CASE(old_addresses_are_of_interest_for_a_while) {
  l4::Interest interest;
  for (uint32_t i = 0; i < 2000; ++i) interest = interest_of(plan(i), interest);
  BOOST_TEST((interest.virtual_addresses.front() == address(1999)));
  BOOST_TEST(interest.virtual_addresses.size() == 65u);
  BOOST_TEST((interest.virtual_addresses.back() == address(1935)));
  BOOST_TEST(interest.nat_servers.size() == 65u);
  BOOST_TEST(interest.tunnel_servers.size() == 65u);
  BOOST_TEST(!l4::frame_filter(interest, {}).empty());
  BOOST_TEST(!l4::client_fanout(interest, {}).empty());
  // One that comes back is the plan's, and once there.
  interest = interest_of(plan(1998), interest);
  BOOST_TEST((interest.virtual_addresses.front() == address(1998)));
  BOOST_TEST(std::ranges::count(interest.virtual_addresses, address(1998)) == 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
