// Whether this host can do what [[service]] asks for, and what in its settings would get in the
// way: each said at its place in the configuration, with the way out. Any thread.
#pragma once

#include <vector>

#include "app/host_facts.h"
#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::app {

// Adds what a start would fail for as `lacking` (an interface, a route, a privilege, an address
// that is the host's), and as warnings what would disturb. False: a privilege is among what is
// lacking.
bool doubt_services(const std::vector<config::Service>& services, const HostFacts& host,
                    Severity lacking, Diagnostics& diagnostics);

}  // namespace shunt::app
