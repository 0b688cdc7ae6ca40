// What is said of a host that lacks something, or whose settings disturb; the host is made up. The
// end-to-end tests have each of the texts on real ones.
#include "app/service_doubts.h"

#include <fmt/format.h>
#include <linux/capability.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "app_fixture.h"

namespace shunt::app {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBoth = uint64_t{1} << CAP_NET_RAW | uint64_t{1} << CAP_NET_ADMIN;

// eth0 with 10.1.0.0/24 for clients, eth1 with 10.2.0.0/24 and 2001:db8:2::/64 for servers; all
// settings are off.
struct World {
  World() : facts(make()) { facts.settings = scratch.file("net"); }

  static HostFacts make() {
    const auto interface = [](const char* name, int index, const char* address) {
      return io::NetworkInterface{.name = name,
                                  .index = index,
                                  .up = true,
                                  .ethernet = true,
                                  .neighbours = true,
                                  .addresses = {IpAddress::parse(address).value()},
                                  .prefixes = {24}};
    };
    const auto route = [](const char* network, int index) {
      return io::Route{.destination = Cidr::parse(network).value(), .interface = index};
    };
    return {.view = {.interfaces = {interface("eth0", 2, "10.1.0.254"),
                                    interface("eth1", 3, "10.2.0.254")},
                     .routes = io::RouteTable({route("10.1.0.0/24", 2), route("10.2.0.0/24", 3),
                                               route("2001:db8:2::/64", 3)})},
            .proxies = {},
            .capabilities = kBoth,
            .settings = {},
            .local_route = [](const IpAddress&) { return std::nullopt; },
            .own_name = [](const std::string& name) -> std::optional<std::string> {
              if (name == "front" || name == "eth0:1") return "eth0";
              return {};
            }};
  }

  void set(const std::string& setting) const {
    const fs::path path = facts.settings / setting;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "1\n";
  }

  void unset(const std::string& setting) const { fs::remove(facts.settings / setting); }

  // "error TEXT = WAY OUT" of each, in the order of places; then whether what is lacking is no
  // right.
  std::string look(const std::string& services, Severity lacking = Severity::kError) {
    const Prepared prepared = test::prepare_text(services);
    BOOST_REQUIRE_MESSAGE(prepared.good(), prepared.diagnostics.to_string());
    Diagnostics diagnostics;
    allowed = doubt_services(prepared.config().services, facts, lacking, diagnostics);
    std::string lines;
    for (const Diagnostic& one : diagnostics.all())
      lines +=
          fmt::format("{}:{} {} {} = {}\n", one.place.line, one.place.column,
                      one.severity == Severity::kError ? "error" : "warning", one.text, one.hint);
    return lines;
  }

