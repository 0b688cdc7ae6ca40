// Segments of one TCP flow that follow each other into the large packet that they are the segments
// of: the inverse of l4/split.h, as a network card or Linux's GRO does it, and by the same rules.
// Whoever takes a large packet (a tun device) has the work of one. Pure; one thread's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "l4/decapsulate.h"
#include "l4/port.h"

namespace shunt::l4 {

class Join {
 public:
  static constexpr size_t kSegmentsMost = 64;

  // Begins with this packet, whatever it is. Its bytes, and those of all that are added, must stay
  // until finish().
  void begin(const Inner& first);
  bool empty() const { return count_ == 0; }
  // Whether the packet belongs to the flow that we have begun with: it must not overtake it.
  bool is_of_flow(const Inner& packet) const;
  // Adds the next packet. False: it does not go together with what is there.
  bool add(const Inner& next);

  struct Whole {
    std::span<const std::span<const uint8_t>> parts;  // In this order. Good until begin().
    Offload offload;                                  // Offsets count from the first part's begin.
    uint32_t header_size = 0;                         // Of a packet to be segmented.
    size_t segments = 0;
  };
  // What has come together; edits the first packet's headers. There is nothing any more.
  Whole finish();

 private:
  Inner first_;
  size_t count_ = 0;
  bool open_ = false;     // More may follow.
  uint32_t header_ = 0;   // Up to the payload.
  uint32_t payload_ = 0;  // Of all together.
  uint32_t segment_ = 0;  // Payload of each but the last.
  uint8_t last_flags_ = 0;
  uint16_t id_step_ = 1;  // Of IPv4's identification.
  std::array<std::span<const uint8_t>, kSegmentsMost> parts_;
};

}  // namespace shunt::l4
