// One question about an address, and a dump of those answered for. See host_claims.h.
#include "io/host_claims.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "io/netlink.h"

namespace shunt::io {
namespace {

std::string name_of_interface(uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return ::if_indextoname(index, name.data()) != nullptr ? name.data() : std::string();
}

std::optional<LocalRoute> read_local(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWROUTE) return {};
  const auto* header = static_cast<const rtmsg*>(NLMSG_DATA(&message));
  if (header->rtm_type != RTN_LOCAL) return {};
  const int family = header->rtm_family;
  LocalRoute route;
  route.table = header->rtm_table;
  route.of_address = header->rtm_protocol == RTPROT_KERNEL;
  route.destination.prefix =
      static_cast<uint8_t>(header->rtm_dst_len + (family == AF_INET ? kV4Prefix : 0));
  if (family == AF_INET) route.destination.network = IpAddress::from_v4(0);
  for_each_attribute(RTM_RTA(header), RTM_PAYLOAD(&message), [&](const rtattr* at) {
    if (at->rta_type == RTA_TABLE) route.table = word_of(at);
    if (at->rta_type == RTA_OIF) route.interface = name_of_interface(word_of(at));
    if (at->rta_type == RTA_DST && RTA_PAYLOAD(at) >= address_size(family))
      route.destination.network = netlink_address(family, RTA_DATA(at));
  });
  return route;
}

}  // namespace

Result<std::optional<LocalRoute>> find_local_route(const IpAddress& address) {
  struct {
    nlmsghdr header{};
    rtmsg body{};
    rtattr attribute{};
    std::array<uint8_t, sizeof(in6_addr)> bytes{};
  } request;
  const bool v4 = address.is_v4();
  const size_t size = v4 ? sizeof(in_addr) : sizeof(in6_addr);
  request.header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(rtmsg)) + RTA_LENGTH(size));
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.rtm_family = v4 ? AF_INET : AF_INET6;
  request.body.rtm_dst_len = static_cast<uint8_t>(size * 8);
  request.body.rtm_flags = RTM_F_FIB_MATCH;  // The route itself, not what it makes of the address.
  request.attribute.rta_type = RTA_DST;
  request.attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(size));
  std::memcpy(request.bytes.data(), address.bytes.data() + (address.bytes.size() - size), size);

  std::optional<LocalRoute> found;
  const auto asked = ask_netlink(bytes_of(request).first(request.header.nlmsg_len),
                                 [&](const nlmsghdr& message) { found = read_local(message); });
  if (asked) return found;
  // No route at all, or one that refuses: not the host's.
  switch (asked.error().sys) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EINVAL:
      return std::nullopt;
    default:
      return std::unexpected(asked.error());
  }
}

Result<std::vector<ProxyNeighbour>> read_proxy_neighbours() {
  struct {
    nlmsghdr header{};
    ndmsg body{};
  } request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETNEIGH;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.ndm_flags = NTF_PROXY;
  std::vector<ProxyNeighbour> proxies;
  SHUNT_TRY(ask_netlink(bytes_of(request), [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWNEIGH) return;
    const auto* header = static_cast<const ndmsg*>(NLMSG_DATA(&message));
    const int family = header->ndm_family;
    if ((header->ndm_flags & NTF_PROXY) == 0) return;
    if (family != AF_INET && family != AF_INET6) return;
    const auto* first = reinterpret_cast<const rtattr*>(header + 1);
    for_each_attribute(first, NLMSG_PAYLOAD(&message, sizeof(ndmsg)), [&](const rtattr* at) {
      if (at->rta_type == NDA_DST && RTA_PAYLOAD(at) >= address_size(family))
        proxies.push_back({netlink_address(family, RTA_DATA(at)), header->ndm_ifindex});
    });
  }));
  return proxies;
}

}  // namespace shunt::io
