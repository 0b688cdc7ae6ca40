// Which frames a ring gets: a filter of its own, and a share of those of a group. See
// packet_ring.h.
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

#include "io/packet_ring.h"

namespace shunt::io {
namespace {

constexpr int kIgnoreOutgoingFlag = 0x4000;  // PACKET_FANOUT_FLAG_IGNORE_OUTGOING, Linux 5.12.

sock_fprog whole(std::span<const sock_filter> program) {
  return {.len = static_cast<unsigned short>(program.size()),
          .filter = const_cast<sock_filter*>(program.data())};
}

}  // namespace

Result<void> PacketRing::set_filter(std::span<const sock_filter> filter) {
  const sock_fprog program = whole(filter);
  const int option = filter.empty() ? SO_DETACH_FILTER : SO_ATTACH_FILTER;
  if (::setsockopt(receive_fd_, SOL_SOCKET, option, &program, sizeof program) == 0) return {};
  if (filter.empty() && errno == ENOENT) return {};  // There was none.
  return failed("SO_ATTACH_FILTER", errno);
}

Result<void> PacketRing::join(const Fanout& fanout) {
  const int type = fanout.program.empty() ? PACKET_FANOUT_HASH : PACKET_FANOUT_CBPF;
  const int flags = (fanout.reassemble ? PACKET_FANOUT_FLAG_DEFRAG : 0) |
                    (fanout.group ? 0 : PACKET_FANOUT_FLAG_UNIQUEID);
  const auto join_with = [&](int more) {
    const uint32_t value =
        static_cast<uint32_t>(type | flags | more) << 16 | fanout.group.value_or(0);
    return ::setsockopt(receive_fd_, SOL_PACKET, PACKET_FANOUT, &value, sizeof value) == 0 ? 0
                                                                                           : errno;
  };
  int error = join_with(kIgnoreOutgoingFlag);
  if (error == EINVAL) error = join_with(0);
  if (error != 0) return failed("PACKET_FANOUT", error);
  uint32_t joined = 0;
  socklen_t size = sizeof joined;
  ::getsockopt(receive_fd_, SOL_PACKET, PACKET_FANOUT, &joined, &size);
  fanout_group_ = static_cast<uint16_t>(joined);
  return fanout.program.empty() ? Result<void>{} : set_fanout(fanout.program);
}

Result<void> PacketRing::set_fanout(std::span<const sock_filter> program) {
  const sock_fprog data = whole(program);
  if (::setsockopt(receive_fd_, SOL_PACKET, PACKET_FANOUT_DATA, &data, sizeof data) == 0) return {};
  return failed("PACKET_FANOUT_DATA", errno);
}

}  // namespace shunt::io
