// What ip(8) would do:
//
//   ip rule add iif shunt-local lookup 21320
//   ip route add local ADDRESS dev shunt-local table 21320
//   ip route add throw ADDRESS table local                  # for the moment until the last line
//   ip address add ADDRESS dev shunt-local noprefixroute    # the stack may send as ADDRESS…
//   ip route del local ADDRESS table local                  # …and elsewhere it is not the host's
//   ip route del throw ADDRESS table local
#include "io/local_stack.h"

#include <fmt/format.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "io/netlink.h"

namespace shunt::io {
namespace {

// Ours by no more than that nobody else is likely to use them.
constexpr uint32_t kTable = 21320;
constexpr uint32_t kPriority = 21320;

constexpr uint32_t kMtu = 65535;  // Whatever comes in by a link is to pass.
constexpr uint32_t kLooseReversePath = 2;
constexpr int kRouteAwaitedMs = 1000;

uint8_t family_of(const IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

uint8_t prefix_of(const IpAddress& address) {
  return address.is_v4() ? 32 : 128;
}

std::unexpected<Error> failed(std::string_view what, int error) {
  std::string_view hint;
  if (error == EPERM)
    hint =
        "; it needs CAP_NET_ADMIN: start as root, or `setcap cap_net_raw,cap_net_admin+ep` on the "
        "binary";
  else if (error == EACCES)
    hint = "; is IPv6 switched off? `sysctl -w net.ipv6.conf.default.disable_ipv6=0`";
  return fail(fmt::format("{}: {}: {}{}", LocalStack::kDevice, what, std::strerror(error), hint),
              error);
}

// A client's packet comes out of the device, and the way to the client is by another one. Loose,
// which wins over a strict check of the whole host, as the larger of both counts.
int loosen_reverse_path(uint32_t index) {
  NetlinkRequest request(RTM_SETLINK, 0, ifinfomsg{.ifi_index = static_cast<int>(index)});
  const size_t families = request.open(IFLA_AF_SPEC);
  const size_t family = request.open(AF_INET);
  const size_t settings = request.open(IFLA_INET_CONF);
  request.add(IPV4_DEVCONF_RP_FILTER, kLooseReversePath);
  request.close(settings);
  request.close(family);
  request.close(families);
  return request.send();
}

int change_rule(uint16_t type, uint16_t flags, bool v4) {
  NetlinkRequest request(type, flags,
                         fib_rule_hdr{.family = static_cast<uint8_t>(v4 ? AF_INET : AF_INET6),
                                      .table = RT_TABLE_UNSPEC,
                                      .action = FR_ACT_TO_TBL});
  const std::string device(LocalStack::kDevice);
  request.add(FRA_IIFNAME, {reinterpret_cast<const uint8_t*>(device.c_str()), device.size() + 1});
  request.add(FRA_TABLE, kTable);
  request.add(FRA_PRIORITY, kPriority);
  return request.send();
}

// The host's own, in this table.
int change_route(uint16_t type, uint16_t flags, const IpAddress& address, uint32_t table,
                 uint32_t index) {
  const bool removes = type == RTM_DELROUTE;
  NetlinkRequest request(
      type, flags,
      rtmsg{.rtm_family = family_of(address),
            .rtm_dst_len = prefix_of(address),
            .rtm_table = RT_TABLE_UNSPEC,
            .rtm_protocol = static_cast<uint8_t>(removes ? RTPROT_UNSPEC : RTPROT_STATIC),
            .rtm_scope = static_cast<uint8_t>(removes ? RT_SCOPE_NOWHERE : RT_SCOPE_HOST),
            .rtm_type = RTN_LOCAL});
  request.add(RTA_DST, address);
  request.add(RTA_OIF, index);
  request.add(RTA_TABLE, table);
  return request.send();
}

// In the host's table, ahead of the local route that the kernel puts there for an address of IPv4:
// meanwhile lookups pass over it. Best effort. Of IPv6 the kernel's own comes first.
class ThrowRoute {
 public:
  explicit ThrowRoute(const IpAddress& address) : address_(address) {
    change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  }
  ~ThrowRoute() { change(RTM_DELROUTE, 0); }
  ThrowRoute(const ThrowRoute&) = delete;
  ThrowRoute& operator=(const ThrowRoute&) = delete;

 private:
  void change(uint16_t type, uint16_t flags) {
    if (!address_.is_v4()) return;
    NetlinkRequest request(type, flags,
                           rtmsg{.rtm_family = AF_INET,
                                 .rtm_dst_len = prefix_of(address_),
                                 .rtm_table = RT_TABLE_LOCAL,
                                 .rtm_protocol = RTPROT_STATIC,
                                 .rtm_scope = RT_SCOPE_UNIVERSE,
                                 .rtm_type = RTN_THROW});
    request.add(RTA_DST, address_);
    request.send();
  }

  const IpAddress address_;
};

// False: nothing has changed for so long that it will not.
bool await_change(const NetlinkSocket& changes) {
  pollfd event{.fd = changes.get(), .events = POLLIN, .revents = 0};
  if (::poll(&event, 1, kRouteAwaitedMs) <= 0) return false;
  uint8_t what[4096];
  while (::recv(changes.get(), what, sizeof what, MSG_DONTWAIT) >= 0) continue;
  return true;
}

int hide_address(const IpAddress& address, uint32_t index) {
  return change_route(RTM_DELROUTE, 0, address, RT_TABLE_LOCAL, index);
}

// The host must not choose it for connections of its own: of IPv4 it has the scope of the host, of
// IPv6 it is deprecated from the start.
int change_address(uint16_t type, uint16_t flags, const IpAddress& address, uint32_t index) {
  const bool v4 = address.is_v4();
  NetlinkRequest request(
      type, flags,
      ifaddrmsg{.ifa_family = family_of(address),
                .ifa_prefixlen = prefix_of(address),
                .ifa_scope = static_cast<uint8_t>(v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE),
                .ifa_index = index});
  request.add(IFA_LOCAL, address);
  request.add(IFA_ADDRESS, address);
  request.add(IFA_FLAGS, uint32_t{IFA_F_NOPREFIXROUTE | (v4 ? 0u : IFA_F_NODAD)});
  const ifa_cacheinfo lifetimes{.ifa_prefered = v4 ? UINT32_MAX : 0, .ifa_valid = UINT32_MAX};
  request.add(IFA_CACHEINFO, {reinterpret_cast<const uint8_t*>(&lifetimes), sizeof lifetimes});
  return request.send();
}

}  // namespace

LocalStack::~LocalStack() {
  keep({});
}

Result<void> LocalStack::open() {
  auto tun = TunDevice::open({.name = std::string(kDevice), .mtu = kMtu, .addresses = {}});
  if (!tun) return std::unexpected(tun.error());
  index_ = ::if_nametoindex((*tun)->name().c_str());
  if (const int error = loosen_reverse_path(index_); error != 0) return failed("rp_filter", error);
  tun_ = std::move(*tun);
  return {};
}

Result<void> LocalStack::add_rule(bool v4) {
  bool& has_rule = v4 ? has_rule_v4_ : has_rule_v6_;
  if (has_rule) return {};
  const int error = change_rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, v4);
  if (error != 0 && error != EEXIST) return failed("rule", error);
  has_rule = true;
  return {};
}

Result<void> LocalStack::add(std::span<const IpAddress> addresses) {
  if (addresses.empty()) return {};
  if (tun_ == nullptr) SHUNT_TRY(open());
  for (const IpAddress& address : addresses) {
    if (std::ranges::find(addresses_, address) != addresses_.end()) continue;
    SHUNT_TRY(add_rule(address.is_v4()));
    addresses_.push_back(address);  // Half of it is to be taken away too.
    const ThrowRoute unseen(address);
    SHUNT_TRY(assign(address, NLM_F_CREATE | NLM_F_REPLACE));
  }
  return {};
}

// `flags` of what is made; with NLM_F_EXCL what there is stays, and no change is announced.
Result<void> LocalStack::assign(const IpAddress& address, uint16_t flags) {
  const std::string name = address.to_string();
  const NetlinkSocket changes(address.is_v4() ? RTMGRP_IPV4_ROUTE : RTMGRP_IPV6_ROUTE);
  if (changes.get() < 0) return failed("rtnetlink", errno);
  int error = change_route(RTM_NEWROUTE, flags, address, kTable, index_);
  if (error != 0 && error != EEXIST) return failed("route to " + name, error);
  const int known = change_address(RTM_NEWADDR, flags, address, index_);
  if (known != 0 && known != EEXIST) return failed("address " + name, known);
  error = hide_address(address, index_);
  if (known == EEXIST) return {};  // Most likely it is hidden.
  // The kernel puts an address of IPv6 into its table a moment later, on a thread of its own.
  while (error == ESRCH && await_change(changes)) error = hide_address(address, index_);
  if (error != 0) return failed("local route of " + name, error);
  return {};
}

void LocalStack::keep(std::span<const IpAddress> addresses) {
  std::erase_if(addresses_, [&](const IpAddress& address) {
    if (std::ranges::find(addresses, address) != addresses.end()) return false;
    change_route(RTM_DELROUTE, 0, address, kTable, index_);
    change_address(RTM_DELADDR, 0, address, index_);
    return true;
  });
  if (!addresses_.empty()) return;
  tun_.reset();
  if (std::exchange(has_rule_v4_, false)) change_rule(RTM_DELRULE, 0, true);
  if (std::exchange(has_rule_v6_, false)) change_rule(RTM_DELRULE, 0, false);
}

Result<void> LocalStack::restore() {
  for (const IpAddress& address : addresses_) {
    const auto done = assign(address, NLM_F_CREATE | NLM_F_EXCL);
    if (!done && done.error().sys != ENETDOWN) return done;
  }
  return {};
}

int LocalStack::inject(const VnetHeader& header, std::span<const uint8_t> packet) {
  return tun_ == nullptr ? -ENETDOWN : tun_->inject(header, packet);
}

}  // namespace shunt::io
