// getnameinfo(3), and numbers where it has no name.
#include "app/system_names.h"

#include <fmt/format.h>
#include <netdb.h>

#include <array>

namespace shunt::app {

std::string SystemNames::host(const IpAddress& address) {
  const auto known = hosts_.find(address);
  if (known != hosts_.end()) return known->second;
  const SocketAddress socket(address, 0);
  std::array<char, NI_MAXHOST> name{};
  const bool found = ::getnameinfo(socket.data(), socket.size(), name.data(), name.size(), nullptr,
                                   0, NI_NAMEREQD) == 0;
  return hosts_.emplace(address, found ? name.data() : address.to_string()).first->second;
}

std::string SystemNames::port(uint16_t port, std::string_view protocol) {
  const SocketAddress socket(IpAddress::from_v4(0), port);
  std::array<char, NI_MAXSERV> name{};
  const int flags = protocol == "udp" ? NI_DGRAM : 0;
  const bool found =
      ::getnameinfo(socket.data(), socket.size(), nullptr, 0, name.data(), name.size(), flags) == 0;
  return found ? name.data() : fmt::to_string(port);
}

}  // namespace shunt::app
