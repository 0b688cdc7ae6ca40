// Sockets that tunnels end in, read in batches. Each raw socket also keeps the kernel from telling
// the director that nobody here speaks the protocol.
#include "app/decap_agent.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "io/network_interface.h"

namespace shunt::app {
namespace {

using l4::Decapsulated;

std::unexpected<Error> failed(std::string_view what, int error) {
  const bool denied = error == EPERM || error == EACCES;
  return fail(fmt::format("{}: {}{}", what, std::strerror(error),
                          denied ? "; it needs CAP_NET_RAW: start as root, or `setcap "
                                   "cap_net_raw,cap_net_admin+ep` on the binary"
                                 : ""),
              error);
}

// Room for a packet's traffic class.
using Control = std::array<char, 64>;

uint8_t traffic_class_of(msghdr& message) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    const bool v4 = at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS;
    const bool v6 = at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS;
    if (v4) return *CMSG_DATA(at);
    if (!v6) continue;
    int value = 0;
    std::memcpy(&value, CMSG_DATA(at), sizeof value);
    return static_cast<uint8_t>(value);
  }
  return 0;
}

io::VnetHeader header_of(const l4::Join::Whole& whole) {
  io::VnetHeader header;
  if (!whole.offload.partial) return header;
  header.flags = io::VnetHeader::kNeedsChecksum;
  header.checksum_start = whole.offload.start;
  header.checksum_offset = whole.offload.offset;
  header.segmentation = whole.offload.segment_type;
  header.segment_size = whole.offload.segment_size;
  header.header_size = static_cast<uint16_t>(whole.header_size);
  return header;
}

}  // namespace

std::string DecapTotals::to_string() const {
  return fmt::format("{} packets taken out of tunnels, {} refused, {} malformed, {} failed", taken,
                     refused, malformed, failed);
}

DecapAgent::DecapAgent(Private, const DecapOptions& options)
    : options_(options), bytes_(std::make_unique_for_overwrite<uint8_t[]>(kBatch * kPacketMax)) {}

DecapAgent::~DecapAgent() {
  for (const Source& source : sources_) ::close(source.fd);
}

Result<std::unique_ptr<DecapAgent>> DecapAgent::open(const DecapOptions& options) {
  const auto interface = io::find_interface(options.interface);
  if (!interface) return std::unexpected(interface.error());
  auto agent = std::make_unique<DecapAgent>(Private(), options);
  for (const bool v6 : {false, true}) {
    SHUNT_TRY(agent->add_source(v6, l4::kIpInIp));
    SHUNT_TRY(agent->add_source(v6, l4::kIpv6));
    if (options.gue_port != 0) SHUNT_TRY(agent->add_source(v6, l4::kUdp));
  }
  auto tun = io::TunDevice::open(
      {.name = options.tun, .mtu = interface->mtu, .addresses = options.addresses});
  if (!tun) return std::unexpected(tun.error());
  agent->tun_ = std::move(*tun);
  return agent;
}

Result<void> DecapAgent::add_source(bool v6, uint8_t protocol) {
  const bool udp = protocol == l4::kUdp;
  const int family = v6 ? AF_INET6 : AF_INET;
  const std::string what = fmt::format(
      "{} socket for {}", v6 ? "IPv6" : "IPv4",
      udp ? fmt::format("UDP port {}", options_.gue_port) : fmt::format("protocol {}", protocol));
  const int type = (udp ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const int fd = ::socket(family, type, protocol);
  // A host without IPv6 has no tunnels over it either.
  if (fd < 0 && v6 && errno == EAFNOSUPPORT) return {};
  if (fd < 0) return failed(what, errno);
  sources_.push_back({fd, protocol, v6});
  const std::string& name = options_.interface;
  if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                   static_cast<socklen_t>(name.size())) != 0)
    return failed(what + " on " + name, errno);
  const int on = 1;
  const int room = 8 << 20;
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (v6) {
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  } else {
    ::setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
  }
  if (!udp) return {};
  const SocketAddress any(v6 ? IpAddress{} : IpAddress::from_v4(0), options_.gue_port);
  if (::bind(fd, any.data(), any.size()) != 0) return failed(what, errno);
  return {};
}

