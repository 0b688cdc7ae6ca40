// rtnetlink: a dump of the routes, and the groups that tell of changes.
#include "io/route_table.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>

#include "core/hash.h"
#include "io/netlink.h"

namespace shunt::io {
namespace {

Cidr network_of(const IpAddress& address, uint8_t prefix) {
  Cidr network{address, prefix};
  for (size_t bit = prefix; bit < 128; ++bit)
    network.network.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
  return network;
}

// The gateway of a route or of one of its next hops.
void read_hop(const rtattr* at, int family, Route& route) {
  if (at->rta_type == RTA_GATEWAY && RTA_PAYLOAD(at) >= address_size(family)) {
    route.gateway = netlink_address(family, RTA_DATA(at));
  } else if (at->rta_type == RTA_VIA && RTA_PAYLOAD(at) > sizeof(rtvia)) {
    const auto* via = static_cast<const rtvia*>(RTA_DATA(at));
    if (RTA_PAYLOAD(at) >= sizeof(rtvia) + address_size(via->rtvia_family))
      route.gateway = netlink_address(via->rtvia_family, via->rtvia_addr);
  }
}

// The first next hop that is alive: a flow must not change its way with each packet.
void read_multipath(const rtattr* attribute, int family, Route& route) {
  const auto* hop = static_cast<const rtnexthop*>(RTA_DATA(attribute));
  auto left = static_cast<int>(RTA_PAYLOAD(attribute));
  while (RTNH_OK(hop, left)) {
    if ((hop->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0) {
      route.interface = hop->rtnh_ifindex;
      for_each_attribute(RTNH_DATA(hop), hop->rtnh_len - sizeof(rtnexthop),
                         [&](const rtattr* at) { read_hop(at, family, route); });
      return;
    }
    left -= RTNH_ALIGN(hop->rtnh_len);
    hop = RTNH_NEXT(hop);
  }
}

void read_metrics(const rtattr* attribute, Route& route) {
  for_each_attribute(static_cast<const rtattr*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute),
                     [&](const rtattr* at) {
                       if (at->rta_type == RTAX_MTU) route.mtu = word_of(at);
                     });
}

std::optional<Route> read_route(const nlmsghdr* message) {
  const auto* header = static_cast<const rtmsg*>(NLMSG_DATA(message));
  const int family = header->rtm_family;
  if (family != AF_INET && family != AF_INET6) return {};
  if (header->rtm_src_len != 0 || header->rtm_tos != 0) return {};
  if ((header->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)) != 0) return {};
  Route route;
  route.refused = header->rtm_type == RTN_BLACKHOLE || header->rtm_type == RTN_UNREACHABLE ||
                  header->rtm_type == RTN_PROHIBIT;
  if (header->rtm_type != RTN_UNICAST && !route.refused) return {};
  uint32_t table = header->rtm_table;
  IpAddress destination = family == AF_INET ? IpAddress::from_v4(0) : IpAddress{};
  for_each_attribute(RTM_RTA(header), RTM_PAYLOAD(message), [&](const rtattr* at) {
    switch (at->rta_type) {
      case RTA_TABLE:
        table = word_of(at);
        return;
      case RTA_DST:
        if (RTA_PAYLOAD(at) >= address_size(family))
          destination = netlink_address(family, RTA_DATA(at));
        return;
      case RTA_OIF:
        route.interface = static_cast<int>(word_of(at));
        return;
      case RTA_PRIORITY:
        route.metric = word_of(at);
        return;
      case RTA_METRICS:
        return read_metrics(at, route);
      case RTA_PREFSRC:
        if (RTA_PAYLOAD(at) >= address_size(family))
          route.source = netlink_address(family, RTA_DATA(at));
        return;
      case RTA_MULTIPATH:
        return read_multipath(at, family, route);
      default:
        return read_hop(at, family, route);
    }
  });
  if (table != RT_TABLE_MAIN) return {};
  const int prefix = header->rtm_dst_len + (family == AF_INET ? kV4Prefix : 0);
  route.destination = network_of(destination, static_cast<uint8_t>(prefix));
  return route;
}

}  // namespace

