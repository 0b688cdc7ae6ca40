// Layer 4 at work when the host's interfaces change, on veth: who answers for the virtual address,
// and how many sockets listen.
#include "app/forwarding.h"

#include <fmt/format.h>
#include <poll.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

#include "core/config_load.h"
#include "sched/registry.h"
#include "support/own_network.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;
using test::in_own_network;
using test::ip;
using test::Peer;

const IpAddress kVirtual = *IpAddress::parse("198.51.100.1");
const IpAddress kClient = *IpAddress::parse("10.0.0.9");
constexpr uint32_t kConnections = 1000;

Layer4Plan plan(std::string_view interface, std::string_view forward = "dr") {
  const std::string text = fmt::format(R"(
[[service]]
name = "web"
protocol = "tcp"
address = "198.51.100.1:80"
interface = "{}"
forward = "{}"
[[service.server]]
name = "s1"
address = "10.0.0.11"
)",
                                       interface, forward);
  const config::Loaded loaded =
      config::load_text(text, "test.toml", {.schedulers = sched::known_schedulers()});
  BOOST_REQUIRE_MESSAGE(!loaded.diagnostics.has_errors(), loaded.diagnostics.to_string());
  return plan_layer4(loaded.config);
}

// Sockets that receive what comes in by an interface. /proc/net is the whole process's.
int listening(int interface) {
  std::ifstream sockets("/proc/thread-self/net/packet");
  std::string line;
  std::getline(sockets, line);
  int count = 0;
  while (std::getline(sockets, line)) {
    std::istringstream words(line);
    std::string address, references, type, protocol;
    int index = 0;
    words >> address >> references >> type >> protocol >> index;
    if (protocol == "0003" && index == interface) ++count;
  }
  return count;
}

int index_of(const std::string& name) {
  return io::find_interface(name)->index;
}

template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 200; ++i) {
    if (condition()) return true;
    ::poll(nullptr, 0, 20);
  }
  return false;
}

std::unique_ptr<Forwarding> open(const Layer4Plan& plan, uint32_t threads = 1) {
  auto forwarding = Forwarding::open(
      {.threads = threads, .limits = {.connections = kConnections}, .cpus = {}}, plan);
  BOOST_REQUIRE_MESSAGE(forwarding.has_value(), (forwarding ? "" : forwarding.error().text));
  (*forwarding)->start();
  return std::move(*forwarding);
}

BOOST_AUTO_TEST_SUITE(forwarding)

BOOST_AUTO_TEST_CASE(other_names_of_an_interface_open_it_once) {
  in_own_network([] {
    ip("address add 10.0.0.1/24 dev a0 label a0:1");
    ip("link property add dev a0 altname another");
    for (const char* name : {"a0", "another", "a0:1"}) {
      BOOST_TEST_CONTEXT(name) {
        const auto forwarding = open(plan(name));
        BOOST_TEST(listening(index_of("a0")) == 1);
        Peer peer("b0");
        BOOST_TEST(peer.ask_for(kVirtual, kClient).has_value());
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_renamed_interface_is_followed) {
  in_own_network([] {
    ip("address add 10.0.0.1/24 dev a0");
    const int index = index_of("a0");
    const auto forwarding = open(plan("a0"));
    BOOST_TEST(Peer("b0").ask_for(kVirtual, kClient).has_value());
    ip("link set a0 down");
    ip("link set a0 name lan0");
    ip("link set lan0 up");
    ip("address add 10.0.0.2/24 dev lan0");
    const auto follows = [&] {
      bool is_named = false;
      forwarding->look(0, [&](const l4::Director&, const l4::Network& network) {
        is_named = network.name(0) == "lan0";
      });
      return is_named;
    };
    BOOST_TEST(comes_true(follows));
    BOOST_TEST(listening(index) == 1);
    BOOST_TEST(Peer("b0").ask_for(kVirtual, kClient).has_value());
    BOOST_TEST(!forwarding->reload(plan("a0")));
    BOOST_TEST(forwarding->reload(plan("lan0")).has_value());
    BOOST_TEST(listening(index) == 1);
  });
}

BOOST_AUTO_TEST_CASE(a_new_interface_of_the_name_is_served) {
  in_own_network([] {
    ip("address add 10.0.0.1/24 dev a0");
    const auto forwarding = open(plan("a0"));
    ip("link del a0");
    ip("link add a0 type veth peer b0");
    for (const char* name : {"a0", "b0"}) ip(fmt::format("link set {} up", name));
    ip("address add 10.0.0.1/24 dev a0");
    BOOST_TEST(comes_true([] { return listening(index_of("a0")) == 1; }));
    Peer peer("b0");
    BOOST_TEST(peer.ask_for(kVirtual, kClient).has_value());
  });
}

// Before Linux 6.13 sockets share only what is up.
BOOST_AUTO_TEST_CASE(what_is_down_at_the_start_is_opened_when_it_comes_up) {
  in_own_network([] {
    ip("address add 10.0.0.1/24 dev a0");
    ip("link set a0 down");
    ip("route add 10.0.0.0/24 dev b0");
    for (const uint32_t threads : {1u, 2u}) {
      BOOST_TEST_CONTEXT(threads << " threads") {
        const auto forwarding = open(plan("a0"), threads);
        ip("link set a0 up");
        BOOST_TEST(
            comes_true([&] { return listening(index_of("a0")) == static_cast<int>(threads); }));
        Peer peer("b0");
        BOOST_TEST(peer.ask_for(kVirtual, kClient).has_value());
        ip("link set a0 down");
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(what_cannot_be_forwarded_by_is_said_at_once) {
  in_own_network([] {
    const auto error_of = [](const Layer4Plan& wanted, uint32_t threads) {
      const auto opened = Forwarding::open(
          {.threads = threads, .limits = {.connections = kConnections}, .cpus = {}}, wanted);
      return opened ? std::string() : opened.error().text;
    };
    BOOST_TEST(
        error_of(plan("none0"), 1).find("service \"web\": interface none0: No such device") == 0u);
    BOOST_TEST(error_of(plan("a0"), 1).find("there is no route to 10.0.0.11") != std::string::npos);
    ip("route add 10.0.0.0/24 dev a0");
    BOOST_TEST(error_of(plan("a0"), 1) == "");
    BOOST_TEST(error_of(plan("a0", "tun"), 1)
                   .find("has no IPv4 address to send a tunnel to 10.0.0.11 from") !=
               std::string::npos);
    ip("tuntap add dev t0 mode tun");
    BOOST_TEST(error_of(plan("t0"), 2).find("not an Ethernet link") != std::string::npos);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
