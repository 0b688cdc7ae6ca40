// Two questions to the kernel. See host_view.h.
#include "l4/host_view.h"

#include <algorithm>

namespace shunt::l4 {

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

const io::NetworkInterface* HostView::towards(const IpAddress& address) const {
  const io::Route* route = routes.find(address);
  if (route == nullptr) return nullptr;
  const auto at = std::ranges::find(interfaces, route->interface, &io::NetworkInterface::index);
  return at == interfaces.end() ? nullptr : &*at;
}

}  // namespace shunt::l4