void DecapAgent::run(int stop) {
  std::vector<pollfd> ready{{.fd = stop, .events = POLLIN, .revents = 0}};
  for (const Source& source : sources_)
    ready.push_back({.fd = source.fd, .events = POLLIN, .revents = 0});
  while (true) {
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    if (ready[0].revents != 0) return;
    for (size_t i = 0; i < sources_.size(); ++i)
      if (ready[i + 1].revents != 0) drain(sources_[i]);
  }
}

// One batch: the others have their turn in between.
void DecapAgent::drain(const Source& source) {
  std::array<iovec, kBatch> parts;
  std::array<Control, kBatch> control;
  std::array<sockaddr_storage, kBatch> senders;
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    parts[i] = {bytes_.get() + i * kPacketMax, kPacketMax};
    msghdr& header = messages[i].msg_hdr;
    header.msg_name = &senders[i];
    header.msg_namelen = sizeof senders[i];
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    header.msg_control = control[i].data();
    header.msg_controllen = control[i].size();
  }
  const int count = ::recvmmsg(source.fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < count; ++i) {
    mmsghdr& message = messages[static_cast<size_t>(i)];
    const auto& sender = senders[static_cast<size_t>(i)];
    const IpAddress from = SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&sender),
                                                        message.msg_hdr.msg_namelen)
                               .ip();
    take(source, {bytes_.get() + static_cast<size_t>(i) * kPacketMax, message.msg_len}, from,
         traffic_class_of(message.msg_hdr));
  }
  for (l4::Join& join : joins_)
    if (!join.empty()) inject(join);
}

void DecapAgent::take(const Source& source, std::span<uint8_t> bytes, const IpAddress& sender,
                      uint8_t traffic_class) {
  const auto sent_it = [&](const Cidr& network) { return network.contains(sender); };
  if (!options_.from.empty() && std::ranges::none_of(options_.from, sent_it)) {
    ++totals_.refused;
    return;
  }
  l4::Inner inner;
  Decapsulated result;
  if (source.protocol == l4::kUdp) {
    result = l4::decapsulate_gue(bytes, traffic_class, inner);
  } else {
    // Raw IPv4 sockets deliver the outer header, IPv6's do not.
    const std::span<uint8_t> payload = source.v6 ? bytes : l4::behind_ipv4(bytes);
    result = l4::decapsulate_ip(payload, source.protocol, traffic_class, inner);
  }
  if (result != Decapsulated::kTaken) {
    ++totals_.malformed;
    return;
  }
  if (std::ranges::find(options_.addresses, inner.headers.tuple.destination) ==
      options_.addresses.end()) {
    ++totals_.refused;
    return;
  }
  pass_on(inner);
}

// The stack has as much to do for a large packet as for a small one, so what follows each other in
// a batch is joined. Packets of one flow stay in order.
void DecapAgent::pass_on(const l4::Inner& inner) {
  auto join =
      std::ranges::find_if(joins_, [&](const l4::Join& one) { return one.is_of_flow(inner); });
  if (join != joins_.end() && join->add(inner)) return;
  if (join == joins_.end()) join = std::ranges::find_if(joins_, &l4::Join::empty);
  if (join == joins_.end()) join = joins_.begin() + next_join_++ % kFlows;
  if (!join->empty()) inject(*join);
  join->begin(inner);
}

void DecapAgent::inject(l4::Join& join) {
  const l4::Join::Whole whole = join.finish();
  static_assert(l4::Join::kSegmentsMost <= io::TunDevice::kPartsMost);
  const bool done = tun_->inject(header_of(whole), whole.parts) == 0;
  (done ? totals_.taken : totals_.failed) += whole.segments;
}

}  // namespace shunt::app
