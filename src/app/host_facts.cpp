// A few questions to the kernel. See host_facts.h.
#include "app/host_facts.h"

#include <utility>

#include "app/privileges.h"

namespace shunt::app {

Result<HostFacts> HostFacts::read() {
  auto view = l4::HostView::read();
  if (!view) return std::unexpected(view.error());
  auto proxies = io::read_proxy_neighbours();
  if (!proxies) return std::unexpected(proxies.error());
  return HostFacts{.view = std::move(*view),
                   .proxies = std::move(*proxies),
                   .capabilities = effective_capabilities(),
                   .local_route = [](const IpAddress& address) -> std::optional<io::LocalRoute> {
                     const auto route = io::find_local_route(address);
                     return route ? *route : std::nullopt;
                   },
                   .own_name = [](const std::string& name) -> std::optional<std::string> {
                     auto found = io::find_interface(name);
                     return found ? std::optional(std::move(found->name)) : std::nullopt;
                   }};
}

const io::NetworkInterface* HostFacts::find(const std::string& name) const {
  if (const io::NetworkInterface* found = view.find(name)) return found;
  const auto own = own_name(name);
  return own ? view.find(*own) : nullptr;
}

}  // namespace shunt::app
