// Two questions to the kernel. See host_view.h.
#include "l4/host_view.h"

#include <algorithm>

#include "io/local_stack.h"

namespace shunt::l4 {
namespace {

constexpr uint8_t kV4Prefix = 96;  // Of ::ffff:0:0/96, the addresses of IPv4.

bool is_link_local(const IpAddress& address) {
  return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

// The one whose network has `next`, else the first; of IPv6's rather not a link-local one, unless
// `next` is one itself.
IpAddress address_on(const io::NetworkInterface& interface, const IpAddress& next) {
  IpAddress found;
  for (size_t i = 0; i < interface.addresses.size(); ++i) {
    const IpAddress& address = interface.addresses[i];
    if (address.is_v4() != next.is_v4() || is_loopback(SocketAddress(address, 0))) continue;
    const int prefix = interface.prefixes[i] + (address.is_v4() ? kV4Prefix : 0);
    if (Cidr{address, static_cast<uint8_t>(prefix)}.contains(next)) return address;
    if (found == IpAddress{} || (is_link_local(found) && !is_link_local(address))) found = address;
  }
  return found;
}

}  // namespace

Result<HostView> HostView::read() {
  auto interfaces = io::list_interfaces();
  if (!interfaces) return std::unexpected(interfaces.error());
  auto routes = io::read_routes();
  if (!routes) return std::unexpected(routes.error());
  return HostView{std::move(*interfaces), io::RouteTable(*routes)};
}

const io::NetworkInterface* HostView::find(std::string_view name) const {
  const auto at = std::ranges::find(interfaces, name, &io::NetworkInterface::name);
  return at == interfaces.end() ? nullptr : &*at;
}

bool HostView::has_address(const IpAddress& address) const {
  if (is_loopback(SocketAddress(address, 0))) return true;
  return std::ranges::any_of(interfaces, [&](const io::NetworkInterface& interface) {
    return interface.name != io::LocalStack::kDevice &&
           std::ranges::find(interface.addresses, address) != interface.addresses.end();
  });
}

const io::NetworkInterface* HostView::towards(const IpAddress& address) const {
  const io::Route* route = routes.find(address);
  if (route == nullptr) return nullptr;
  return at(route->interface);
}

const io::NetworkInterface* HostView::at(int index) const {
  const auto found = std::ranges::find(interfaces, index, &io::NetworkInterface::index);
  return found == interfaces.end() ? nullptr : &*found;
}

IpAddress HostView::source_for(const io::Route& route, const IpAddress& destination) const {
  if (route.source != IpAddress{}) return route.source;
  // A link-local gateway says nothing about whom to speak as to those behind it.
  const bool by_gateway = !route.on_link() && route.gateway.is_v4() == destination.is_v4() &&
                          !is_link_local(route.gateway);
  const IpAddress& next = by_gateway ? route.gateway : destination;
  IpAddress found;
  if (const io::NetworkInterface* way = at(route.interface)) found = address_on(*way, next);
  // A link without addresses of its own speaks as another one; lo may have one for that.
  for (const io::NetworkInterface& other : interfaces) {
    if (found != IpAddress{}) break;
    if (other.ethernet) found = address_on(other, next);
  }
  return found;
}

}  // namespace shunt::l4
