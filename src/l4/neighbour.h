// Who has which link address: answers for the virtual addresses, asks for next hops, remembers
// (RFC 826; RFC 4861 §7). One worker's; no clock, no socket. Packets for a neighbour that is still
// being asked for can be held, a few, until it answers.
//
//   incomplete ──answer──→ reachable ──time──→ stale ──use──→ probe ──answer──→ reachable
//       └──no answer──→ (forgotten) ←──────────────no answer────┘
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/instant.h"
#include "core/metrics.h"
#include "l4/neighbour_message.h"
#include "l4/port.h"
#include "l4/rate_limit.h"

namespace shunt::l4 {

enum class NeighbourState : uint8_t { kIncomplete, kReachable, kStale, kProbe };

struct NeighbourLimits {
  uint32_t neighbours = 4096;                     // At most; beyond, unused ones are forgotten.
  uint32_t held = 64;                             // Packets held, of all neighbours…
  uint32_t held_each = 3;                         // …and of one.
  uint32_t requests = 200;                        // A second, to all neighbours.
  uint32_t answers = 1000;                        // A second.
  uint32_t tries = 3;                             // Requests without an answer, at most…
  Duration interval = std::chrono::seconds(1);    // …and between them.
  Duration reachable = std::chrono::seconds(30);  // That an answer is good for.
  Duration forgotten = std::chrono::minutes(10);  // After the last use.
  uint32_t announcements = 3;                     // Of an address, one per interval.
  Duration look = std::chrono::seconds(60);       // For others who have it, from then on.
};

struct NeighbourCounters {
  Counter requests;
  Counter answers;
  Counter announcements;
  Counter unresolved;  // Nobody answered.
  Counter suppressed;  // Requests and answers kept back by a limit.
  Counter held;
  Counter held_dropped;  // Held packets whose neighbour never answered, or for which was no room.
  Counter conflicts;     // Somebody else speaks for an address of ours.
};

// What the table does to links.
class NeighbourOutput {
 public:
  virtual ~NeighbourOutput() = default;
  virtual void send_frame(uint16_t interface, std::span<const uint8_t> frame) = 0;
  // A held packet's neighbour is known now. Good until it returns; must not call the table.
  virtual void resolved(const Packet& packet, const MacAddress& mac) = 0;
};

class Neighbours {
 public:
  // Bytes of a packet that can be held; what is larger comes again, if it matters.
  static constexpr uint32_t kHeldMax = 2048;

  Neighbours(const NeighbourLimits& limits, NeighbourOutput& output, Instant start);

  // An interface, and whom to speak as on it: its own addresses, or unspecified. One that is there
  // already has changed.
  void add_link(uint16_t interface, const MacAddress& mac, const IpAddress& own_v4,
                const IpAddress& own_v6);
  // From now on `address` is ours on this link: announced a few times, answered for.
  void serve(uint16_t interface, const IpAddress& address, Instant now);
  void withdraw(uint16_t interface, const IpAddress& address);
  // Announces all addresses anew: after a take-over, or when a link has come back.
  void announce(Instant now);

  // The link address of a neighbour; null while it is not known, and then it is asked for. Good
  // until the next call.
  const MacAddress* find(uint16_t interface, const IpAddress& address, Instant now);
  // Keeps a copy of `packet` until `address` answers. False: it is lost.
  bool hold(const Packet& packet, const IpAddress& address);

  // A frame from its Ethernet header on. False: it is none of ARP or ND.
  bool receive(uint16_t interface, std::span<const uint8_t> frame, Instant now);
  // Asks again, forgets, announces: about every 100 ms.
  void advance(Instant now);

  size_t size() const { return index_.size(); }
  // Of a known neighbour, without using it; null: none.
  const NeighbourState* state(uint16_t interface, const IpAddress& address) const;
  // Who spoke last for an address of ours.
  struct Conflict {
    IpAddress address;
    MacAddress mac{};
    uint16_t interface = 0;
  };
  const Conflict& last_conflict() const { return conflict_; }

  NeighbourCounters counters;

 private:
  struct Key {
    IpAddress address;
    uint16_t interface = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Neighbour {
    Key key;
    NeighbourState state = NeighbourState::kIncomplete;
    MacAddress mac{};
    uint32_t tries = 0;
    uint32_t held = 0;
    Instant next{};  // Asked again, or no longer taken for reachable.
    Instant used{};
    // Of those that are not known to be there, in the order of their last use; null at the ends.
    Neighbour* older = nullptr;
    Neighbour* newer = nullptr;
  };
  struct Served {
    IpAddress address;
    uint32_t announcements = 0;  // Still to be made.
    Instant next{};
  };
  struct Link {
    uint16_t interface = 0;
    MacAddress mac{};
    IpAddress own_v4;
    IpAddress own_v6;
    std::vector<Served> served;
  };
  struct Held {
    bool used = false;
    Key key;
    Packet packet;
    std::unique_ptr<uint8_t[]> bytes;
  };

  Link* link_of(uint16_t interface);
  static Served* served_on(Link& link, const IpAddress& address);
  static bool is_spare(NeighbourState state) {
    return state == NeighbourState::kIncomplete || state == NeighbourState::kStale;
  }
  void enter(Neighbour& neighbour, NeighbourState state);
  void list_spare(Neighbour& neighbour);
  void unlist_spare(Neighbour& neighbour);
  Neighbour* create(const Key& key, Instant now);
  bool make_room();
  void learn(const Link& link, const NeighbourMessage& message, Instant now);
  void confirm(Neighbour& neighbour, const MacAddress& mac, bool reachable, Instant now);
  void answer(const Link& link, const NeighbourMessage& request, Instant now);
  void ask(Neighbour& neighbour, Instant now);
  void announce(const Link& link, Served& served, Instant now);
  void ask_who_else(const Link& link, Served& served, Instant now);
  void release_held(const Neighbour& neighbour);
  void drop_held(const Neighbour& neighbour);

  const NeighbourLimits limits_;
  NeighbourOutput& output_;
  RateLimit requests_;
  RateLimit answers_;
  std::vector<Link> links_;
  std::unordered_map<Key, Neighbour, KeyHash> index_;
  Neighbour* oldest_spare_ = nullptr;
  Neighbour* newest_spare_ = nullptr;
  std::vector<Held> held_;
  Conflict conflict_;
};

}  // namespace shunt::l4
