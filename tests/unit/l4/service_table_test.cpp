// Which service claims what, as services come and go.
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <vector>

#include "l4/service.h"

namespace shunt::l4::test {
namespace {

const IpAddress kAddress = *IpAddress::parse("198.51.100.1");
const IpAddress kOther = *IpAddress::parse("198.51.100.2");

struct Services {
  Service& make(std::vector<VirtualRange> ranges) {
    ServiceSpec spec;
    spec.name = std::to_string(all.size());
    spec.ranges = std::move(ranges);
    return *all.emplace_back(std::make_unique<Service>(std::move(spec), *set));
  }

  std::unique_ptr<sched::ServerSet> set = std::move(*sched::ServerSet::create("rr", {}));
  std::vector<std::unique_ptr<Service>> all;
};

VirtualRange port(const IpAddress& address, uint16_t number) {
  return VirtualRange::of(address, number, kTcp);
}

Service* find(const ServiceTable& table, const IpAddress& address, uint16_t number) {
  return table.find({.destination = address, .destination_port = number, .protocol = kTcp});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(service_table)

BOOST_AUTO_TEST_CASE(an_address_is_virtual_until_its_last_service_goes) {
  Services services;
  ServiceTable table;
  Service& web = services.make({port(kAddress, 80), port(kAddress, 80), port(kOther, 80)});
  Service& mail = services.make({port(kAddress, 25)});
  for (Service* service : {&web, &mail}) table.add(*service);
  table.remove(web);
  BOOST_TEST(table.is_virtual(kAddress));
  BOOST_TEST(!table.is_virtual(kOther));
  BOOST_TEST(find(table, kAddress, 80) == nullptr);
  table.remove(web);  // As when it is withdrawn and then edited.
  BOOST_TEST(find(table, kAddress, 25) == &mail);
  BOOST_TEST(table.is_virtual(kAddress));
  table.add(web);
  table.remove(mail);
  BOOST_TEST(table.is_virtual(kAddress));
  BOOST_TEST(find(table, kAddress, 80) == &web);
  table.remove(web);
  BOOST_TEST(!table.is_virtual(kAddress));
}

BOOST_AUTO_TEST_CASE(ranges_and_networks) {
  Services services;
  ServiceTable table;
  Service& all = services.make({{.addresses = {kAddress, 128}}});
  Service& web = services.make({port(kAddress, 80)});
  Service& network = services.make({{.addresses = {kOther, 120}}});
  for (Service* service : {&all, &web, &network}) table.add(*service);
  BOOST_TEST(find(table, kAddress, 80) == &web);
  table.remove(web);
  BOOST_TEST(find(table, kAddress, 80) == &all);
  table.remove(all);
  BOOST_TEST(find(table, kAddress, 80) == &network);
  table.add(web);
  table.remove(network);
  BOOST_TEST(find(table, kAddress, 80) == &web);
  BOOST_TEST(table.is_virtual(kAddress));
  BOOST_TEST(!table.is_virtual(kOther));
}

// One whose port another service has taken meanwhile takes nothing away with it.
BOOST_AUTO_TEST_CASE(a_port_of_another) {
  Services services;
  ServiceTable table;
  Service& before = services.make({port(kAddress, 80)});
  Service& after = services.make({port(kAddress, 80)});
  table.add(before);
  table.remove(before);
  table.add(after);
  table.remove(before);
  BOOST_TEST(find(table, kAddress, 80) == &after);
  BOOST_TEST(table.is_virtual(kAddress));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
