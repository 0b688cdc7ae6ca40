// Packet sockets with TPACKET_V2 rings. Two sockets: the one that receives also sends what is too
// large for a slot, as a socket with a ring for sending takes frames from that ring alone.
#include "io/packet_ring.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr uint32_t kVlanTag = 4;
constexpr uint32_t kMacAddresses = 12;
constexpr uint32_t kFrameMax = ETH_HLEN + kVlanTag + 65535;
constexpr uint32_t kSlotMin = 2048;
constexpr uint32_t kSlotMax = 16384;  // Jumbo frames.
constexpr uint32_t kBlockSize = 65536;
// In a slot for sending the frame follows the header without the address.
constexpr uint32_t kSendOffset = TPACKET2_HDRLEN - sizeof(sockaddr_ll);
constexpr int kIgnoreOutgoing = 23;  // PACKET_IGNORE_OUTGOING, Linux 4.20.

template <class T>
int set_option(Fd fd, int option, const T& value) {
  return ::setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0 ? 0 : errno;
}

// The limit of the whole host holds where `forced` is not allowed.
void set_buffer(Fd fd, int forced, int asked, uint32_t size) {
  const auto bytes = static_cast<int>(size);
  if (::setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0)
    ::setsockopt(fd, SOL_SOCKET, asked, &bytes, sizeof bytes);
}

// The slot that a whole frame of the interface's MTU fits into, with all that goes before it.
uint32_t slot_size_for(uint32_t mtu) {
  constexpr uint32_t kBefore = TPACKET2_HDRLEN + kFrameHeadroom + sizeof(VnetHeader) + 32;
  const uint32_t whole = kBefore + ETH_HLEN + kVlanTag + mtu;
  return std::clamp(std::bit_ceil(whole), kSlotMin, kSlotMax);
}

tpacket_req ring_of(uint32_t slots, uint32_t slot_size) {
  const uint32_t blocks = std::max(1u, slots * slot_size / kBlockSize);
  return {.tp_block_size = slots * slot_size / blocks,
          .tp_block_nr = blocks,
          .tp_frame_size = slot_size,
          .tp_frame_nr = slots};
}

uint8_t* map_ring(Fd fd, size_t size) {
  void* ring = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  return ring == MAP_FAILED ? nullptr : static_cast<uint8_t*>(ring);
}

int bind_to(Fd fd, int interface, uint16_t protocol) {
  const sockaddr_ll address{
      .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = interface};
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  return ::bind(fd, any, sizeof address) == 0 ? 0 : errno;
}

std::string_view way_out(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "packet sockets need CAP_NET_RAW: start as root, or `setcap "
             "cap_net_raw,cap_net_admin+ep` on the binary";
    case EAFNOSUPPORT:
      return "this kernel has no packet sockets: `modprobe af_packet`";
    case ENOMEM:
      return "not enough memory for the ring";
    case ENODEV:
    case ENXIO:
      return "the interface is gone";
    case ENETDOWN:
      return "the interface is down: `ip link set NAME up`";
    default:
      return {};
  }
}

uint32_t load_status(const tpacket2_hdr& slot) {
  auto& status = const_cast<tpacket2_hdr&>(slot).tp_status;
  return std::atomic_ref(status).load(std::memory_order_acquire);
}

void store_status(tpacket2_hdr& slot, uint32_t status) {
  std::atomic_ref(slot.tp_status).store(status, std::memory_order_release);
}

const sockaddr_ll& address_of(const tpacket2_hdr& slot) {
  const auto* at = reinterpret_cast<const uint8_t*>(&slot) + TPACKET_ALIGN(sizeof(tpacket2_hdr));
  return *reinterpret_cast<const sockaddr_ll*>(at);
}

// What the kernel is to be told about `frame`, whose tag is about to be put into it. It copies the
// first header_size bytes into a buffer of its own and refers to the ring for the rest, which it
// must copy later wherever the receiver is on this host: a small frame is rather copied whole.
VnetHeader header_for(const Frame& frame, uint32_t tag, bool whole) {
  VnetHeader header = frame.offload;
  if (header.needs_checksum())
    header.checksum_start = static_cast<uint16_t>(header.checksum_start + tag);
  // What was verified here says nothing to whoever receives it.
  header.flags = static_cast<uint8_t>(header.flags & VnetHeader::kNeedsChecksum);
  if (whole)
    header.header_size = static_cast<uint16_t>(frame.size + tag);
  else if (header.header_size != 0)
    header.header_size = static_cast<uint16_t>(header.header_size + tag);
  return header;
}

