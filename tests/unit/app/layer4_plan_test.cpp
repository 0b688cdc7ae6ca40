// What a [[service]] becomes for the packet path.
#include "app/layer4_plan.h"

#include <boost/test/unit_test.hpp>

#include "app/layer4_shares.h"
#include "core/config_load.h"
#include "l4/packet.h"
#include "sched/registry.h"

namespace shunt::app {
namespace {

constexpr const char* kText = R"(
[[service]]
name = "web"
protocol = ["tcp", "udp"]
address = ["192.0.2.1:80", "192.0.2.1:8000-8010"]
interface = "eth0"
forward = "dr"
scheduler = "mh"
scheduler_flags = ["mh-port"]
persistence = "1m"
netmask = 24
timeout_tcp = "1h"
timeout_fin = "10s"
timeout_udp = "20s"
sloppy_tcp = true
expire_no_destination = true
expire_quiescent_template = true
path_mtu_discovery = false
connection_reuse = 3

[[service.server]]
name = "a"
address = "10.0.0.1"
weight = 3
upper = 10
lower = 5
[[service.server]]
name = "b"
address = "10.0.0.2"
forward = "tun"
tunnel = "gue"
tunnel_port = 7000
tunnel_checksum = true

[[service]]
protocol = "udp"
address = "[2001:db8::53]:53"
interface = "eth1"
forward = "nat"
one_packet = true
[[service.server]]
address = "[2001:db8::1]:5353"
)";

BOOST_AUTO_TEST_SUITE(layer4_plan)

BOOST_AUTO_TEST_CASE(every_key_arrives) {
  const config::Loaded loaded =
      config::load_text(kText, "test.toml", {.schedulers = sched::known_schedulers()});
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string());
  const Layer4Plan plan = plan_layer4(loaded.config);
  BOOST_REQUIRE(plan.services.size() == 2u);

  const ServicePlan& web = plan.services[0];
  BOOST_TEST(web.spec.name == "web");
  BOOST_TEST(web.interface == "eth0");
  BOOST_REQUIRE(web.spec.ranges.size() == 2u);
  BOOST_TEST(web.spec.ranges[0].first == 80);
  BOOST_TEST(web.spec.ranges[1].last == 8010);
  BOOST_TEST(web.spec.ranges[1].protocol == 0);
  BOOST_TEST(web.spec.ranges[1].addresses.prefix == 128);
  BOOST_TEST(web.spec.group);
  BOOST_TEST((web.spec.method == l4::Method::kDirect));
  BOOST_TEST((web.spec.persistence == std::chrono::minutes(1)));
  BOOST_TEST(web.spec.persistence_prefix == 120);
  BOOST_TEST((web.spec.timeouts.of(l4::TcpState::kEstablished) == std::chrono::hours(1)));
  BOOST_TEST((web.spec.timeouts.of(l4::TcpState::kFinWait) == std::chrono::seconds(10)));
  BOOST_TEST((web.spec.timeouts.udp == std::chrono::seconds(20)));
  BOOST_TEST(web.spec.sloppy_tcp);
  BOOST_TEST(web.spec.expire_no_destination);
  BOOST_TEST(web.spec.expire_quiescent_template);
  BOOST_TEST(!web.spec.path_mtu_discovery);
  BOOST_TEST(web.spec.connection_reuse == 3);
  BOOST_TEST(web.spec.scheduler == "mh");
  BOOST_TEST(web.spec.scheduler_flags.at(0) == "mh-port");
  BOOST_REQUIRE(web.servers.size() == 2u);
  BOOST_TEST(web.servers[0].weight == 3);
  BOOST_TEST(web.servers[0].upper == 10u);
  BOOST_TEST(web.servers[0].lower == 5u);
  BOOST_TEST(web.real[0].weight == 3);
  BOOST_TEST(!web.real[0].method.has_value());
  BOOST_TEST((web.real[1].method == l4::Method::kTunnel));
  BOOST_TEST((web.real[1].tunnel == l4::TunnelKind::kGue));
  BOOST_TEST(web.real[1].tunnel_port == 7000);
  BOOST_TEST(web.real[1].tunnel_checksum);
  BOOST_TEST(!web.real[0].tunnel_checksum);
  BOOST_TEST(web.to_string() ==
             "service web: tcp+udp 192.0.2.1:80 tcp+udp 192.0.2.1:8000-8010 on eth0, dr, mh, "
             "2 servers");

  const ServicePlan& dns = plan.services[1];
  BOOST_TEST(dns.spec.one_packet);
  BOOST_TEST(!dns.spec.group);
  BOOST_TEST(dns.spec.ranges.at(0).protocol == l4::kUdp);
  BOOST_TEST(dns.real.at(0).port == 5353);
  BOOST_TEST(dns.servers.at(0).address.port() == 5353);
}

BOOST_AUTO_TEST_CASE(what_a_thread_has_of_the_limits) {
  struct Case {
    Layer4Limits limits;
    uint32_t threads;
    uint32_t connections;
    uint32_t new_connections;
  };
  for (const Case& test : {
           Case{{.connections = 1000, .new_connections = 0}, 1, 1000, 0},
           Case{{.connections = 1000, .new_connections = 500}, 1, 1000, 500},
           Case{{.connections = 1000, .new_connections = 500}, 4, 250, 125},
           Case{{.connections = 1001, .new_connections = 3}, 4, 251, 1},
       }) {
    const l4::DirectorSpec spec = share_of(test.limits, test.threads, 7);
    BOOST_TEST(spec.connections == test.connections);
    BOOST_TEST(spec.defence.new_connections == test.new_connections);
    if (test.new_connections != 0) BOOST_TEST(spec.defence.burst == test.new_connections);
    BOOST_TEST(spec.seed == 7u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
