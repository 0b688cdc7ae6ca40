// What in this host's settings would disturb layer 4, though it starts: its stack forwards packets
// itself, or answers for virtual addresses. Any thread; reads below HostFacts::settings.
#pragma once

#include <vector>

#include "app/host_facts.h"
#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::app {

// Adds a warning for each setting, with what would happen and the command that mends it. Services
// name interfaces by what they go by, not by alternative names.
void warn_of_settings(const std::vector<config::Service>& services, const HostFacts& host,
                      Diagnostics& diagnostics);

}  // namespace shunt::app
