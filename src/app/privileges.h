// Drops root's rights for good, once the sockets are open. Main thread, before any other thread
// exists.
#pragma once

#include <string>

#include "core/result.h"

namespace shunt::app {

// Becomes `user` with its groups, keeping nothing to come back with. Nothing to do for an empty
// name or for the user that the process runs as. The error: no such user, or not started as root.
Result<void> drop_privileges(const std::string& user);

}  // namespace shunt::app
