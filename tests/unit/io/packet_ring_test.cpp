// Packet rings against the kernel, on the loopback of a network namespace of the test's own.
// Without the right to make one (root, or CAP_SYS_ADMIN and CAP_NET_RAW) they are skipped, and say
// so.
#include "io/packet_ring.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "io/event_loop.h"
#include "io/probe.h"

namespace shunt::io {
namespace {

constexpr uint16_t kPort = 7000;
constexpr size_t kUdpHeaders = 14 + 20 + 8;

void bring_up(const std::string& name) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  BOOST_REQUIRE_EQUAL(::ioctl(fd, SIOCGIFFLAGS, &request), 0);
  request.ifr_flags |= IFF_UP;
  BOOST_REQUIRE_EQUAL(::ioctl(fd, SIOCSIFFLAGS, &request), 0);
  ::close(fd);
}

void switch_on(const std::string& setting) {
  std::ofstream file("/proc/sys/net/ipv4/conf/all/" + setting);
  BOOST_REQUIRE((file << "1\n" << std::flush).good());
}

// Runs `body` in a thread of its own, the only one that is in the new namespace.
template <class Body>
void in_own_network(Body body) {
  bool permitted = false;
  std::exception_ptr failure;
  std::thread([&] {
    permitted = ::unshare(CLONE_NEWNET) == 0;
    if (!permitted) return;
    try {
      bring_up("lo");
      // Frames that the test puts on the wire claim to come from here.
      switch_on("route_localnet");
      switch_on("accept_local");
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
  if (!permitted) BOOST_TEST_MESSAGE("skipped: no right to make a network namespace");
}

// A UDP socket bound to 127.0.0.1:port that sends to itself or another port.
class Udp {
 public:
  explicit Udp(uint16_t port) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    const sockaddr_in address = at(port);
    BOOST_REQUIRE_EQUAL(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address),
                        0);
    const int size = 1 << 20;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  }
  ~Udp() { ::close(fd_); }
  Udp(const Udp&) = delete;
  Udp& operator=(const Udp&) = delete;

  void send(const std::string& data, uint16_t port = kPort) {
    const sockaddr_in to = at(port);
    const ssize_t sent = ::sendto(fd_, data.data(), data.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&to), sizeof to);
    BOOST_REQUIRE_EQUAL(sent, static_cast<ssize_t>(data.size()));
  }
  // "" if nothing comes.
  std::string receive(int milliseconds = 1000) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, milliseconds) != 1) return {};
    std::string data(65536, '\0');
    const ssize_t size = ::recv(fd_, data.data(), data.size(), 0);
    data.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return data;
  }

 private:
  static sockaddr_in at(uint16_t port) {
    return {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  }
  int fd_;
};

std::unique_ptr<PacketRing> open_ring(const RingOptions& options = {}) {
  const auto interface = find_interface("lo");
  BOOST_REQUIRE(interface);
  auto ring = PacketRing::open(*interface, options);
  BOOST_REQUIRE_MESSAGE(ring.has_value(), (ring ? std::string() : ring.error().text));
  return std::move(*ring);
}

std::string payload_of(const Frame& frame) {
  BOOST_REQUIRE(frame.size >= kUdpHeaders);
  return {reinterpret_cast<const char*>(frame.data) + kUdpHeaders, frame.size - kUdpHeaders};
}

