// What a packet costs in the layer 4 director, without sockets: nanoseconds per 64-byte UDP frame
// with 1, 10,000 and 1,000,000 connections in the table, for each method and for the answers of
// NAT. Each packet belongs to a flow picked at random, so that with a million of them nothing of a
// connection is in the cache. Prints the median of several passes, what a new connection costs, and
// the memory of the table. Exits 1 if a packet costs more than the 150 ns that are promised.
#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "l4/checksum.h"
#include "l4/director.h"
#include "sched/server_set.h"

namespace {

using namespace shunt;
using namespace shunt::l4;

constexpr double kAllowedNanoseconds = 150;
constexpr uint32_t kFlowCounts[] = {1, 10'000, 1'000'000};
constexpr size_t kBatch = 2048;
constexpr size_t kAhead = 32;  // Packets for which memory is loaded before they are forwarded.
constexpr int kBatchesPerPass = 128;
constexpr int kPasses = 7;
constexpr uint32_t kFrame = 256;           // Of the ring: headroom and the packet.
constexpr uint32_t kPacket = 64 - 14 - 4;  // An Ethernet frame of 64 bytes, by its IP packet.
constexpr uint32_t kServers = 4;

// The thread's own CPU time, so that a busy machine does not count.
double now_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

struct Network final : Links, Output {
  const Hop* hop_to(const IpAddress&) override { return &hop; }
  void transmit(const Packet& packet, const Hop&) override { bytes += packet.size; }
  void deliver(const Packet& packet) override { bytes += packet.size; }
  Hop hop{.own = IpAddress::from_v4(0x0a0100fe)};
  uint64_t bytes = 0;
};

struct Endpoint {
  uint32_t address;
  uint16_t port;
};

// UDP with a checksum, in a frame of the ring.
Packet write_packet(uint8_t* frame, Endpoint from, Endpoint to) {
  uint8_t* ip = frame + kHeadroom;
  std::memset(ip, 0, kPacket);
  ip[0] = 0x45;
  store_be16(ip + 2, kPacket);
  ip[8] = 64;
  ip[9] = kUdp;
  store_be32(ip + 12, from.address);
  store_be32(ip + 16, to.address);
  store_raw16(ip + 10, finish(add_bytes({ip, kIpv4Header})));
  uint8_t* udp = ip + kIpv4Header;
  constexpr uint32_t kLength = kPacket - kIpv4Header;
  store_be16(udp, from.port);
  store_be16(udp + 2, to.port);
  store_be16(udp + 4, kLength);
  Headers headers;
  headers.tuple.protocol = kUdp;
  store_raw16(udp + 6, finish(add_bytes({udp, kLength}, pseudo_sum(ip, headers, kLength))));
  return {.data = ip, .size = kPacket, .headroom = kHeadroom};
}

class Farm {
 public:
  Farm(Method method, uint32_t flows, bool replies)
      : flows_(flows), replies_(replies), set_(*sched::ServerSet::create("rr", {}, 1)) {
    director_ = std::make_unique<Director>(
        DirectorSpec{.connections = std::max(flows * 3 / 2, 1000u)}, network_, network_, now_);
    ServiceSpec spec{.name = "bench", .method = method};
    spec.ranges.push_back(
        VirtualRange::of(IpAddress::from_v4(kVirtual.address), kVirtual.port, kUdp));
    Service& service = director_->add_service(spec, *set_);
    for (uint32_t i = 1; i <= kServers; ++i) {
      const IpAddress address = IpAddress::from_v4(0x0a010000 + i);
      const std::string name = "s" + std::to_string(i);
      sched::Server* handle = *set_->add({.name = name, .address = SocketAddress(address, 8080)});
      director_->add_server(service, {.name = name, .address = address, .port = 8080}, *handle);
    }
  }

  // Opens every flow; nanoseconds for each.
  double open() {
    double spent = 0;
    for (uint32_t flow = 0; flow < flows_; flow += kBatch) {
      packets_.clear();
      for (uint32_t i = flow; i < std::min<uint32_t>(flow + kBatch, flows_); ++i)
        packets_.push_back(write_packet(frame(packets_.size()), client(i), kVirtual));
      spent += forward();
    }
    return spent / flows_;
  }

  // Packets of random flows; nanoseconds for each.
  double pass() {
    double spent = 0;
    for (int batch = 0; batch < kBatchesPerPass; ++batch) {
      packets_.clear();
      for (size_t i = 0; i < kBatch; ++i) {
        const auto flow = static_cast<uint32_t>(random_() % flows_);
        // rr begins with the server that was added last.
        const Endpoint server{0x0a010000 + kServers - flow % kServers, 8080};
        packets_.push_back(replies_ ? write_packet(frame(i), server, client(flow))
                                    : write_packet(frame(i), client(flow), kVirtual));
      }
      spent += forward();
      now_ += std::chrono::milliseconds(2);
      director_->advance(now_);
    }
    return spent / (double{kBatchesPerPass} * kBatch);
  }

  uint64_t lost() const { return lost_; }
  uint32_t connections() const { return director_->connections().size(); }

 private:
  static constexpr Endpoint kVirtual{0xc6336401, 53};

  static Endpoint client(uint32_t flow) {
    return {0x0b000000 + flow / 1000, static_cast<uint16_t>(1024 + flow % 1000)};
  }
  uint8_t* frame(size_t i) { return ring_.data() + i * kFrame; }

  double forward() {
    const double start = now_ns();
    for (size_t begin = 0; begin < packets_.size(); begin += kAhead) {
      const std::span some =
          std::span(packets_).subspan(begin, std::min(kAhead, packets_.size() - begin));
      director_->anticipate(some);
      for (Packet& packet : some)
        lost_ += director_->forward(packet, now_).kind != Outcome::Kind::kForwarded;
    }
    return now_ns() - start;
  }

  const uint32_t flows_;
  const bool replies_;
  Instant now_{std::chrono::hours(1)};
  Network network_;
  std::unique_ptr<sched::ServerSet> set_;
  std::unique_ptr<Director> director_;
  std::vector<uint8_t> ring_ = std::vector<uint8_t>(kBatch * kFrame);
  std::vector<Packet> packets_;
  std::mt19937 random_{1};
  uint64_t lost_ = 0;
};

}  // namespace

int main() {
  struct Case {
    const char* name;
    Method method;
    bool replies;
  };
  const Case cases[] = {{"NAT, to the server", Method::kNat, false},
                        {"NAT, to the client", Method::kNat, true},
                        {"DR", Method::kDirect, false},
                        {"TUN", Method::kTunnel, false}};
  fmt::print("{:22}", "ns per packet, flows:");
  for (const uint32_t flows : kFlowCounts) fmt::print("{:>12}", flows);
  fmt::print("{:>16}\n", "new connection");
  bool is_within = true;
  for (const Case& one : cases) {
    fmt::print("{:22}", one.name);
    double opening = 0;
    for (const uint32_t flows : kFlowCounts) {
      Farm farm(one.method, flows, one.replies);
      opening = farm.open();
      std::vector<double> passes;
      for (int i = 0; i < kPasses; ++i) passes.push_back(farm.pass());
      std::ranges::sort(passes);
      const double median = passes[kPasses / 2];
      if (farm.lost() != 0 || farm.connections() != flows) {
        fmt::print("\n{} packets lost, {} connections\n", farm.lost(), farm.connections());
        return 1;
      }
      fmt::print("{:>12.0f}", median);
      is_within = is_within && median <= kAllowedNanoseconds;
    }
    fmt::print("{:>16.0f}\n", opening);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{} bytes a connection and up to 64 of index; {} MiB resident at most\n",
             sizeof(Connection), usage.ru_maxrss / 1024);
  fmt::print("a packet costs {} {:.0f} ns\n", is_within ? "at most" : "MORE THAN",
             kAllowedNanoseconds);
  return is_within ? 0 : 1;
}
