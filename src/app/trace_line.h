// One packet of `shunt ctl trace` in words: what it was, what was decided and why, and what left.
// Both ends of the conversation use the same type. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "l4/watch.h"

namespace shunt::app {

// A frame that left because of it.
struct TraceSent {
  std::string interface;
  std::string to;  // The link address; empty: it was asked for first.
  std::string packet;
  std::vector<std::string> changes;  // From what came in.

  friend bool operator==(const TraceSent&, const TraceSent&) = default;
};

struct TraceLine {
  std::string time;  // "2026-11-22T23:04:39.024123Z".
  bool from_server = false;
  std::string interface;  // It came in by.
  std::string packet;
  std::string service;  // Its name, if it is known.
  std::string server;   // Likewise.
  std::string decision;
  std::string state;  // "SYN_RECV", or "SYN_RECV -> ESTABLISHED" where it changes; TCP's alone.
  std::string drop;   // Its name, of packets that were dropped.
  std::vector<TraceSent> sent;
  uint64_t lost = 0;  // Not a packet: so many before this were not followed, for want of room.

  friend bool operator==(const TraceLine&, const TraceLine&) = default;
};

// `links`: names of the interfaces by number. `unix_us`: microseconds of the day's clock.
TraceLine trace_line(const l4::WatchBatch& batch, const l4::Sighting& sighting,
                     const std::vector<std::string>& links, int64_t unix_us);

// "TCP 192.0.2.7:1000 > 198.51.100.1:80 SYN, 60 bytes, ttl 64".
std::string describe_packet(const l4::SeenFrame& frame, std::string_view bytes);

std::string to_json(const TraceLine& line);
Result<TraceLine> trace_line_from_json(std::string_view text);
// For people: a line, and indented ones.
std::string to_text(const TraceLine& line);

}  // namespace shunt::app
