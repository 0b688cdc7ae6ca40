// Whether this host has what the configuration counts on. `shunt check` may run elsewhere than
// `shunt run`, where the same is an error: hence warnings. Main thread.
#pragma once

#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::app {

// Adds a warning for an access log whose directory is not there, a user that does not exist, CPUs
// that this process may not use, and servers by name where nobody is known to ask.
void warn_of_this_host(const config::Config& config, Diagnostics& diagnostics);

}  // namespace shunt::app
