// The option, the configuration, the default: the first that is there.
#include "app/ctl_address.h"

#include <fmt/format.h>

#include "core/config_load.h"
#include "sched/registry.h"

namespace shunt::app {

Result<SocketAddress> admin_address(const std::string& admin, const std::string& config) {
  if (!admin.empty()) {
    const auto address = SocketAddress::parse(admin);
    if (!address) return fail(fmt::format("--admin {}: {}", admin, address.error().text));
    return *address;
  }
  if (config.empty()) return SocketAddress::parse(kAdminDefault);
  const config::Loaded loaded =
      config::load_file(config, {.schedulers = sched::known_schedulers()});
  if (loaded.config.global.admin) return *loaded.config.global.admin;
  if (loaded.diagnostics.has_errors()) return fail(loaded.diagnostics.to_string());
  return fail(
      fmt::format("{} has no [global] admin, so a Shunt that runs with it cannot be asked; "
                  "add admin = \"{}\"",
                  config, kAdminDefault));
}

}  // namespace shunt::app