void store_tag(uint8_t* at, const Frame& frame) {
  const uint16_t words[] = {htons(frame.vlan_protocol), htons(frame.vlan)};
  std::memcpy(at, words, sizeof words);
}

}  // namespace

Result<std::unique_ptr<PacketRing>> PacketRing::open(const NetworkInterface& interface,
                                                     const RingOptions& options) {
  if (!interface.ethernet)
    return fail(
        fmt::format("interface {}: not an Ethernet link; layer 4 needs one (of a tunnel "
                    "or PPP link, the Ethernet side)",
                    interface.name));
  auto ring = std::make_unique<PacketRing>(Private(), interface, options);
  SHUNT_TRY(ring->open_receiver(options));
  SHUNT_TRY(ring->open_sender(options));
  if (const int error = bind_to(ring->receive_fd_, interface.index, ETH_P_ALL); error != 0)
    return ring->failed("bind", error);
  if (options.fanout != nullptr) SHUNT_TRY(ring->join(*options.fanout));
  return ring;
}

PacketRing::PacketRing(Private, const NetworkInterface& interface, const RingOptions& options)
    : interface_(interface),
      slot_size_(slot_size_for(interface.mtu)),
      receive_slots_(options.receive_slots),
      send_slots_(options.send_slots),
      large_(std::make_unique<uint8_t[]>(kFrameHeadroom + sizeof(VnetHeader) + kFrameMax)) {
  SHUNT_ASSERT(std::has_single_bit(receive_slots_));
  SHUNT_ASSERT(std::has_single_bit(send_slots_));
}

PacketRing::~PacketRing() {
  if (receive_ring_ != nullptr) ::munmap(receive_ring_, size_t{receive_slots_} * slot_size_);
  if (send_ring_ != nullptr) ::munmap(send_ring_, size_t{send_slots_} * slot_size_);
  if (receive_fd_ >= 0) ::close(receive_fd_);
  if (send_fd_ >= 0) ::close(send_fd_);
}

std::unexpected<Error> PacketRing::failed(std::string_view step, int error) const {
  const std::string_view hint = way_out(error);
  return fail(fmt::format("interface {}: {}: {}{}{}", interface_.name, step, std::strerror(error),
                          hint.empty() ? "" : "; ", hint),
              error);
}

// Without a protocol until it is bound, so that nothing comes in before all options are set.
Result<void> PacketRing::open_receiver(const RingOptions& options) {
  receive_fd_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (receive_fd_ < 0) return failed("packet socket", errno);
  const Fd fd = receive_fd_;
  // Old kernels do not know it; receive() looks at each frame too.
  set_option(fd, kIgnoreOutgoing, 1);
  if (const int error = set_option(fd, PACKET_VERSION, int{TPACKET_V2}); error != 0)
    return failed("PACKET_VERSION", error);
  if (const int error = set_option(fd, PACKET_VNET_HDR, 1); error != 0)
    return failed("PACKET_VNET_HDR", error);
  if (const int error = set_option(fd, PACKET_RESERVE, kFrameHeadroom); error != 0)
    return failed("PACKET_RESERVE", error);
  if (const int error = set_option(fd, PACKET_COPY_THRESH, 1); error != 0)
    return failed("PACKET_COPY_THRESH", error);
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.queue_size);
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.queue_size);
  if (!options.filter.empty()) SHUNT_TRY(set_filter(options.filter));
  if (options.bypass_qdisc) set_option(fd, PACKET_QDISC_BYPASS, 1);
  if (const int error = set_option(fd, PACKET_RX_RING, ring_of(receive_slots_, slot_size_));
      error != 0)
    return failed("PACKET_RX_RING", error);
  receive_ring_ = map_ring(fd, size_t{receive_slots_} * slot_size_);
  if (receive_ring_ == nullptr) return failed("mmap", errno);
  return {};
}

