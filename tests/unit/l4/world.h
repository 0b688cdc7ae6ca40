// A director with the network around it, for tests: one client side, servers a to d, routes and
// neighbours from a table, and every packet that leaves as a line of text.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "l4/director.h"
#include "l4/frame_filter.h"
#include "sched/server_set.h"
#include "unit/l4/packet_builder.h"

namespace shunt::l4::test {

// The addresses that tests use. Virtual: 198.51.100.1 and 2001:db8:1::1. Servers a to d: 10.1.0.1
// to 10.1.0.4 and 2001:db8:2::1 to ::4. The director on their side: 10.1.0.254, 2001:db8:2::fe; on
// the clients': 198.51.100.254, 2001:db8:1::fe.
inline constexpr const char* kClient = "192.0.2.7:1000";
inline constexpr const char* kVirtual = "198.51.100.1:80";
inline constexpr const char* kClient6 = "[2001:db8::7]:1000";
inline constexpr const char* kVirtual6 = "[2001:db8:1::1]:80";

class World final : public Links, public Output {
 public:
  // `seed`: of schedulers that draw.
  explicit World(DirectorSpec spec = {}, uint64_t seed = 1);
  ~World() override;

  // A service at a virtual "address:port" for this protocol, with one scheduler.
  Service& add(std::string_view address, uint8_t protocol, ServiceSpec spec = {});
  Service& add(ServiceSpec spec);
  // "a" to "d", of the family given; port 8080, or the packet's.
  RealServer& server(Service& service, std::string_view name, RealServerSpec spec = {},
                     uint32_t upper = 0, uint32_t lower = 0);
  void remove(RealServer& server);
  void quiesce(RealServer& server) { weigh(server, 0); }
  void weigh(RealServer& server, int32_t weight);

  // What the director makes of a packet: the packets that left, each "text @hop" (the hop: a server
  // or "gw"), then what became of it if it was not forwarded ("!reason", "ignored", "held"), joined
  // by " | ".
  std::string in(const Bytes& packet, Offload offload = {});
  void pass(Duration time);

  const Hop* hop_to(const IpAddress& address) override;
  void transmit(const Packet& packet, const Hop& hop) override;
  void deliver(const Packet& packet) override;

  Instant now{std::chrono::hours(1)};
  std::vector<Bytes> out;        // Of the last in().
  std::vector<Offload> offload;  // Of those.
  uint32_t server_mtu = 1500;
  uint32_t client_mtu = 1500;
  uint32_t asked = 0;   // For hops.
  std::string missing;  // An address without a neighbour.
  sched::ServerSet& set_of(Service& service) { return service.set(); }

 private:
  using Drops = std::array<uint64_t, kDropCount>;

  Drops drops() const;
  void check_drops(const Drops& before, const Outcome& outcome) const;
  void check_filter(const Bytes& packet, const Outcome& outcome) const;

  const uint64_t seed_;
  std::vector<std::unique_ptr<sched::ServerSet>> sets_;
  Interest interest_;
  bool filters_ = true;  // False: there are networks, which filters know nothing of.
  Hop hop_;
  std::string lines_;

 public:
  std::unique_ptr<Director> director;
};

// The NAT, DR or TUN service that most tests use: TCP and UDP at the virtual address, port 80,
// with server "a" of the same family.
RealServer& add_default(World& world, Method method, bool v6 = false, ServiceSpec spec = {},
                        RealServerSpec server = {});

}  // namespace shunt::l4::test