size_t RouteTable::Hash::operator()(const Cidr& network) const {
  return hash_32(network.network.folded() ^ network.prefix, 32);
}

RouteTable::RouteTable(const std::vector<Route>& routes) {
  for (const Route& route : routes) {
    const auto [at, is_new] = routes_.try_emplace(route.destination, route);
    if (!is_new && route.metric < at->second.metric) at->second = route;
    if (std::ranges::find(prefixes_, route.destination.prefix) == prefixes_.end())
      prefixes_.push_back(route.destination.prefix);
  }
  std::ranges::sort(prefixes_, std::greater{});
}

const Route* RouteTable::find(const IpAddress& address) const {
  const bool v4 = address.is_v4();
  for (const uint8_t prefix : prefixes_) {
    if (v4 && prefix < kV4Prefix) break;  // IPv6's default route is not IPv4's.
    const auto at = routes_.find(network_of(address, prefix));
    if (at != routes_.end()) return at->second.refused ? nullptr : &at->second;
  }
  return nullptr;
}

Result<std::vector<Route>> read_routes() {
  struct {
    nlmsghdr header{};
    rtmsg body{};
  } request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.rtm_family = AF_UNSPEC;
  std::vector<Route> routes;
  SHUNT_TRY(ask_netlink(bytes_of(request), [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWROUTE) return;
    if (auto route = read_route(&message)) routes.push_back(*route);
  }));
  return routes;
}

Result<std::unique_ptr<NetworkChanges>> NetworkChanges::open() {
  NetlinkSocket socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                       RTMGRP_IPV6_ROUTE);
  if (socket.get() < 0) return netlink_failed("socket", errno);
  auto changes = std::make_unique<NetworkChanges>(Private(), socket.release());
  // The counters to begin with come the same way.
  struct {
    nlmsghdr header{};
    ifinfomsg body{};
  } request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  if (::send(changes->fd_, &request, sizeof request, 0) < 0) return netlink_failed("send", errno);
  changes->take();
  return changes;
}

NetworkChanges::~NetworkChanges() {
  ::close(fd_);
}

bool NetworkChanges::take() {
  alignas(nlmsghdr) uint8_t bytes[16 * 1024];
  bool changed = false;
  while (true) {
    const ssize_t size = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    // ENOBUFS: so much has changed that the kernel has lost count.
    if (size < 0 && errno != ENOBUFS) return changed;
    changed = true;
    lost_count_ |= size < 0;
    if (size > 0) read({bytes, static_cast<size_t>(size)});
  }
}

// Carriers that fail and come back within a second are told of once, when all is well again: then
// only their counters differ.
void NetworkChanges::read(std::span<const uint8_t> messages) {
  auto left = static_cast<unsigned>(messages.size());
  const auto* message = reinterpret_cast<const nlmsghdr*>(messages.data());
  for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
    if (message->nlmsg_type != RTM_NEWLINK) continue;
    const auto* header = static_cast<const ifinfomsg*>(NLMSG_DATA(message));
    if (header->ifi_family != AF_UNSPEC) continue;  // A bridge speaks of its ports.
    bool fell = (header->ifi_flags & IFF_UP) == 0 || (header->ifi_flags & IFF_RUNNING) == 0;
    for_each_attribute(IFLA_RTA(header), IFLA_PAYLOAD(message), [&](const rtattr* at) {
      if (at->rta_type != IFLA_CARRIER_DOWN_COUNT) return;
      const auto [known, is_new] = carrier_losses_.try_emplace(header->ifi_index, word_of(at));
      fell |= !is_new && known->second != word_of(at);
      known->second = word_of(at);
    });
    if (fell) fallen_.push_back(header->ifi_index);
  }
}

void NetworkChanges::forget() {
  fallen_.clear();
  lost_count_ = false;
}

bool NetworkChanges::has_fallen(int interface) const {
  return lost_count_ || std::ranges::find(fallen_, interface) != fallen_.end();
}

}  // namespace shunt::io