Result<void> PacketRing::open_sender(const RingOptions& options) {
  send_fd_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (send_fd_ < 0) return failed("packet socket", errno);
  const Fd fd = send_fd_;
  if (const int error = set_option(fd, PACKET_VERSION, int{TPACKET_V2}); error != 0)
    return failed("PACKET_VERSION", error);
  if (const int error = set_option(fd, PACKET_VNET_HDR, 1); error != 0)
    return failed("PACKET_VNET_HDR", error);
  // Room for a whole ring, so that the ring is what bounds how much is on its way.
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.queue_size);
  // A frame that the kernel refuses is dropped instead of blocking those behind it.
  if (const int error = set_option(fd, PACKET_LOSS, 1); error != 0)
    return failed("PACKET_LOSS", error);
  if (options.bypass_qdisc) set_option(fd, PACKET_QDISC_BYPASS, 1);
  if (const int error = set_option(fd, PACKET_TX_RING, ring_of(send_slots_, slot_size_));
      error != 0)
    return failed("PACKET_TX_RING", error);
  send_ring_ = map_ring(fd, size_t{send_slots_} * slot_size_);
  if (send_ring_ == nullptr) return failed("mmap", errno);
  if (const int error = bind_to(fd, interface_.index, 0); error != 0) return failed("bind", error);
  return {};
}

tpacket2_hdr& PacketRing::receive_slot(uint32_t index) const {
  return *reinterpret_cast<tpacket2_hdr*>(receive_ring_ + size_t{index} * slot_size_);
}

tpacket2_hdr& PacketRing::send_slot(uint32_t index) const {
  return *reinterpret_cast<tpacket2_hdr*>(send_ring_ + size_t{index} * slot_size_);
}

void PacketRing::give_back() {
  for (; held_ > 0; --held_) {
    store_status(receive_slot(receive_next_), TP_STATUS_KERNEL);
    receive_next_ = (receive_next_ + 1) & (receive_slots_ - 1);
  }
}

size_t PacketRing::receive(std::span<Frame> frames) {
  give_back();
  size_t count = 0;
  while (count < frames.size() && held_ < receive_slots_) {
    tpacket2_hdr& slot = receive_slot((receive_next_ + held_) & (receive_slots_ - 1));
    const uint32_t status = load_status(slot);
    if ((status & TP_STATUS_USER) == 0) break;
    ++held_;
    if (take(slot, frames[count])) {
      ++count;
      if ((status & TP_STATUS_COPY) != 0) break;  // There is room for one of those.
    } else if (count == 0) {
      give_back();
    }
  }
  counters_.received.add(count);
  return count;
}

bool PacketRing::take(tpacket2_hdr& slot, Frame& frame) {
  const uint32_t status = slot.tp_status;
  const bool copied = (status & TP_STATUS_COPY) != 0;
  frame.vlan_protocol = 0;
  frame.vlan = 0;
  if ((status & TP_STATUS_VLAN_VALID) != 0) {
    frame.vlan = slot.tp_vlan_tci;
    frame.vlan_protocol =
        (status & TP_STATUS_VLAN_TPID_VALID) != 0 ? slot.tp_vlan_tpid : ETH_P_8021Q;
  }
  // The copy must leave the queue even where it is not wanted.
  if (copied && !take_large(frame)) return false;
  if (address_of(slot).sll_pkttype == PACKET_OUTGOING) return false;
  if (copied) return true;
  if (slot.tp_snaplen < slot.tp_len) {
    counters_.receive_dropped.add();  // Too large for a slot, and no room in the queue.
    return false;
  }
  if (slot.tp_snaplen < ETH_HLEN) {
    counters_.malformed.add();
    return false;
  }
  SHUNT_ASSERT(slot.tp_mac + slot.tp_snaplen <= slot_size_);
  frame.data = reinterpret_cast<uint8_t*>(&slot) + slot.tp_mac;
  frame.size = slot.tp_snaplen;
  frame.headroom = kFrameHeadroom;
  std::memcpy(&frame.offload, frame.data - sizeof(VnetHeader), sizeof(VnetHeader));
  return true;
}

bool PacketRing::take_large(Frame& frame) {
  uint8_t* const data = large_.get() + kFrameHeadroom + sizeof(VnetHeader);
  const auto next = [&] {
    return ::recv(receive_fd_, data - sizeof(VnetHeader), sizeof(VnetHeader) + kFrameMax,
                  MSG_DONTWAIT | MSG_TRUNC);
  };
  ssize_t size = next();
  // An error of the interface (ENETDOWN) comes once, in place of the frame, which is still there.
  if (size < 0 && errno != EAGAIN) size = next();
  constexpr ssize_t kMost = sizeof(VnetHeader) + kFrameMax;
  if (size < static_cast<ssize_t>(sizeof(VnetHeader) + ETH_HLEN) || size > kMost) {
    counters_.malformed.add();
    return false;
  }
  std::memcpy(&frame.offload, data - sizeof(VnetHeader), sizeof(VnetHeader));
  frame.data = data;
  frame.size = static_cast<uint32_t>(size) - static_cast<uint32_t>(sizeof(VnetHeader));
  frame.headroom = kFrameHeadroom;
  return true;
}

