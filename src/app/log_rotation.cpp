// Looks at the access log's directory through the eyes of global.user. See the header.
#include "app/log_rotation.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "app/privileges.h"

namespace shunt::app {

void warn_of_log_rotation(const config::Global& global, Diagnostics& diagnostics) {
  if (global.user.empty() || global.access_log == "stdout" || global.access_log == "off") return;
  std::error_code error;
  const std::filesystem::path log = std::filesystem::absolute(global.access_log, error);
  if (error) return;
  // A device or a FIFO stays where it is.
  const auto status = std::filesystem::status(log, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return;
  const Result<Identity> identity = look_up_user(global.user);
  if (!identity || may_create_in(log.parent_path(), *identity)) return;
  diagnostics.warning(
      {},
      fmt::format("global.user \"{}\" may not create files in {}, so after a rotation USR1 cannot "
                  "open the access log again",
                  global.user, log.parent_path().string()),
      fmt::format("give the log a directory of its own that {} owns, or have the rotation create "
                  "the file for it",
                  global.user));
}

}  // namespace shunt::app
