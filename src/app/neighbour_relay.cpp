// A message is the link's number and the frame.
#include "app/neighbour_relay.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "core/assert.h"

namespace shunt::app {

NeighbourRelay::NeighbourRelay() {
  const int made =
      ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_.data());
  SHUNT_ASSERT(made == 0);
}

NeighbourRelay::~NeighbourRelay() {
  for (const int end : ends_) ::close(end);
}

void NeighbourRelay::write(uint16_t link, std::span<const uint8_t> frame) {
  if (frame.size() > kFrameMax) return;
  std::array<iovec, 2> parts{
      {{&link, sizeof link}, {const_cast<uint8_t*>(frame.data()), frame.size()}}};
  const msghdr message{.msg_iov = parts.data(), .msg_iovlen = parts.size()};
  static_cast<void>(::sendmsg(ends_[1], &message, MSG_NOSIGNAL));
}

std::optional<NeighbourRelay::Heard> NeighbourRelay::read() {
  const ssize_t size = ::recv(ends_[0], buffer_.data(), buffer_.size(), 0);
  if (size < static_cast<ssize_t>(sizeof(uint16_t))) return {};
  Heard heard;
  std::memcpy(&heard.link, buffer_.data(), sizeof heard.link);
  heard.frame = std::span(buffer_).first(static_cast<size_t>(size)).subspan(sizeof heard.link);
  return heard;
}

}  // namespace shunt::app
