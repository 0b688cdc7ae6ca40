// The network around a director: the rings of its interfaces, routes, neighbours, and the virtual
// addresses that are answered for. Turns frames into packets and back. One worker's, on its thread;
// made and closed on any, while that does not run.
//
//   pump → frame → ARP, ND ──→ Neighbours
//                → IP ──→ Director::forward → hop_to → transmit → ring
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/metrics.h"
#include "core/result.h"
#include "io/local_stack.h"
#include "io/packet_ring.h"
#include "l4/frame_filter.h"
#include "l4/host_view.h"
#include "l4/neighbour.h"
#include "l4/port.h"

namespace shunt::l4 {

class Director;

// An address that Shunt answers for on an interface.
struct ServedAddress {
  std::string interface;
  IpAddress address;

  friend bool operator==(const ServedAddress&, const ServedAddress&) = default;
};

struct NetworkCounters {
  Counter frames;  // That brought an IP packet to us.
  Counter transmitted;
  Counter not_sent;     // The link took it slower than it came.
  Counter unresolved;   // Lost while the neighbour was asked for.
  Counter delivered;    // To the host's own stack.
  Counter undelivered;  // It did not take them.
};

// Whom to tell of what neighbours say: networks beside this one that do not see it themselves.
class NeighbourListeners {
 public:
  virtual ~NeighbourListeners() = default;
  // A frame of ARP or ND on this link. Good until it returns.
  virtual void tell(uint16_t link, std::span<const uint8_t> frame) = 0;
};

class Network final : public Links, public Output, private NeighbourOutput {
 public:
  explicit Network(Instant start);
  ~Network() override;

  // A ring to open a link with, on which nothing comes in before receive_only(). `fanout`: how
  // networks share frames; null: they do not. The error: no right, no such interface.
  static Result<std::unique_ptr<io::PacketRing>> open_ring(const io::NetworkInterface& interface,
                                                           const io::Fanout* fanout);
  // Gives the interface a number, unless it has one: that of a closed link of its name, or a new
  // one. Networks that are asked alike have the same numbers.
  size_t number(const io::NetworkInterface& interface);
  void open_link(const io::NetworkInterface& interface, std::unique_ptr<io::PacketRing> ring,
                 Instant now);
  // Gives the rings of all other interfaces back; what would go there is lost.
  void close_links_but(std::span<const int> kept);
  // The kernel takes its time over the rings of links that are closed: unlike everything else here
  // this is for another thread while frames are forwarded.
  void free_closed_links() { closed_.clear(); }
  bool has_number(int interface) const { return number_of(interface) != links_.size(); }
  bool has_link(int interface) const;  // That is open.
  // Whether it is open, and as the interface is now.
  bool fits(const io::NetworkInterface& interface) const;
  // An interface was down for a moment: what adopt() sees is not all that has happened.
  void note_fall(int interface);
  // Goes by these routes and interfaces from now on, at first and after a change. A link whose
  // interface is gone, or has another MTU, is closed. The view is looked at until the next one
  // comes.
  void adopt(const HostView& view, Instant now);
  // The index of an interface by which packets should have left and that has no link, of those
  // since the last call; 0: none.
  int take_missing() { return std::exchange(missing_, 0); }
  bool is_missing() const { return missing_ != 0; }
  // Answers for exactly these addresses, as far as their interfaces have numbers.
  void serve(std::span<const ServedAddress> addresses, Instant now);

  size_t links() const { return links_.size(); }  // Closed ones too: numbers are for good.
  bool is_open(size_t link) const { return links_[link]->ring != nullptr; }
  std::string_view name(size_t link) const { return links_[link]->interface.name; }
  int fd(size_t link) const { return is_open(link) ? links_[link]->ring->fd() : -1; }
  // Forwards what has come in by a link, at most one batch. False: nothing was there.
  bool pump(size_t link, Director& director, Instant now);
  // Receives what `interest` has to do with, as far as the kernel can be told no more than that.
  void receive_only(const Interest& interest);
  // Shares frames out anew on all links, for all networks that share them.
  void share(std::span<const sock_filter> fanout);
  // What a neighbour has said goes there too. They must outlive the network.
  void set_listeners(NeighbourListeners& listeners) { listeners_ = &listeners; }
  // Where packets for the host itself go. It must outlive the network.
  void set_local(io::LocalStack& local) { local_ = &local; }
  // Of a network that is told.
  void hear(uint16_t link, std::span<const uint8_t> frame, Instant now);
  // Sends what is queued on all links: after each round of pump(). False: some have to wait, to be
  // called again after a moment.
  bool flush();
  // Timers of the neighbours: about every 100 ms.
  void advance(Instant now);
  // An error that poll() told of; it is forgotten.
  void clear_error(size_t link);

  const Hop* hop_to(const IpAddress& address) override;
  void transmit(const Packet& packet, const Hop& hop) override;
  void deliver(const Packet& packet) override;

  // Asks the kernel what it has dropped.
  void read_statistics();
  // Frames lost for want of room in rings, those that are closed by now included.
  uint64_t lost() const;
  const NeighbourCounters& neighbours() const { return neighbours_.counters; }
  const Neighbours::Conflict& last_conflict() const { return neighbours_.last_conflict(); }
  NetworkCounters counters;

 private:
  struct Link {
    io::NetworkInterface interface;
    std::unique_ptr<io::PacketRing> ring;  // Null: closed.
  };
  struct Served {
    size_t link = 0;
    IpAddress address;

    friend bool operator==(const Served&, const Served&) = default;
  };
  struct CachedHop {
    IpAddress address;
    Hop hop;
    Instant until{};  // Asked anew from then on, so that the neighbour is known to be in use.
  };
  static constexpr size_t kCachedHops = 1024;
  static constexpr size_t kBatch = 64;

  void send_frame(uint16_t interface, std::span<const uint8_t> bytes) override;
  void resolved(const Packet& packet, const MacAddress& mac) override;

  size_t number_of(int interface) const;  // links_.size(): it has none.
  void close(size_t link);
  void describe(size_t link);
  void join_group(size_t link, const IpAddress& address);
  void forget_hops();
  bool find_hop(const IpAddress& address, Hop& hop);
  void filter(size_t link);
  bool for_neighbours(size_t link, const io::Frame& frame);
  bool take(size_t link, io::Frame& frame, Packet& packet);
  void send(const Packet& packet, const MacAddress& source, const MacAddress& destination,
            uint16_t link);

  std::vector<std::unique_ptr<Link>> links_;  // Their numbers are the packets' interfaces.
  const HostView* view_ = nullptr;            // Null: no link is open either.
  int missing_ = 0;
  std::vector<std::unique_ptr<io::PacketRing>> closed_;
  uint64_t lost_ = 0;  // By rings that are closed.
  Neighbours neighbours_;
  NeighbourListeners* listeners_ = nullptr;  // Null: none.
  io::LocalStack* local_ = nullptr;          // Null: no server is the host itself.
  std::vector<Served> served_;
  Interest interest_;
  std::vector<CachedHop> hops_;  // By a hash of the address.
  Hop asking_;                   // Of a neighbour that is not known yet.
  Instant now_;                  // Of this round.
  std::array<io::Frame, kBatch> frames_;
  std::array<Packet, kBatch> packets_;
};

}  // namespace shunt::l4