bool PacketRing::send(const Frame& frame) {
  SHUNT_ASSERT(frame.size >= ETH_HLEN);
  const uint32_t tag = frame.vlan_protocol != 0 ? kVlanTag : 0;
  if (kSendOffset + sizeof(VnetHeader) + frame.size + tag > slot_size_) return send_large(frame);

  tpacket2_hdr& slot = send_slot(send_next_);
  if (load_status(slot) != TP_STATUS_AVAILABLE) {
    flush();
    if (load_status(slot) != TP_STATUS_AVAILABLE) {
      counters_.send_dropped.add();
      return false;
    }
  }
  uint8_t* at = reinterpret_cast<uint8_t*>(&slot) + kSendOffset;
  const bool whole = frame.offload.segmentation == VnetHeader::kNone && frame.size <= kSlotMin;
  const VnetHeader header = header_for(frame, tag, whole);
  std::memcpy(at, &header, sizeof header);
  at += sizeof header;
  if (tag == 0) {
    std::memcpy(at, frame.data, frame.size);
  } else {
    std::memcpy(at, frame.data, kMacAddresses);
    store_tag(at + kMacAddresses, frame);
    std::memcpy(at + kMacAddresses + tag, frame.data + kMacAddresses, frame.size - kMacAddresses);
  }
  slot.tp_len = static_cast<uint32_t>(sizeof header) + frame.size + tag;
  store_status(slot, TP_STATUS_SEND_REQUEST);
  send_next_ = (send_next_ + 1) & (send_slots_ - 1);
  ++queued_;
  counters_.sent.add();
  return true;
}

bool PacketRing::send_large(const Frame& frame) {
  if (!flush()) {  // Frames stay in order.
    counters_.send_dropped.add();
    return false;
  }
  const uint32_t tag = frame.vlan_protocol != 0 ? kVlanTag : 0;
  VnetHeader header = header_for(frame, tag, false);
  uint8_t tag_bytes[kVlanTag] = {};
  if (tag != 0) store_tag(tag_bytes, frame);
  iovec parts[] = {{&header, sizeof header},
                   {frame.data, kMacAddresses},
                   {tag_bytes, tag},
                   {frame.data + kMacAddresses, frame.size - kMacAddresses}};
  const msghdr message{.msg_iov = parts, .msg_iovlen = std::size(parts)};
  if (::sendmsg(receive_fd_, &message, MSG_DONTWAIT) < 0) {
    counters_.send_dropped.add();
    return false;
  }
  counters_.sent.add();
  return true;
}

bool PacketRing::flush() {
  if (queued_ == 0) return true;
  // It stops at the first frame that there is no room for, and says nothing of that if others went.
  // Of an interface that is down they wait for the next frame: when it is up is not known here.
  if (::send(send_fd_, nullptr, 0, MSG_DONTWAIT) < 0 && errno == ENETDOWN) return true;
  const tpacket2_hdr& last = send_slot((send_next_ - 1) & (send_slots_ - 1));
  if (load_status(last) != TP_STATUS_SEND_REQUEST) queued_ = 0;
  return queued_ == 0;
}

Result<void> PacketRing::join_group(const std::array<uint8_t, 6>& address) {
  packet_mreq request{.mr_ifindex = interface_.index,
                      .mr_type = PACKET_MR_MULTICAST,
                      .mr_alen = static_cast<unsigned short>(address.size()),
                      .mr_address = {}};
  std::ranges::copy(address, request.mr_address);
  const int error = set_option(receive_fd_, PACKET_ADD_MEMBERSHIP, request);
  if (error != 0) return failed("PACKET_ADD_MEMBERSHIP", error);
  return {};
}

void PacketRing::read_statistics() {
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  // Reading resets them.
  if (::getsockopt(receive_fd_, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
    counters_.receive_dropped.add(statistics.tp_drops);
}

}  // namespace shunt::io
