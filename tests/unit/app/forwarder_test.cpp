// What a changed plan does to the services of a forwarding thread, in the order in which a reload
// has it done.
#include "app/forwarder.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "unit/l4/packet_builder.h"

namespace shunt::app {
namespace {

using l4::test::Build;
using l4::test::Bytes;

ServicePlan plan_of(const std::string& name, std::string_view address, l4::Method method) {
  ServicePlan plan;
  plan.spec.name = name;
  plan.spec.method = method;
  plan.spec.ranges.push_back(l4::VirtualRange::of(*IpAddress::parse(address), 80, l4::kTcp));
  const IpAddress server = *IpAddress::parse("10.1.0.1");
  plan.servers.push_back({.name = "a", .address = SocketAddress(server, 0)});
  plan.real.push_back({.name = "a", .address = server});
  return plan;
}

class Bench {
 public:
  Bench() { forwarder_.start({}); }

  void apply(const Layer4Plan& plan) {
    forwarder_.ask_to_rest();
    forwarder_.await_rest();
    forwarder_.withdraw_services(plan);
    for (const ServicePlan& one : plan.services) {
      auto& set = sets_[one.spec.name];
      if (set == nullptr) set = std::move(*sched::ServerSet::create("rr", {}, 1));
      forwarder_.take_service(one, *set);
      BOOST_REQUIRE(set->reconcile(one.servers, "rr", {}).has_value());
      forwarder_.list_servers(one);
    }
    forwarder_.resume();
  }

  // Connections that have been opened on this service.
  uint64_t opened(const std::string& name) const {
    return forwarder_.services().find(name)->second->traffic.connections.value();
  }

  l4::Drop forward(const Bytes& packet) {
    l4::Outcome outcome;
    forwarder_.look([&](l4::Director& director, l4::Network&) {
      Bytes frame(l4::kHeadroom);
      frame.insert(frame.end(), packet.begin(), packet.end());
      l4::Packet handed{.data = frame.data() + l4::kHeadroom,
                        .size = static_cast<uint32_t>(packet.size()),
                        .headroom = l4::kHeadroom};
      outcome = director.forward(handed, std::chrono::steady_clock::now());
    });
    return outcome.drop;
  }

 private:
  struct Asks {
    Asks() : fd(::eventfd(0, EFD_CLOEXEC)) {}
    ~Asks() { ::close(fd); }
    int fd;
  };

  Asks asks_;
  std::map<std::string, std::unique_ptr<sched::ServerSet>> sets_;
  Forwarder forwarder_{{.connections = 100}, asks_.fd, std::chrono::steady_clock::now()};
};

}  // namespace

BOOST_AUTO_TEST_SUITE(forwarder)

BOOST_AUTO_TEST_CASE(services_that_swap_addresses) {
  Bench bench;
  bench.apply({.services = {plan_of("one", "198.51.100.1", l4::Method::kDirect),
                            plan_of("two", "198.51.100.2", l4::Method::kDirect)}});
  bench.apply({.services = {plan_of("one", "198.51.100.2", l4::Method::kDirect),
                            plan_of("two", "198.51.100.1", l4::Method::kDirect)}});
  // There is no route here; the connection is made before that is found out.
  BOOST_TEST((bench.forward(Build::tcp("192.0.2.7:1", "198.51.100.1:80")) == l4::Drop::kNoRoute));
  BOOST_TEST(bench.opened("two") == 1u);
  BOOST_TEST((bench.forward(Build::tcp("192.0.2.7:1", "198.51.100.2:80")) == l4::Drop::kNoRoute));
  BOOST_TEST(bench.opened("one") == 1u);
}

// The connections of servers that have the service's method end with it.
BOOST_AUTO_TEST_CASE(a_service_changes_its_method) {
  Bench bench;
  bench.apply({.services = {plan_of("one", "198.51.100.1", l4::Method::kDirect)}});
  bench.forward(Build::tcp("192.0.2.7:1", "198.51.100.1:80"));
  const Bytes segment = Build::tcp("192.0.2.7:1", "198.51.100.1:80", "A");
  BOOST_TEST((bench.forward(segment) == l4::Drop::kNoRoute));
  bench.apply({.services = {plan_of("one", "198.51.100.1", l4::Method::kDirect)}});
  BOOST_TEST((bench.forward(segment) == l4::Drop::kNoRoute), "nothing has changed");
  bench.apply({.services = {plan_of("one", "198.51.100.1", l4::Method::kTunnel)}});
  BOOST_TEST((bench.forward(segment) == l4::Drop::kServerGone));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::app
