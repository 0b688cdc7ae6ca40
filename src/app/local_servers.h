// Servers that are the director itself: IPVS's local node. Pure; any thread.
#pragma once

#include <vector>

#include "app/layer4_plan.h"
#include "l4/host_view.h"

namespace shunt::app {

// Gives the method "local" to the servers whose address is one of the host's own, whatever
// `forward` says. The error: one of them has a port that its packets do not come for.
Result<void> mark_local_servers(Layer4Plan& plan, const l4::HostView& view);

// Whether the same servers of two plans, which are otherwise the same, are the director itself.
bool same_locality(const Layer4Plan& a, const Layer4Plan& b);

// The virtual addresses of services that have such a server, each once.
std::vector<IpAddress> local_addresses(const Layer4Plan& plan);

}  // namespace shunt::app
