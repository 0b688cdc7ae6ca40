// Who Shunt becomes once the sockets are open: finds the user, says what it may write, and drops
// root's rights for good. Main thread, before any other thread exists.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/result.h"

namespace shunt::app {

struct Identity {
  std::string name;
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;            // All of them, ascending.
  std::string setting = "global.user";  // That asked for it, for errors.
};

// As the system's user database has it. `setting`: what names it. The error: no such user.
Result<Identity> look_up_user(const std::string& name, const std::string& setting = "global.user");

// Becomes `identity` in every one of the process's ids (real, effective, saved) and in its groups,
// keeping nothing to come back with. Nothing to do if it is all that already. `keep_network`:
// CAP_NET_RAW and CAP_NET_ADMIN stay, for layer 4. The error: not started as root.
Result<void> drop_privileges(const Identity& identity, bool keep_network = false);

// Gives up all capabilities and the way back to them, and stays who it is.
Result<void> drop_capabilities();

// What this thread may do of what only root may, by the bits of capability.h.
uint64_t effective_capabilities();

// Whether `identity` may create files in `directory`, by the modes of it and of what leads there.
// True where that cannot be known.
bool may_create_in(const std::filesystem::path& directory, const Identity& identity);

}  // namespace shunt::app
