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
                   }};
}

}  // namespace shunt::app
