// Which servers of a plan are the director itself, over a host of the test's own.
#include "app/local_servers.h"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "io/local_stack.h"
#include "l4/packet.h"

namespace shunt::app {
namespace {

l4::HostView host() {
  const auto with = [](std::string name, std::vector<const char*> addresses) {
    io::NetworkInterface interface{.name = std::move(name)};
    for (const char* address : addresses) interface.addresses.push_back(*IpAddress::parse(address));
    return interface;
  };
  l4::HostView view;
  view.interfaces = {with("lo", {"127.0.0.1", "::1"}),
                     with("eth0", {"10.0.0.254", "2001:db8::254"}),
                     with(std::string(io::LocalStack::kDevice), {"192.0.2.80"})};
  return view;
}

// A service at port 80 of the address (up to `last`), with a server for each "address:port".
ServicePlan service(const char* address, std::vector<const char*> servers, uint16_t last = 80) {
  ServicePlan plan;
  plan.spec.name = "web";
  plan.spec.method = l4::Method::kNat;
  plan.spec.ranges = {{.addresses = {*IpAddress::parse(address), 128},
                       .first = 80,
                       .last = last,
                       .protocol = l4::kTcp}};
  for (const char* server : servers) {
    const SocketAddress where = *SocketAddress::parse(server);
    plan.real.push_back({.name = server, .address = where.ip(), .port = where.port()});
  }
  return plan;
}

BOOST_AUTO_TEST_SUITE(local_servers)

BOOST_AUTO_TEST_CASE(an_address_of_the_host_is_local) {
  struct Row {
    const char* server;
    bool local;
  };
  const Row rows[] = {{"10.0.0.254:80", true},  {"10.0.0.254:0", true},  {"127.0.0.1:80", true},
                      {"127.1.2.3:80", true},   {"10.0.0.21:80", false}, {"192.0.2.80:80", false},
                      {"10.0.0.21:8080", false}};
  for (const Row& row : rows) {
    Layer4Plan plan{{service("192.0.2.80", {row.server})}};
    BOOST_REQUIRE_MESSAGE(mark_local_servers(plan, host()), row.server);
    const auto method = plan.services[0].real[0].method;
    BOOST_TEST((method == l4::Method::kLocal) == row.local, row.server);
    BOOST_TEST(method.has_value() == row.local, row.server);
  }
  Layer4Plan v6{{service("2001:db8::80", {"[2001:db8::254]:80", "[2001:db8::21]:80"})}};
  BOOST_REQUIRE(mark_local_servers(v6, host()).has_value());
  BOOST_TEST((v6.services[0].real[0].method == l4::Method::kLocal));
  BOOST_TEST(!v6.services[0].real[1].method.has_value());
  BOOST_TEST(v6.services[0].to_string().ends_with("; \"[2001:db8::254]:80\" is this host itself"));
}

BOOST_AUTO_TEST_CASE(a_port_is_not_translated) {
  const ServicePlan plans[] = {service("192.0.2.80", {"10.0.0.254:8080"}),
                               service("192.0.2.80", {"10.0.0.254:80"}, 90)};
  for (const ServicePlan& one : plans) {
    Layer4Plan plan{{one}};
    const auto marked = mark_local_servers(plan, host());
    BOOST_REQUIRE(!marked);
    BOOST_TEST(marked.error().text.starts_with("service \"web\", server \"10.0.0.254:80"),
               marked.error().text);
  }
}

BOOST_AUTO_TEST_CASE(addresses_of_services_with_a_local_server) {
  const Layer4Plan given{{service("192.0.2.80", {"10.0.0.21:80", "10.0.0.254:80"}),
                          service("192.0.2.81", {"10.0.0.21:80"}),
                          service("192.0.2.80", {"127.0.0.1:80"})}};
  Layer4Plan plan = given;
  BOOST_REQUIRE(mark_local_servers(plan, host()).has_value());
  BOOST_TEST((local_addresses(plan) == std::vector{*IpAddress::parse("192.0.2.80")}));
  BOOST_TEST(local_addresses(given).empty());
  BOOST_TEST(same_locality(plan, plan));
  BOOST_TEST(!same_locality(plan, given));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
