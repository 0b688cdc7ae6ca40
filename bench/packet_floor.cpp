// The floor of the layer 4 benchmark: from one packet ring to another, and no look at what passes.
// One thread; every frame that comes in by the first interface leaves by the second as it is. No
// director over packet sockets can be below it; how near one comes is what its own work costs.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "io/vnet_header.h"

namespace {

using shunt::io::VnetHeader;

constexpr uint32_t kSlots = 2048;
constexpr uint32_t kSlotSize = 2048;
constexpr uint32_t kBatch = 64;
constexpr size_t kRingSize = size_t{kSlots} * kSlotSize;
constexpr uint32_t kSendOffset = TPACKET2_HDRLEN - sizeof(sockaddr_ll);

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(EXIT_FAILURE);
}

struct Ring {
  int fd = -1;
  uint8_t* slots = nullptr;
  uint32_t next = 0;

  tpacket2_hdr& current() const {
    return *reinterpret_cast<tpacket2_hdr*>(slots + size_t{next} * kSlotSize);
  }
  void advance() { next = (next + 1) % kSlots; }
};

uint32_t load_status(tpacket2_hdr& slot) {
  return std::atomic_ref(slot.tp_status).load(std::memory_order_acquire);
}

void store_status(tpacket2_hdr& slot, uint32_t status) {
  std::atomic_ref(slot.tp_status).store(status, std::memory_order_release);
}

// `which`: PACKET_RX_RING or PACKET_TX_RING.
Ring open_ring(const char* interface, int which) {
  Ring ring;
  ring.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (ring.fd < 0) fail("packet socket");
  const int version = TPACKET_V2;
  if (setsockopt(ring.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0)
    fail("PACKET_VERSION");
  const int on = 1;
  if (setsockopt(ring.fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
    fail("PACKET_VNET_HDR");
  constexpr uint32_t kBlock = 65536;
  const tpacket_req request{.tp_block_size = kBlock,
                            .tp_block_nr = static_cast<unsigned>(kRingSize / kBlock),
                            .tp_frame_size = kSlotSize,
                            .tp_frame_nr = kSlots};
  if (setsockopt(ring.fd, SOL_PACKET, which, &request, sizeof request) != 0) fail("ring");
  void* mapped =
      mmap(nullptr, kRingSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  ring.slots = static_cast<uint8_t*>(mapped);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(which == PACKET_RX_RING ? ETH_P_ALL : 0);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
  if (bind(ring.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  return ring;
}

// At most one batch; false if there was nothing.
bool forward(Ring& from, Ring& to) {
  uint32_t frames = 0;
  for (; frames < kBatch; ++frames) {
    tpacket2_hdr& in = from.current();
    if ((load_status(in) & TP_STATUS_USER) == 0) break;
    tpacket2_hdr& out = to.current();
    const bool ours =
        reinterpret_cast<sockaddr_ll*>(reinterpret_cast<uint8_t*>(&in) + TPACKET_ALIGN(sizeof in))
            ->sll_pkttype != PACKET_OUTGOING;
    if (ours && load_status(out) == TP_STATUS_AVAILABLE) {
      const uint32_t size =
          std::min<uint32_t>(in.tp_snaplen, kSlotSize - kSendOffset - sizeof(VnetHeader));
      // Copied whole into a buffer of the kernel's; otherwise that would refer to the ring.
      const VnetHeader header{.header_size = static_cast<uint16_t>(size)};
      uint8_t* at = reinterpret_cast<uint8_t*>(&out) + kSendOffset;
      std::memcpy(at, &header, sizeof header);
      std::memcpy(at + sizeof header, reinterpret_cast<uint8_t*>(&in) + in.tp_mac, size);
      out.tp_len = static_cast<uint32_t>(sizeof header) + size;
      store_status(out, TP_STATUS_SEND_REQUEST);
      to.advance();
    }
    store_status(in, TP_STATUS_KERNEL);
    from.advance();
  }
  if (frames != 0) send(to.fd, nullptr, 0, MSG_DONTWAIT);
  return frames != 0;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) {
    std::fprintf(stderr, "usage: packet_floor FROM_INTERFACE TO_INTERFACE\n");
    return 2;
  }
  Ring from = open_ring(words[1], PACKET_RX_RING);
  Ring to = open_ring(words[2], PACKET_TX_RING);
  std::puts("ready");
  std::fflush(stdout);
  while (true) {
    if (forward(from, to)) continue;
    pollfd waiting{.fd = from.fd, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, -1) < 0) fail("poll");
  }
}