  test::ScratchDirectory scratch;
  HostFacts facts;
  bool allowed = false;
};

std::string service(const std::string& name, const std::string& address, const std::string& server,
                    const std::string& interface = "eth0", const std::string& forward = "nat") {
  return fmt::format(
      "[[service]]\nname = \"{}\"\nprotocol = \"tcp\"\naddress = \"{}\"\ninterface = \"{}\"\n"
      "forward = \"{}\"\n[[service.server]]\nname = \"a\"\naddress = \"{}\"\n",
      name, address, interface, forward, server);
}

const std::string kWeb = service("web", "10.1.0.100:80", "10.2.0.11");
const std::string kWeb6 = service("web6", "[2001:db8:1::100]:80", "2001:db8:2::11");

BOOST_AUTO_TEST_SUITE(service_doubts)

BOOST_AUTO_TEST_CASE(a_host_that_has_everything) {
  World world;
  BOOST_TEST(world.look(kWeb + kWeb6).empty());
  BOOST_TEST(world.allowed);
  world.facts.capabilities = 0;
  Diagnostics diagnostics;
  BOOST_TEST(doubt_services({}, world.facts, Severity::kError, diagnostics));
  BOOST_TEST(diagnostics.all().empty(), "without a service nothing is needed");
}

BOOST_AUTO_TEST_CASE(what_is_lacking_is_an_error_only_where_it_runs) {
  World world;
  const std::string text = service("web", "10.1.0.254:80", "10.3.0.11", "eth");
  for (const auto& [lacking, level] :
       {std::pair(Severity::kError, "error"), std::pair(Severity::kWarning, "warning")}) {
    BOOST_TEST(
        world.look(text, lacking) ==
        fmt::format(
            "5:13 {0} service \"web\": there is no interface \"eth\" on this host = did you mean "
            "\"eth0\"? there are: eth0, eth1\n"
            "4:11 {0} 10.1.0.254 is an address of this host, whose own stack would answer; a "
            "virtual address is on no interface: choose another, or, if nothing else needs it here "
            "= "
            "ip address del 10.1.0.254/24 dev eth0\n"
            "7:1 {0} service \"web\", server \"a\": there is no route to 10.3.0.11 on this host = "
            "ip route add 10.3.0.11 via GATEWAY\n",
            level));
    BOOST_TEST(world.allowed, "a right is not among it");
  }
  BOOST_TEST(world.look(service("web", "10.1.0.100:80", "10.2.0.11", "wan"))
                 .contains("= there are: eth0, eth1\n"));
}

BOOST_AUTO_TEST_CASE(other_names_of_an_interface) {
  World world;
  for (const char* name : {"front", "eth0:1"}) {
    const std::string web = service("web", "10.1.0.100:80", "10.2.0.11", name);
    world.set("ipv4/conf/eth0/forwarding");
    BOOST_TEST(world.look(web).starts_with(
        "5:13 warning this host forwards what comes in by eth0 itself, packets for 10.1.0.100"));
    world.unset("ipv4/conf/eth0/forwarding");
    BOOST_TEST(world.look(web).empty(), name);
  }
}

BOOST_AUTO_TEST_CASE(servers_that_are_the_host_itself) {
  World world;
  world.set("ipv4/conf/eth1/forwarding");
  for (const char* server : {"10.2.0.254", "127.0.0.1"})
    BOOST_TEST(world.look(service("web", "10.1.0.100:80", server)).empty(), server);
  BOOST_TEST(world.look(service("web", "10.1.0.100:80", "10.2.0.254:80")).empty(), "its port");
  BOOST_TEST(
      world.look(service("web", "10.1.0.100:80", "10.2.0.254:8080"))
          .starts_with("7:1 error service \"web\", server \"a\": 10.2.0.254 is an address of this "
                       "host itself, which gets packets with the port that they came for = leave "
                       "\":8080\" off"));
  world.facts.view.routes = io::RouteTable(std::vector<io::Route>{});
  BOOST_TEST(world.look(service("web", "10.1.0.100:80", "10.2.0.254")).empty(), "without a route");
  world.facts.view.interfaces[1].ethernet = false;
  BOOST_TEST(world.look(service("web", "10.1.0.100:80", "10.2.0.254")).empty(), "on any link");
}

BOOST_AUTO_TEST_CASE(rights) {
  World world;
  world.facts.capabilities = uint64_t{1} << CAP_NET_RAW;
  BOOST_TEST(world.look(kWeb).starts_with("1:1 warning layer 4 needs CAP_NET_ADMIN, "));
  BOOST_TEST(world.allowed);
  world.facts.capabilities = ~kBoth;
  BOOST_TEST(world.look(kWeb + kWeb6).contains("1:1 error layer 4 needs CAP_NET_RAW, "));
  BOOST_TEST(!world.allowed);
  BOOST_TEST(
      world.look(kWeb, Severity::kWarning).contains("1:1 warning layer 4 needs CAP_NET_RAW, "));
}

BOOST_AUTO_TEST_CASE(an_interface_is_spoken_of_once) {
  World world;
  world.facts.view.interfaces[0].up = false;
  world.facts.view.interfaces[1].ethernet = false;
  const std::string said = world.look(kWeb + kWeb6);
  BOOST_TEST(
      said ==
      "5:13 warning service \"web\": interface eth0 is down, or has no carrier: nothing can "
      "be forwarded by it = ip link set eth0 up\n"
      "7:1 error service \"web\", server \"a\": interface eth1 is no Ethernet link = layer 4 "
      "needs one: of a tunnel or PPP link, the Ethernet side\n");
}

BOOST_AUTO_TEST_CASE(local_routes) {
  World world;
  world.facts.local_route = [](const IpAddress& address) -> std::optional<io::LocalRoute> {
    if (!address.is_v4()) return {};
    return io::LocalRoute{.destination = Cidr::parse("10.1.0.96/28").value(),
                          .interface = "lo",
                          .table = 77,
                          .of_address = false};
  };
  BOOST_TEST(world.look(kWeb + kWeb6) ==
             "4:11 error the route \"local 10.1.0.96/28 dev lo\" makes 10.1.0.100 this host's own, "
             "whose stack would answer = ip route del local 10.1.0.96/28 dev lo table 77\n");
  world.facts.local_route = [](const IpAddress&) { return io::LocalRoute{.of_address = true}; };
  BOOST_TEST(world.look(kWeb).empty(), "with an address that has gone meanwhile");
}

BOOST_AUTO_TEST_CASE(forwarding_of_the_host) {
  World world;
  world.set("ipv4/conf/all/forwarding");   // Of no effect by itself.
  world.set("ipv6/conf/eth0/forwarding");  // Nor is this.
  BOOST_TEST(world.look(kWeb + kWeb6).empty());
  world.set("ipv4/conf/eth1/forwarding");
  const std::string more = service("more", "10.1.0.101:80", "10.2.0.12");
  BOOST_TEST(world.look(kWeb + more)
                 .starts_with("7:1 warning this host forwards what comes in by eth1 "
                              "itself, the answers of server \"a\" too: "));
  BOOST_TEST(!world.look(kWeb + more).contains("10.2.0.12"), "once is enough");
  BOOST_TEST(world.look(service("web", "10.1.0.100:80", "10.2.0.11", "eth0", "dr")).empty(),
             "answers go elsewhere");
  world.set("ipv6/conf/eth0/force_forwarding");
  BOOST_TEST(world.look(kWeb6).contains(
      "5:13 warning this host forwards what comes in by eth0 itself, packets for 2001:db8:1::100"));
}

BOOST_AUTO_TEST_CASE(proxies) {
  World world;
  const std::string there = service("web", "10.2.0.100:80", "10.2.0.11", "eth0", "dr");
  const std::string here = service("web", "10.1.0.100:80", "10.2.0.11", "eth0", "dr");
  const auto says = [&](const std::string& text) {
    const std::string said = world.look(text);
    const size_t at = said.find("4:11 ");
    return at == std::string::npos ? "" : said.substr(at, said.find('\n', at) - at);
  };
  const std::string answers =
      "4:11 warning this host answers {} for {} on eth0 itself, even when Shunt does not run or "
      "another director has the address = {}";
  world.set("ipv4/conf/all/proxy_arp");
  BOOST_TEST(says(there).empty(), "it does not forward");
  world.set("ipv4/conf/eth0/forwarding");
  const std::string all = (world.facts.settings / "ipv4/conf/all/proxy_arp").string();
  BOOST_TEST(says(there) ==
             fmt::format(fmt::runtime(answers), "ARP", "10.2.0.100", "echo 0 > " + all));
  BOOST_TEST(says(here).empty(), "it would not leave by another interface");
  fs::remove(all);
  for (const auto& [index, warned] :
       {std::pair(3, false), std::pair(2, true), std::pair(0, true)}) {
    world.facts.proxies = {{IpAddress::parse("10.2.0.100").value(), index}};
    BOOST_TEST(says(there).empty() != warned, index);
  }
  world.facts.proxies = {{IpAddress::parse("2001:db8:1::100").value(), 2}};
  world.set("ipv6/conf/eth0/forwarding");
  BOOST_TEST(says(kWeb6).empty(), "proxy_ndp is off");
  world.set("ipv6/conf/eth0/proxy_ndp");
  BOOST_TEST(says(kWeb6) == fmt::format(fmt::runtime(answers), "neighbour discovery",
                                        "2001:db8:1::100",
                                        "ip -6 neigh del proxy 2001:db8:1::100 dev eth0"));
}

BOOST_AUTO_TEST_CASE(this_host_can_be_read) {
  const auto facts = HostFacts::read();
  BOOST_REQUIRE(facts.has_value());
  BOOST_TEST(facts->view.find("lo") != nullptr);
  const auto own = facts->local_route(IpAddress::parse("127.0.0.1").value());
  BOOST_REQUIRE(own.has_value());
  BOOST_TEST(own->of_address);
  BOOST_TEST(own->interface == "lo");
  BOOST_TEST(facts->find("lo:1") == facts->view.find("lo"));
  BOOST_TEST(facts->find("no-such-name") == nullptr);
  BOOST_TEST(!facts->local_route(IpAddress::parse("192.0.2.1").value()).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
