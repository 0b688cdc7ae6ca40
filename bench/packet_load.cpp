// The load of the layer 4 benchmark: 64-byte UDP frames of many flows, at a rate or as fast as they
// go. Sends by a packet ring, past the host's stack and the queueing discipline; each frame belongs
// to a flow picked at random, so that the director finds nothing of a connection in its cache.
// Prints what was sent, as JSON.
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "core/address.h"
#include "io/packet_ring.h"
#include "l4/byte_order.h"
#include "l4/checksum.h"

namespace {

using namespace shunt;
using namespace shunt::l4;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kEthernet = 14;
constexpr uint32_t kFrame = 64 - 4;  // The four bytes at its end are the link's.
constexpr uint32_t kIpv4Header = 20;
constexpr uint32_t kBurst = 32;
constexpr uint32_t kFirstClient = 0x0b000000;  // 11.0.0.0 on: flows differ in address and port.
constexpr uint32_t kPortsPerClient = 1000;
constexpr uint16_t kFirstPort = 1024;

struct Options {
  std::string interface;
  std::string mac;
  std::string target;
  uint32_t flows = 1;
  double rate = 0;  // Packets a second; 0: as many as go.
  double seconds = 1;
  bool each_once = false;
};

class Load {
 public:
  Load(io::PacketRing& ring, const std::array<uint8_t, 6>& mac, const SocketAddress& target)
      : ring_(ring) {
    std::memcpy(bytes_.data(), mac.data(), mac.size());
    std::memcpy(bytes_.data() + 6, ring.interface().mac.data(), 6);
    store_be16(bytes_.data() + 12, 0x0800);
    uint8_t* ip = bytes_.data() + kEthernet;
    ip[0] = 0x45;
    store_be16(ip + 2, kFrame - kEthernet);
    ip[8] = 64;
    ip[9] = 17;
    store_be32(ip + 16, target.ip().v4());
    uint8_t* udp = ip + kIpv4Header;
    store_be16(udp + 2, target.port());
    store_be16(udp + 4, kFrame - kEthernet - kIpv4Header);
  }

  void send(uint32_t flow) {
    uint8_t* ip = bytes_.data() + kEthernet;
    uint8_t* udp = ip + kIpv4Header;
    store_be32(ip + 12, kFirstClient + flow / kPortsPerClient);
    store_be16(udp, static_cast<uint16_t>(kFirstPort + flow % kPortsPerClient));
    store_raw16(ip + 10, 0);
    store_raw16(ip + 10, finish(add_bytes({ip, kIpv4Header})));
    // Pseudo header and datagram: addresses, protocol and length, then the bytes.
    store_raw16(udp + 6, 0);
    constexpr uint32_t kLength = kFrame - kEthernet - kIpv4Header;
    std::array<uint8_t, 4> tail{0, 17, 0, kLength};
    auto sum = add_bytes({ip + 12, 8});
    sum = add_bytes(tail, sum);
    store_raw16(udp + 6, finish(add_bytes({udp, kLength}, sum)));
    io::Frame frame;
    frame.data = bytes_.data();
    frame.size = kFrame;
    while (!ring_.send(frame)) ring_.flush();
    ++sent_;
  }

  uint64_t sent() const { return sent_; }

 private:
  io::PacketRing& ring_;
  std::array<uint8_t, kFrame> bytes_{};
  uint64_t sent_ = 0;
};

// Bursts at the rate, until `next` says that there is no more. Not much of what was late is made up
// for: many bursts at once would overflow what lies between.
template <class Next>
void send_bursts(io::PacketRing& ring, double rate, Next next) {
  const std::chrono::duration<double> interval(rate > 0 ? kBurst / rate : 0);
  for (auto due = Clock::now();; due += std::chrono::duration_cast<Clock::duration>(interval)) {
    std::this_thread::sleep_until(due);
    due = std::max(due, Clock::now() - std::chrono::milliseconds(1));
    bool more = true;
    for (uint32_t i = 0; i < kBurst && more; ++i) more = next();
    while (!ring.flush()) {
    }
    if (!more) return;
  }
}

void run(const Options& options, io::PacketRing& ring, Load& load) {
  if (options.each_once) {
    uint32_t flow = 0;
    send_bursts(ring, options.rate, [&] {
      if (flow == options.flows) return false;
      load.send(flow++);
      return true;
    });
    return;
  }
  std::minstd_rand random(1);
  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  send_bursts(ring, options.rate, [&] {
    if (load.sent() % kBurst == 0 && Clock::now() >= end) return false;
    load.send(static_cast<uint32_t>(random() % options.flows));
    return true;
  });
}

Result<std::array<uint8_t, 6>> parse_mac(const std::string& text) {
  std::array<unsigned, 6> parts{};
  if (std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &parts[0], &parts[1], &parts[2], &parts[3],
                  &parts[4], &parts[5]) != 6)
    return fail("not a MAC address: " + text);
  std::array<uint8_t, 6> mac{};
  for (size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<uint8_t>(parts[i]);
  return mac;
}

Result<void> start(const Options& options) {
  const auto mac = parse_mac(options.mac);
  if (!mac) return std::unexpected(mac.error());
  const auto target = SocketAddress::parse(options.target);
  if (!target) return std::unexpected(target.error());
  const auto interface = io::find_interface(options.interface);
  if (!interface) return std::unexpected(interface.error());
  const auto ring = io::PacketRing::open(*interface, {.receive_slots = 32, .bypass_qdisc = true});
  if (!ring) return std::unexpected(ring.error());
  prctl(PR_SET_TIMERSLACK, 1);  // Nanoseconds: bursts come when they are due.
  Load load(**ring, *mac, *target);
  const auto begin = Clock::now();
  run(options, **ring, load);
  const std::chrono::duration<double> spent = Clock::now() - begin;
  std::printf("{\"sent\": %llu, \"seconds\": %.4f}\n", static_cast<unsigned long long>(load.sent()),
              spent.count());
  return {};
}

}  // namespace

int main(int count, char** words) {
  Options options;
  CLI::App app("64-byte UDP frames for the layer 4 benchmark");
  app.add_option("--interface", options.interface, "to send by")->required();
  app.add_option("--mac", options.mac, "of the next hop")->required();
  app.add_option("--target", options.target, "IPv4 address and port")->required();
  app.add_option("--flows", options.flows, "how many")->check(CLI::Range(1u, 16'000'000u));
  app.add_option("--rate", options.rate, "packets a second; 0: as many as go");
  app.add_option("--seconds", options.seconds, "how long")->check(CLI::Range(0.0, 60.0));
  app.add_flag("--each-once", options.each_once, "one packet of each flow, in order");
  CLI11_PARSE(app, count, words);
  if (const auto done = start(options); !done) {
    std::fprintf(stderr, "packet_load: %s\n", done.error().text.c_str());
    return 1;
  }
  return 0;
}
