// What ipvsadm saved: the tables that come of it, and every line that cannot be carried over.
#include "app/ipvsadm_save.h"

#include <boost/test/unit_test.hpp>

#include "core/config_load.h"
#include "sched/registry.h"

namespace shunt::app {
namespace {

config::Config load(const std::string& toml) {
  const config::Loaded loaded =
      config::load_text(toml, "test.toml", {.schedulers = sched::known_schedulers()});
  BOOST_REQUIRE_MESSAGE(loaded.diagnostics.all().empty(), loaded.diagnostics.to_string() << toml);
  return loaded.config;
}

constexpr const char* kSaved = R"(# ipvsadm-save
-A -t 192.0.2.1:80 -s mh -p 600 -M 255.255.255.0 -b mh-port,flag-1
-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3 -x 100 -y 50
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0
ipvsadm -A -u 192.0.2.1:53 -s rr --ops

-a -u 192.0.2.1:53 -r 10.0.0.1:53 -i -w 1 --tun-type gue --tun-port 7000 --tun-nocsum
-A -t [2001:db8::1]:443 -s wlc -p -M 128
-a -t [2001:db8::1]:443 -r [2001:db8::a]:443 -g
-A -t 192.0.2.2:0 -s wrr -p 360
-a -t 192.0.2.2:0 -r 10.0.0.3:0 -m
)";

BOOST_AUTO_TEST_SUITE(ipvsadm_save)

BOOST_AUTO_TEST_CASE(what_is_saved_becomes_a_configuration) {
  const Imported imported = import_ipvsadm(kSaved, "eth1");
  for (const ImportProblem& problem : imported.problems)
    BOOST_ERROR(problem.line << ": " << problem.text);
  BOOST_TEST(imported.services == 4u);
  BOOST_TEST(imported.servers == 5u);
  const config::Config config = load(imported.toml);
  BOOST_REQUIRE(config.services.size() == 4u);

  const config::Service& web = config.services[0];
  BOOST_TEST(web.tcp);
  BOOST_TEST(web.interface == "eth1");
  BOOST_TEST((web.forward == config::Forward::kNat));
  BOOST_TEST(web.scheduler == "mh");
  BOOST_TEST((web.scheduler_flags == std::vector<std::string>{"mh-port", "mh-fallback"}));
  BOOST_TEST((web.persistence == std::chrono::minutes(10)));
  BOOST_TEST(web.netmask == 24);
  BOOST_REQUIRE(web.servers.size() == 2u);
  BOOST_TEST(web.servers[0].port == 8080);
  BOOST_TEST(web.servers[0].weight == 3);
  BOOST_TEST(web.servers[0].upper == 100u);
  BOOST_TEST(web.servers[0].lower == 50u);
  BOOST_TEST((web.servers[1].forward == config::Forward::kDirect));
  BOOST_TEST(web.servers[1].weight == 0);

  const config::Service& dns = config.services[1];
  BOOST_TEST(dns.udp);
  BOOST_TEST(dns.one_packet);
  BOOST_TEST((dns.forward == config::Forward::kTunnel));
  BOOST_TEST((dns.servers.at(0).tunnel == config::TunnelKind::kGue));
  BOOST_TEST(dns.servers[0].tunnel_port == 7000);

  BOOST_TEST((config.services[2].persistence == std::chrono::minutes(5)));
  BOOST_TEST(config.services[2].netmask == 0);
  BOOST_TEST(config.services[3].addresses.at(0).last == 65535);
  BOOST_TEST(config.services[3].servers.at(0).port == 0);
}

BOOST_AUTO_TEST_CASE(lines_without_a_counterpart_are_named) {
  struct Case {
    const char* line;
    const char* says;
  };
  const std::string before = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n";
  for (const Case& test : {
           Case{"-A -f 1 -s rr", "firewall mark"},
           Case{"-a -f 1 -r 10.0.0.1:80", "firewall mark"},
           Case{"-A --sctp-service 192.0.2.1:80", "SCTP"},
           Case{"-A -t www:http -s rr", "`ipvsadm -S -n`"},
           Case{"-A -t 192.0.2.9:80 -s wwrr", "no scheduler \"wwrr\""},
           Case{"-A -t 192.0.2.9:80 -p 0", "persistence of \"0\""},
           Case{"-A -t 192.0.2.9:80 -p 60 -M 255.0.255.0", "no netmask"},
           Case{"-A -t 192.0.2.9:80 -p 60 --pe sip", "persistence engines"},
           Case{"-A -t 192.0.2.9:80 -s rr -b mh-port", "no flag \"mh-port\""},
           Case{"-A -t 192.0.2.9:80 --ops", "is for UDP"},
           Case{"-A -t 192.0.2.9:80 -z", "unknown option \"-z\""},
           Case{"-A -s rr", "names no service"},
           Case{"-A -t 192.0.2.1:80 -s rr", "given twice"},
           Case{"-A -t 192.0.2.9:80 -s rr", "without servers"},
           Case{"-a -t 192.0.2.9:80 -r 10.0.0.1:80", "its service is not there"},
           Case{"-a -t 192.0.2.1:80 -m", "names no server"},
           Case{"-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m", "this server is given twice"},
           Case{"-a -t 192.0.2.1:80 -r [2001:db8::a]:80 -m", "other family"},
           Case{"-a -t 192.0.2.1:80 -r 10.0.0.2:80 -w 65536", "must be 0 to 65535"},
           Case{"-a -t 192.0.2.1:80 -r 10.0.0.2:80 -w -1", "must be 0 to 65535"},
           Case{"-a -t 192.0.2.1:80 -r 10.0.0.2:80 -x 1 -y 2", "lower threshold"},
           Case{"-a -t 192.0.2.1:80 -r 10.0.0.2:80 -x 2147483648", "must be 0 to 2147483647"},
           Case{"-a -t 192.0.2.1:80 -r 10.0.0.2:80 -i --tun-type gre", "type \"gre\""},
           Case{"-D -t 192.0.2.1:80", "neither -A nor -a"},
           Case{"TCP  192.0.2.1:80 rr", "neither -A nor -a"},
       }) {
    const Imported imported = import_ipvsadm(before + test.line, "eth0");
    BOOST_TEST_CONTEXT(test.line) {
      BOOST_REQUIRE(imported.problems.size() == 1u);
      BOOST_TEST(imported.problems[0].line == 3u);
      BOOST_TEST(imported.problems[0].text.contains(test.says), imported.problems[0].text);
      BOOST_TEST(load(imported.toml).services.size() == 1u);
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_is_no_service) {
  for (const char* text : {"", "\n\n", "-C\n", "# nothing\n"}) {
    const Imported imported = import_ipvsadm(text, "eth0");
    BOOST_TEST(imported.services == 0u);
    BOOST_TEST(imported.problems.empty());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
