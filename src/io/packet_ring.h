// Frames of one interface, past the host's stack: a packet socket with memory-mapped rings for
// receiving and sending. One worker's, on its thread.
//
// The rings are TPACKET_V2: a frame can be taken the moment it is there. TPACKET_V3 packs frames
// into blocks and shows a block when it is full or a timer of at least 1 ms has run out, which each
// packet of a handshake would wait for. Slots take a frame of the interface's MTU; what is larger
// (64 KiB that await segmentation) comes by the socket's queue and goes by one send, a system call
// and no more copies than a slot of that size would cost, so that the ring stays dense in the
// cache.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/metrics.h"
#include "core/result.h"
#include "io/io.h"
#include "io/network_interface.h"
#include "io/vnet_header.h"

struct tpacket2_hdr;  // NOLINT(readability-identifier-naming): the kernel's.

namespace shunt::io {

// A frame from its Ethernet header on, without the VLAN tag.
struct Frame {
  uint8_t* data = nullptr;
  uint32_t size = 0;
  uint32_t headroom = 0;       // Bytes before `data` that may be written.
  VnetHeader offload{};        // Offsets count from `data`.
  uint16_t vlan_protocol = 0;  // 0: no tag. Otherwise 0x8100 or 0x88a8…
  uint16_t vlan = 0;           // …and the tag: priority and identifier.
};

// Room in front of every received frame, the Ethernet header not counted.
inline constexpr uint32_t kFrameHeadroom = 128;

// Which of an interface's rings gets a frame: all rings with the same group share them.
struct Fanout {
  // Of this interface alone, in its network namespace; unset: a new one. 0 is one like the others.
  std::optional<uint16_t> group;
  // Classic BPF: its result, modulo the number of rings, in the order in which they were opened.
  // Loads count from the network header. Empty: by the kernel's own hash of the flow, alike in both
  // directions.
  std::vector<sock_filter> program;
  // IPv4 fragments are put together before, so that the ports are there to choose by.
  bool reassemble = false;
};

struct RingOptions {
  uint32_t receive_slots = 2048;  // Powers of two.
  uint32_t send_slots = 1024;
  uint32_t queue_size = 8 << 20;   // Bytes for frames that do not fit into a slot.
  bool bypass_qdisc = false;       // Straight to the driver: no shaping, drops where it is full.
  const Fanout* fanout = nullptr;  // None: this ring gets every frame.
  std::span<const sock_filter> filter = {};  // Of frames worth receiving; empty: all.
};

struct RingCounters {
  Counter received;
  Counter sent;
  Counter receive_dropped;  // The ring or the queue was full.
  Counter send_dropped;     // The link takes them slower than they come.
  Counter malformed;        // Shorter than an Ethernet header.
};

class PacketRing {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Needs CAP_NET_RAW; nothing afterwards does. The error names the interface, what is missing and
  // the way out.
  static Result<std::unique_ptr<PacketRing>> open(const NetworkInterface& interface,
                                                  const RingOptions& options);
  PacketRing(Private, const NetworkInterface& interface, const RingOptions& options);
  ~PacketRing();  // Requires that nothing polls fd().
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;

  // Readable (POLLIN) while there are frames; poll again only once receive() has said false.
  Fd fd() const { return receive_fd_; }
  const NetworkInterface& interface() const { return interface_; }

  // Takes as many of the next frames as there are and have a place in `frames`, to be edited in
  // place: good until the next call. How many; 0: none there now. Frames that the host itself sends
  // are left out.
  size_t receive(std::span<Frame> frames);
  bool receive(Frame& frame) { return receive({&frame, 1}) == 1; }
  // Queues a frame; its bytes are copied. With a VLAN it gets its tag. False, and counted: no room.
  bool send(const Frame& frame);
  // Sends what is queued: once after each batch. False: the link does not take all of it now, and
  // this is to be called again after a moment.
  bool flush();

  // Receives only what `filter` lets through, all if it is empty; frames that are there already
  // stay. The error: the kernel does not take it, and what was before goes on.
  Result<void> set_filter(std::span<const sock_filter> filter);

  // The group it has joined; unset: none.
  std::optional<uint16_t> fanout_group() const { return fanout_group_; }
  // Another program for all rings of the group. The error: the kernel does not take it, and what
  // was before goes on.
  Result<void> set_fanout(std::span<const sock_filter> program);

  // Frames to this group come in too, while the ring is open: the interface may filter them.
  Result<void> join_group(const std::array<uint8_t, 6>& address);

  // Asks the kernel what it has dropped, for counters(): now and then.
  void read_statistics();
  const RingCounters& counters() const { return counters_; }

 private:
  Result<void> open_receiver(const RingOptions& options);
  Result<void> open_sender(const RingOptions& options);
  Result<void> join(const Fanout& fanout);
  std::unexpected<Error> failed(std::string_view step, int error) const;

  tpacket2_hdr& receive_slot(uint32_t index) const;
  tpacket2_hdr& send_slot(uint32_t index) const;
  void give_back();  // What is held.
  bool take(tpacket2_hdr& slot, Frame& frame);
  bool take_large(Frame& frame);
  bool send_large(const Frame& frame);

  // Constant once open.
  const NetworkInterface interface_;
  const uint32_t slot_size_;
  const uint32_t receive_slots_;
  const uint32_t send_slots_;
  Fd receive_fd_ = -1;
  Fd send_fd_ = -1;
  uint8_t* receive_ring_ = nullptr;
  uint8_t* send_ring_ = nullptr;

  std::optional<uint16_t> fanout_group_;

  uint32_t receive_next_ = 0;
  uint32_t held_ = 0;  // Slots from receive_next_ on that are the caller's.
  uint32_t send_next_ = 0;
  uint32_t queued_ = 0;  // Since the last flush.
  std::unique_ptr<uint8_t[]> large_;
  RingCounters counters_;
};

}  // namespace shunt::io
