// Asks the system for a directory, a user, CPUs and nameservers. See the header.
#include "app/host_doubts.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "app/privileges.h"

namespace shunt::app {
namespace {

void warn_of_directory(const config::Global& global, Diagnostics& diagnostics) {
  if (global.access_log == "stdout" || global.access_log == "off") return;
  std::error_code error;
  const auto directory = std::filesystem::absolute(global.access_log, error).parent_path();
  if (error || std::filesystem::is_directory(directory, error)) return;
  diagnostics.warning(
      {},
      fmt::format("global.access_log: there is no directory {} on this host", directory.string()),
      fmt::format("mkdir -p {}", directory.string()));
}

void warn_of_user(const config::Global& global, Diagnostics& diagnostics) {
  if (global.user.empty()) return;
  if (const auto identity = look_up_user(global.user); !identity)
    diagnostics.warning({}, identity.error().text, fmt::format("useradd --system {}", global.user));
}

void warn_of_cpus(const config::Global& global, Diagnostics& diagnostics) {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0) return;
  for (const uint32_t cpu : global.cpu_affinity)
    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &usable))
      diagnostics.warning({},
                          fmt::format("global.cpu_affinity: this process may not use CPU {}", cpu));
}

bool has_nameserver(std::ifstream file) {
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("nameserver")) return true;
  return false;
}

void warn_of_nameservers(const config::Config& config, Diagnostics& diagnostics) {
  constexpr const char* kFile = "/etc/resolv.conf";
  if (!config.resolver.nameservers.empty()) return;
  if (std::ranges::none_of(config.pools, &config::Pool::has_names)) return;
  if (has_nameserver(std::ifstream(kFile))) return;
  diagnostics.warning({}, fmt::format("{} of this host names no nameserver", kFile),
                      "[resolver] with nameservers = \"10.0.0.53\"");
}

}  // namespace

void warn_of_this_host(const config::Config& config, Diagnostics& diagnostics) {
  warn_of_directory(config.global, diagnostics);
  warn_of_user(config.global, diagnostics);
  warn_of_cpus(config.global, diagnostics);
  warn_of_nameservers(config, diagnostics);
}

}  // namespace shunt::app
