// Somebody who follows packets: which of them, and what is kept of each: as it came, what the
// director made of it, and everything that left because of it. Bounded: what finds no room is
// counted as lost. Filled and emptied on the director's thread; the batch is then anybody's.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/instant.h"
#include "l4/director.h"
#include "l4/packet.h"
#include "l4/port.h"
#include "l4/tcp_state.h"

namespace shunt::l4 {

inline constexpr uint32_t kLinkHeader = 14;  // Ethernet.

struct WatchFilter {
  std::string service;              // Its name; empty: any.
  std::optional<IpAddress> client;  // Nothing: any.
  uint16_t client_port = 0;         // 0: any.
  uint32_t bytes = 256;             // Kept of each frame, at most.
};

// Why a packet went to its server.
enum class Why : uint8_t {
  kNone,        // It did not.
  kKnown,       // Its connection is in the table.
  kScheduled,   // New: the scheduler's choice.
  kPersistent,  // New: its client has been here before.
  kHashed,      // Placed by hash and not remembered.
  kFragment,    // As the first fragment of its packet.
};

// A piece of WatchBatch::bytes.
struct Kept {
  uint32_t offset = 0;
  uint32_t size = 0;
};

// A frame as it came or left.
struct SeenFrame {
  Kept bytes;         // From its Ethernet header on.
  uint32_t size = 0;  // Of the whole frame.
  uint16_t interface = 0;
  Headers headers;        // If `readable`.
  bool readable = false;  // It is a packet without faults.
  bool waits = false;     // It left later or never: the link address had to be asked for.
};

// One packet and what became of it.
struct Sighting {
  Instant at{};
  uint32_t first_frame = 0;  // In WatchBatch::frames: as it came, then what left…
  uint32_t frames = 0;       // …so many together.
  bool from_server = false;
  bool one_packet = false;
  bool replaced = false;  // A closed connection between the same addresses made room.
  Outcome::Kind kind = Outcome::Kind::kIgnored;
  Drop drop = Drop::kNone;
  Why why = Why::kNone;
  TcpState before = TcpState::kNone;
  TcpState after = TcpState::kNone;
  // Of the server, if there is one; counts after the decision.
  Method method = Method::kNat;
  IpAddress address;
  uint16_t port = 0;
  int32_t weight = 0;
  uint32_t active = 0;
  uint32_t inactive = 0;
  // Names.
  Kept service;
  Kept scheduler;
  Kept server;
};

struct WatchBatch {
  std::vector<Sighting> sightings;
  std::vector<SeenFrame> frames;
  std::vector<uint8_t> bytes;
  uint64_t lost = 0;  // Packets for which there was no room.

  // An empty one with room for so much; it never grows.
  static WatchBatch with_room(size_t packets, size_t bytes);
  void clear();
  std::string_view text(const Kept& kept) const {
    return {reinterpret_cast<const char*>(bytes.data()) + kept.offset, kept.size};
  }
};

class Watch final : public Output {
 public:
  Watch(WatchFilter filter, WatchBatch room)
      : filter_(std::move(filter)), batch_(std::move(room)) {}

  const WatchFilter& filter() const { return filter_; }
  // Hands out what has been seen, and goes on in `spare`, an empty batch of the same room.
  void take(WatchBatch& spare);

  // The director's. A sighting begins with the packet as it came; what leaves until end() is its.
  void lead_to(Output* output) { output_ = output; }
  void begin(const Packet& packet, const Headers& headers, bool readable, Instant now);
  Sighting& sighting() { return sighting_; }
  Kept keep(std::string_view text);
  void end();

  void transmit(const Packet& packet, const Hop& hop) override;
  void deliver(const Packet& packet) override;

 private:
  void add_frame(const uint8_t* link, const Packet& packet, SeenFrame frame);
  bool add_bytes(const uint8_t* bytes, uint32_t size);

  const WatchFilter filter_;
  Output* output_ = nullptr;  // Where packets really go.
  WatchBatch batch_;
  Sighting sighting_;
  bool open_ = false;
  bool complete_ = true;  // There was room for all of the sighting so far.
  size_t bytes_before_ = 0;
};

}  // namespace shunt::l4