Frame next(PacketRing& ring) {
  pollfd ready{.fd = ring.fd(), .events = POLLIN, .revents = 0};
  BOOST_REQUIRE_EQUAL(::poll(&ready, 1, 1000), 1);
  Frame frame;
  BOOST_REQUIRE(ring.receive(frame));
  return frame;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(packet_ring)

BOOST_AUTO_TEST_CASE(frames_of_every_size_come_whole_and_go_whole) {
  in_own_network([] {
    const auto ring = open_ring();
    Udp receiver(kPort);
    Udp sender(kPort + 1);
    for (const size_t size : {0, 1, 17, 1472, 1990, 2100, 9000, 16100, 16300, 40000, 65507}) {
      BOOST_TEST_CONTEXT("datagram of " << size << " bytes") {
        std::string data(size, 'x');
        for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>('a' + i % 23);
        sender.send(data);
        BOOST_TEST((receiver.receive() == data));
        Frame frame = next(*ring);
        BOOST_TEST(frame.size == kUdpHeaders + size);
        BOOST_TEST(frame.headroom >= kFrameHeadroom);
        BOOST_TEST((payload_of(frame) == data));
        // Loopback leaves checksums to hardware that is not there.
        BOOST_TEST(frame.offload.needs_checksum());
        BOOST_TEST(frame.offload.checksum_start == 34);
        BOOST_TEST(frame.offload.checksum_offset == 6);
        // Sent again, it reaches the same socket, and the ring that sent it.
        std::memset(frame.data - frame.headroom, 0x5a, frame.headroom);
        BOOST_TEST(ring->send(frame));
        ring->flush();
        BOOST_TEST((receiver.receive() == data));
        BOOST_TEST((payload_of(next(*ring)) == data));
      }
    }
    Frame none;
    BOOST_TEST(!ring->receive(none));
    BOOST_TEST(ring->counters().send_dropped.value() == 0u);
    BOOST_TEST(ring->counters().malformed.value() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_ring_goes_round) {
  in_own_network([] {
    const auto ring = open_ring({.receive_slots = 16, .send_slots = 16});
    Udp receiver(kPort);
    for (int i = 0; i < 100; ++i) {
      receiver.send("datagram " + std::to_string(i));
      BOOST_TEST(receiver.receive() == "datagram " + std::to_string(i));
      Frame frame = next(*ring);
      BOOST_TEST(ring->send(frame));
      ring->flush();
      BOOST_TEST(receiver.receive() == "datagram " + std::to_string(i));
      next(*ring);
    }
  });
}

BOOST_AUTO_TEST_CASE(several_frames_are_held_at_once) {
  in_own_network([] {
    const auto ring = open_ring({.receive_slots = 16, .send_slots = 16});
    Udp sender(kPort);
    const std::string large(30000, 'x');  // There is room for one of these at a time.
    for (int round = 0; round < 10; ++round) {
      for (const std::string& data : {std::string("a"), std::string("b"), large, std::string("c"),
                                      large, std::string("d"), std::string("e")})
        sender.send(data);
      std::vector<std::string> batches;
      std::array<Frame, 2> frames;
      while (const size_t count = ring->receive(frames)) {
        std::string& batch = batches.emplace_back();
        for (const Frame& frame : std::span(frames).first(count))
          batch += payload_of(frame) == large ? "large " : payload_of(frame) + " ";
      }
      const std::vector<std::string> expected = {"a b ", "large ", "c large ", "d e "};
      BOOST_TEST(batches == expected, boost::test_tools::per_element());
    }
  });
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_dropped_and_counted) {
  in_own_network([] {
    const auto ring = open_ring({.receive_slots = 16, .send_slots = 16});
    Udp sender(kPort);
    for (int i = 0; i < 50; ++i) sender.send("x");
    Frame frame;
    size_t received = 0;
    while (ring->receive(frame)) ++received;
    ring->read_statistics();
    BOOST_TEST(received == 16u);
    BOOST_TEST(ring->counters().receive_dropped.value() == 34u);
  });
}

// Of a link that takes little at once everything goes in the end, and in order.
BOOST_AUTO_TEST_CASE(a_slow_link_loses_nothing_that_the_ring_holds) {
  in_own_network([] {
    constexpr int kFrames = 60;
    const auto ring = open_ring({.send_slots = 64});
    Udp receiver(kPort);
    receiver.send(std::string(1000, 'a'));
    Frame frame = next(*ring);
    receiver.receive();
    BOOST_REQUIRE(std::system("tc qdisc add dev lo root tbf rate 4mbit burst 5kb limit 5kb") == 0);
    for (int i = 0; i < kFrames; ++i) {
      frame.data[kUdpHeaders] = static_cast<uint8_t>('0' + i);
      BOOST_TEST(ring->send(frame));
    }
    BOOST_TEST(!ring->flush());
    std::string order;
    for (int i = 0; i < 1000 && order.size() < kFrames; ++i) {
      ring->flush();
      for (std::string data; !(data = receiver.receive(1)).empty();) order += data[0];
    }
    BOOST_TEST(ring->flush());
    std::string expected;
    for (int i = 0; i < kFrames; ++i) expected += static_cast<char>('0' + i);
    BOOST_TEST(order == expected);
    BOOST_TEST(ring->counters().send_dropped.value() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(vlan_tags) {
  in_own_network([] {
    const auto ring = open_ring();
    Udp sender(kPort);
    for (const size_t size : {5u, 30000u}) {
      const std::string data(size, 'v');
      sender.send(data);
      Frame frame = next(*ring);
      BOOST_TEST(frame.vlan_protocol == 0);
      frame.vlan_protocol = 0x8100;
      frame.vlan = 0x2005;  // Priority 1, VLAN 5.
      BOOST_TEST(ring->send(frame));
      ring->flush();
      const Frame tagged = next(*ring);
      BOOST_TEST(tagged.vlan_protocol == 0x8100);
      BOOST_TEST(tagged.vlan == 0x2005);
      BOOST_TEST((payload_of(tagged) == data));
    }
  });
}

BOOST_AUTO_TEST_CASE(rings_of_a_group_share_flows) {
  in_own_network([] {
    // By the source port, so that the test knows what comes where.
    Fanout fanout{.group = {},
                  .program = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, uint32_t(SKF_NET_OFF) + 20),
                              BPF_STMT(BPF_RET | BPF_A, 0)}};
    const auto even = open_ring({.fanout = &fanout});
    fanout.group = even->fanout_group();
    BOOST_REQUIRE(fanout.group.has_value());
    const auto odd = open_ring({.fanout = &fanout});
    BOOST_TEST((odd->fanout_group() == fanout.group));
    Udp receiver(kPort);
    Udp first(6000);
    Udp second(6001);
    for (int i = 0; i < 5; ++i) {
      first.send("even");
      second.send("odd");
    }
    for (int i = 0; i < 5; ++i) {
      BOOST_TEST(payload_of(next(*even)) == "even");
      BOOST_TEST(payload_of(next(*odd)) == "odd");
    }
    Frame none;
    BOOST_TEST(!even->receive(none));
    BOOST_TEST(!odd->receive(none));
    // The other way round from now on.
    fanout.program.insert(fanout.program.end() - 1, BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 1));
    BOOST_TEST(odd->set_fanout(fanout.program).has_value());
    first.send("even");
    BOOST_TEST(payload_of(next(*odd)) == "even");
  });
}

BOOST_AUTO_TEST_CASE(a_filter_chooses) {
  in_own_network([] {
    // The destination port is 7001.
    const sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, uint32_t(SKF_NET_OFF) + 22),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7001, 0, 1),
                                  BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
                                  BPF_STMT(BPF_RET | BPF_K, 0)};
    const auto ring = open_ring({.filter = filter});
    Udp sender(kPort);
    sender.send("not this", 7000);
    sender.send("this", 7001);
    BOOST_TEST(payload_of(next(*ring)) == "this");
    const sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    BOOST_TEST(ring->set_filter(nothing).has_value());
    sender.send("not this", 7001);
    const sock_filter wrong[] = {BPF_STMT(BPF_LD | BPF_IMM, 0)};  // It does not return.
    BOOST_TEST(!ring->set_filter(wrong));
    sender.send("still not this", 7001);
    for (int i = 0; i < 2; ++i) BOOST_TEST(ring->set_filter({}).has_value());
    sender.send("anything", 7000);
    BOOST_TEST(payload_of(next(*ring)) == "anything");
  });
}

BOOST_AUTO_TEST_CASE(both_event_loops_wake_for_frames) {
  struct Waiter {
    Op op;
    int woken = 0;
    void on_ready(int32_t result) {
      BOOST_TEST((result & POLLIN) != 0);
      ++woken;
    }
  };
  in_own_network([] {
    std::vector<LoopChoice> choices(1);
    if (const auto features = probe()) choices.push_back({.uring = *features});
    for (const LoopChoice& choice : choices) {
      BOOST_TEST_CONTEXT(choice.to_string()) {
        const auto loop = EventLoop::create(choice, {});
        BOOST_REQUIRE(loop);
        const auto ring = open_ring();
        Udp sender(kPort);
        Waiter waiter;
        bind<&Waiter::on_ready>(waiter.op, waiter);
        for (int round = 1; round <= 3; ++round) {
          (*loop)->poll(waiter.op, ring->fd(), POLLIN);
          (*loop)->run_once(Duration(0));
          BOOST_TEST(waiter.woken == round - 1);
          sender.send("a");
          sender.send("b");
          for (int turn = 0; turn < 10 && waiter.woken < round; ++turn)
            (*loop)->run_once(std::chrono::milliseconds(100));
          BOOST_TEST(waiter.woken == round);
          Frame frame;
          int frames = 0;
          while (ring->receive(frame)) ++frames;
          BOOST_TEST(frames == 2);
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(errors_say_what_is_missing) {
  const auto interface = find_interface("nosuch0");
  BOOST_REQUIRE(!interface);
  BOOST_TEST(interface.error().text.find("interface nosuch0: No such device; there are: ") == 0u);
  BOOST_TEST(interface.error().text.find("lo") != std::string::npos);
  BOOST_TEST(!find_interface("a-name-that-no-interface-can-have"));

  const NetworkInterface tunnel{.name = "tun7", .index = 1, .mtu = 1500};
  const auto ring = PacketRing::open(tunnel, {});
  BOOST_REQUIRE(!ring);
  BOOST_TEST(ring.error().text.find("interface tun7: not an Ethernet link") == 0u);
  in_own_network([] {
    const NetworkInterface gone{.name = "gone0", .index = 4711, .mtu = 1500, .ethernet = true};
    const auto none = PacketRing::open(gone, {});
    BOOST_REQUIRE(!none);
    BOOST_TEST(none.error().text.find("interface gone0: bind: ") == 0u);
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::io
