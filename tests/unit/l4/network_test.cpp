// Links and served addresses when the host's interfaces change, on veth.
#include "l4/network.h"

#include <array>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <vector>

#include "support/own_network.h"

namespace shunt::l4::test {
namespace {

using namespace std::chrono_literals;
using shunt::test::in_own_network;
using shunt::test::ip;
using shunt::test::Peer;

const IpAddress kVirtual = *IpAddress::parse("198.51.100.1");

// One thread's network on a0, which answers for an address.
class Host {
 public:
  Host() {
    read();
    open("a0");
    serve("a0");
  }

  // As the host is now.
  void read() {
    auto view = HostView::read();
    BOOST_REQUIRE(view.has_value());
    auto next = std::make_unique<const HostView>(std::move(*view));
    network.adopt(*next, Instant{});
    view_ = std::move(next);
    network.flush();
  }
  void open(const std::string& name) {
    const io::NetworkInterface& interface = *view_->find(name);
    auto ring = Network::open_ring(interface, nullptr);
    BOOST_REQUIRE(ring.has_value());
    network.open_link(interface, std::move(*ring), Instant{});
    network.flush();
  }
  void serve(const std::string& name) {
    network.serve(std::vector<ServedAddress>{{name, kVirtual}}, Instant{});
    network.flush();
  }
  int index(const std::string& name) const { return view_->find(name)->index; }
  MacAddress mac(const std::string& name) const { return view_->find(name)->mac; }

  Network network{Instant{}};

 private:
  std::unique_ptr<const HostView> view_;
};

BOOST_AUTO_TEST_SUITE(network)

BOOST_AUTO_TEST_CASE(another_link_address_is_announced) {
  in_own_network([] {
    Peer peer("b0");
    Host host;
    BOOST_TEST((peer.hear_of(kVirtual, 1s) == host.mac("a0")));
    host.read();
    BOOST_TEST((!peer.hear_of(kVirtual, 100ms)));
    ip("link set a0 address 02:00:00:00:00:77");
    host.read();
    BOOST_TEST((peer.hear_of(kVirtual, 1s) == MacAddress{2, 0, 0, 0, 0, 0x77}));
  });
}

BOOST_AUTO_TEST_CASE(a_fall_between_two_looks_is_announced) {
  in_own_network([] {
    const auto changes = io::NetworkChanges::open();
    BOOST_REQUIRE(changes.has_value());
    BOOST_TEST(!(*changes)->take());
    Peer peer("b0");
    Host host;
    BOOST_TEST((peer.hear_of(kVirtual, 1s) == host.mac("a0")));
    ip("link set a0 mtu 1400");
    ip("link set a0 mtu 1500");
    BOOST_TEST((*changes)->take());
    BOOST_TEST(!(*changes)->has_fallen(host.index("a0")));
    ip("link set a0 down");
    ip("link set a0 up");
    BOOST_TEST((*changes)->take());
    BOOST_TEST((*changes)->has_fallen(host.index("a0")));
    host.network.note_fall(host.index("a0"));
    host.read();
    BOOST_TEST((peer.hear_of(kVirtual, 1s) == host.mac("a0")));
  });
}

BOOST_AUTO_TEST_CASE(a_carrier_that_fails_for_a_moment_has_fallen) {
  in_own_network([] {
    const auto changes = io::NetworkChanges::open();
    BOOST_REQUIRE(changes.has_value());
    ip("link set b0 down");
    ip("link set b0 up");
    const auto a0 = io::find_interface("a0");
    bool has_fallen = false;
    pollfd told{.fd = (*changes)->fd(), .events = POLLIN, .revents = 0};
    while (!has_fallen && ::poll(&told, 1, 3000) == 1)  // The kernel may take a second to tell.
      has_fallen = (*changes)->take() && (*changes)->has_fallen(a0->index);
    BOOST_TEST(has_fallen);
  });
}

BOOST_AUTO_TEST_CASE(a_renamed_interface_keeps_its_link) {
  in_own_network([] {
    Host host;
    const int index = host.index("a0");
    ip("link set a0 down");
    ip("link set a0 name lan0");
    ip("link set lan0 up");
    host.read();
    BOOST_TEST(host.network.has_link(index));
    BOOST_TEST(host.network.links() == 1u);
    BOOST_TEST(host.network.name(0) == "lan0");
    host.serve("lan0");
    BOOST_TEST(host.network.links() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(one_of_the_same_name_takes_the_place_of_one_that_is_gone) {
  in_own_network([] {
    Host host;
    host.open("b0");
    ip("link del a0");
    host.read();
    BOOST_TEST(!host.network.is_open(0));
    BOOST_TEST(!host.network.is_open(1));
    ip("link add a0 type veth peer b0");
    ip("link set a0 up");
    ip("link set b0 up");
    host.read();
    host.open("b0");
    Peer peer("b0");
    host.open("a0");
    BOOST_TEST(host.network.links() == 2u);
    BOOST_TEST(host.network.name(0) == "a0");
    BOOST_TEST((peer.hear_of(kVirtual, 1s) == host.mac("a0")));
  });
}

// As where one of several threads cannot open what the others have.
BOOST_AUTO_TEST_CASE(numbers_do_not_depend_on_what_is_open) {
  in_own_network([] {
    auto view = HostView::read();
    BOOST_REQUIRE(view.has_value());
    Network closed{Instant{}};
    closed.adopt(*view, Instant{});
    BOOST_TEST(closed.number(*view->find("b0")) == 0u);
    BOOST_TEST(closed.number(*view->find("a0")) == 1u);
    BOOST_TEST(closed.number(*view->find("b0")) == 0u);
    BOOST_TEST(!closed.is_open(0));
    closed.serve(std::vector<ServedAddress>{{"a0", kVirtual}}, Instant{});
    auto ring = Network::open_ring(*view->find("a0"), nullptr);
    BOOST_REQUIRE(ring.has_value());
    Peer peer("b0");
    closed.open_link(*view->find("a0"), std::move(*ring), Instant{});
    closed.flush();
    BOOST_TEST(closed.is_open(1));
    BOOST_TEST((peer.hear_of(kVirtual, 1s) == view->find("a0")->mac));
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::l4::test
