// Fragmented packets in transit: what was decided for the first fragment holds for the others,
// which have no ports. Others that come before it are held, within bounds. Fragments are not put
// together; but where each lies is noted, so that overlapping ones are found out. One worker's.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/instant.h"
#include "l4/packet.h"
#include "l4/service.h"

namespace shunt::l4 {

struct FragmentDecision {
  enum class Kind : uint8_t { kNone, kToServer, kToClient, kRefused };
  Kind kind = Kind::kNone;
  RealServer* server = nullptr;  // kToServer, kToClient.
  IpAddress address;             // kToClient: the virtual one.
};

class FragmentTable {
 public:
  static constexpr size_t kRangesMax = 8;  // Holes in what has been seen of one packet.
  static constexpr size_t kHeldPerPacketMax = 8;
  static constexpr size_t kHeldMax = 64;  // Of all packets.
  static constexpr uint32_t kHeldSizeMax = 9216;
  static constexpr Duration kLifetime = std::chrono::seconds(30);

  struct Range {
    uint32_t from = 0;
    uint32_t to = 0;
  };

  struct Entry {
    IpAddress source;
    IpAddress destination;
    uint32_t id = 0;
    uint8_t protocol = 0;
    bool live = false;
    uint8_t range_count = 0;
    uint8_t held_count = 0;
    uint32_t end = 0;  // Of the packet, once its last fragment has been seen.
    Instant expires{};
    FragmentDecision decision;
    std::array<Range, kRangesMax> ranges;
    std::array<uint8_t, kHeldPerPacketMax> held;
  };

  explicit FragmentTable(uint64_t seed);
  ~FragmentTable();
  FragmentTable(const FragmentTable&) = delete;
  FragmentTable& operator=(const FragmentTable&) = delete;

  // The entry of the packet that this fragment is part of, a new one for a new packet; null, with
  // the reason, if the fragment must go.
  Entry* admit(const Headers& headers, Instant now, Drop& drop);
  // Refers to the decision's server while the entry lives.
  void decide(Entry& entry, const FragmentDecision& decision);
  // Copies a fragment that came before the decision, in the place of another packet's oldest one if
  // need be, which is given up. False: no room for one so large, or for so many of one packet.
  bool hold(Entry& entry, const Packet& packet, const Headers& headers);
  // Hands the held fragments to visit(Packet&), in the order of their coming, and forgets them.
  template <class Visit>
  void hand_out(Entry& entry, Visit visit) {
    for (uint8_t i = 0; i < entry.held_count; ++i) {
      const uint8_t place = entry.held[i];
      Packet packet = held_packet(place);
      visit(packet);
      held_[place].owner = nullptr;
      free_.push_back(place);
    }
    entry.held_count = 0;
  }
  // Forgets the packet if all of it has been seen.
  void close_if_complete(Entry& entry);

  // Fragments that were held and have been given up since the last call.
  uint32_t take_lost() { return std::exchange(lost_, 0); }
  void expire(Instant now);
  void clear();

 private:
  static constexpr size_t kSets = 256;
  static constexpr size_t kWays = 8;
  struct Held {
    Entry* owner = nullptr;  // Null: the place is free.
    uint64_t number = 0;     // In the order of their coming.
    uint32_t size = 0;
    uint16_t interface = 0;
    Offload offload{};
  };

  Entry& find_or_make(const Headers& headers, Instant now);
  static Drop note(Entry& entry, const Headers& headers);
  void close(Entry& entry);
  void give_up_oldest(const Entry& but);
  Packet held_packet(uint8_t place);

  const uint64_t seed_;
  std::vector<Entry> entries_;  // kSets times kWays.
  std::unique_ptr<uint8_t[]> bytes_;
  std::array<Held, kHeldMax> held_;
  std::vector<uint8_t> free_;
  uint64_t next_number_ = 0;
  uint32_t live_ = 0;
  uint32_t lost_ = 0;
};

}  // namespace shunt::l4
