// Whether this host has what the configuration counts on. Main thread.
#pragma once

#include <cstdint>

#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::app {

// Where a configuration that is looked at is to run.
enum class RunsOn : uint8_t {
  kAnyHost,   // `shunt check`: what this host lacks may be there elsewhere, and is a warning; and
              // reloads, which find out by themselves what they fail for.
  kThisHost,  // `shunt run`, with -t too: what it would fail for is an error.
};

// Adds what is lacking: the directory of the access log, the user, and what layer 4 needs; and
// warnings of CPUs that this process may not use, servers by name where nobody is known to ask, and
// settings that disturb layer 4. True: among the errors is one for want of a privilege.
bool doubt_this_host(const config::Config& config, RunsOn runs_on, Diagnostics& diagnostics);

}  // namespace shunt::app
