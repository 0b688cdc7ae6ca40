// A network namespace of a test's own, with links that it makes there, and a look at what goes over
// one of them. Without the right to make one (root, or CAP_SYS_ADMIN and CAP_NET_RAW) or without
// veth such tests are skipped, and say so.
#pragma once

#include <poll.h>
#include <sched.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "io/packet_ring.h"
#include "l4/neighbour_message.h"

namespace shunt::test {

// `words` as ip(8) takes them.
inline bool ip_takes(const std::string& words) {
  return std::system(("ip " + words).c_str()) == 0;
}

inline void ip(const std::string& words) {
  BOOST_REQUIRE_MESSAGE(ip_takes(words), "ip " << words);
}

// Runs `body` in a thread of its own in a new namespace, with the pair a0 and b0 of veth, both up;
// what it starts is in there too.
template <class Body>
void in_own_network(Body body) {
  bool is_permitted = false;
  std::exception_ptr failure;
  std::thread([&] {
    is_permitted = ::unshare(CLONE_NEWNET) == 0 && ip_takes("link add a0 type veth peer b0");
    if (!is_permitted) return;
    try {
      for (const char* link : {"a0", "b0"}) ip(std::string("link set ") + link + " up");
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
  if (!is_permitted) BOOST_TEST_MESSAGE("skipped: no right to make a network namespace with veth");
}

// Somebody at the other end of a link.
class Peer {
 public:
  explicit Peer(const std::string& interface) {
    const auto found = io::find_interface(interface);
    BOOST_REQUIRE(found.has_value());
    auto ring = io::PacketRing::open(*found, {.receive_slots = 64, .send_slots = 64});
    BOOST_REQUIRE_MESSAGE(ring.has_value(), (ring ? std::string() : ring.error().text));
    ring_ = std::move(*ring);
  }

  void send(std::span<const uint8_t> bytes) {
    std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    BOOST_REQUIRE(ring_->send({.data = copy.data(), .size = static_cast<uint32_t>(copy.size())}));
    ring_->flush();
  }
  // What a neighbour says next within `patience`, whatever else comes.
  std::optional<l4::NeighbourMessage> hear(std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (true) {
      io::Frame frame;
      while (ring_->receive(frame))
        if (const auto message = l4::parse_neighbour({frame.data, frame.size})) return message;
      const auto left = until - std::chrono::steady_clock::now();
      if (left.count() <= 0) return {};
      pollfd ready{.fd = ring_->fd(), .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, static_cast<int>(left / std::chrono::milliseconds(1)) + 1);
    }
  }
  // The link address that `address` is said to be at next.
  std::optional<l4::MacAddress> hear_of(const IpAddress& address,
                                        std::chrono::milliseconds patience) {
    while (const auto message = hear(patience))
      if (message->sender == address && message->has_mac) return message->mac;
    return {};
  }
  // Asks until that is answered, for some seconds.
  std::optional<l4::MacAddress> ask_for(const IpAddress& address, const IpAddress& as) {
    const l4::Speaker speaker{ring_->interface().mac, as};
    for (int i = 0; i < 50; ++i) {
      send(l4::write_request(speaker, address).span());
      if (const auto mac = hear_of(address, std::chrono::milliseconds(100))) return mac;
    }
    return {};
  }

 private:
  std::unique_ptr<io::PacketRing> ring_;
};

}  // namespace shunt::test
