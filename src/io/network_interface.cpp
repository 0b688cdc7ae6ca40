// Interfaces by netdevice(7) and getifaddrs(3), which need no privilege.
#include "io/network_interface.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>

namespace shunt::io {
namespace {

using AddressList = std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)>;

Result<AddressList> list_addresses() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0)
    return fail(fmt::format("getifaddrs: {}", std::strerror(errno)), errno);
  return AddressList(first, ::freeifaddrs);
}

class QuerySocket {
 public:
  QuerySocket() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~QuerySocket() {
    if (fd_ >= 0) ::close(fd_);
  }
  QuerySocket(const QuerySocket&) = delete;
  QuerySocket& operator=(const QuerySocket&) = delete;

  bool ask(unsigned long request, ifreq& question) const {
    return ::ioctl(fd_, request, &question) == 0;
  }

 private:
  int fd_;
};

// Bits that are set; a missing mask means the address alone.
uint8_t prefix_of(const sockaddr* mask, int family) {
  constexpr uint8_t kV4Bits = 32;
  constexpr uint8_t kV6Bits = 128;
  if (mask == nullptr) return family == AF_INET ? kV4Bits : kV6Bits;
  int bits = 0;
  if (family == AF_INET) {
    bits = std::popcount(reinterpret_cast<const sockaddr_in*>(mask)->sin_addr.s_addr);
  } else {
    for (const uint8_t byte : reinterpret_cast<const sockaddr_in6*>(mask)->sin6_addr.s6_addr)
      bits += std::popcount(byte);
  }
  return static_cast<uint8_t>(bits);
}

// IPv4 addresses may have a label, "eth0:1", which is what they are listed by.
bool is_of(const std::string& interface, std::string_view label) {
  return label.starts_with(interface) &&
         (label.size() == interface.size() || label[interface.size()] == ':');
}

Result<NetworkInterface> describe(const std::string& name, const ifaddrs* addresses) {
  const QuerySocket socket;
  ifreq question{};
  if (name.size() >= sizeof question.ifr_name) return fail("the name is too long", ENODEV);
  std::memcpy(question.ifr_name, name.data(), name.size());

  NetworkInterface found;
  if (!socket.ask(SIOCGIFINDEX, question)) return fail(std::strerror(errno), errno);
  found.index = question.ifr_ifindex;
  // The kernel answers to other names too; everything else is told apart by this one.
  if (!socket.ask(SIOCGIFNAME, question)) return fail(std::strerror(errno), errno);
  found.name = question.ifr_name;
  if (socket.ask(SIOCGIFMTU, question)) found.mtu = static_cast<uint32_t>(question.ifr_mtu);
  if (socket.ask(SIOCGIFHWADDR, question)) {
    const auto type = question.ifr_hwaddr.sa_family;
    found.ethernet = type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK;
    if (found.ethernet)
      std::memcpy(found.mac.data(), question.ifr_hwaddr.sa_data, found.mac.size());
  }
  if (socket.ask(SIOCGIFFLAGS, question)) {
    const unsigned flags = static_cast<unsigned short>(question.ifr_flags);
    found.enabled = (flags & IFF_UP) != 0;
    found.up = found.enabled && (flags & IFF_RUNNING) != 0;
    found.neighbours = found.ethernet && (flags & (IFF_NOARP | IFF_LOOPBACK)) == 0;
  }
  for (const ifaddrs* at = addresses; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || !is_of(found.name, at->ifa_name)) continue;
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    found.addresses.push_back(SocketAddress::from_sockaddr(at->ifa_addr, size).ip());
    found.prefixes.push_back(prefix_of(at->ifa_netmask, family));
  }
  return found;
}

struct NamesFree {
  void operator()(struct if_nameindex* names) const { ::if_freenameindex(names); }
};

std::vector<std::string> names() {
  const std::unique_ptr<struct if_nameindex, NamesFree> list(::if_nameindex());
  std::vector<std::string> result;
  if (list == nullptr) return result;
  for (const struct if_nameindex* at = list.get(); at->if_index != 0; ++at)
    result.emplace_back(at->if_name);
  return result;
}

}  // namespace

Result<NetworkInterface> find_interface(const std::string& name) {
  const auto addresses = list_addresses();
  if (!addresses) return std::unexpected(addresses.error());
  auto found = describe(name, addresses->get());
  if (found) return found;
  return fail(fmt::format("interface {}: {}; there are: {}", name, found.error().text,
                          fmt::join(names(), ", ")),
              found.error().sys);
}

Result<std::vector<NetworkInterface>> list_interfaces() {
  const auto addresses = list_addresses();
  if (!addresses) return std::unexpected(addresses.error());
  std::vector<NetworkInterface> result;
  for (const std::string& name : names()) {
    // One that has gone meanwhile is no error.
    if (auto found = describe(name, addresses->get())) result.push_back(std::move(*found));
  }
  return result;
}

}  // namespace shunt::io
