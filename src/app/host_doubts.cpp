// Asks the system for a directory, a user, CPUs, nameservers, and for what layer 4 needs. See the
// header.
#include "app/host_doubts.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include "app/privileges.h"
#include "app/service_doubts.h"

namespace shunt::app {
namespace {

using Lack = std::function<void(std::string text, std::string way_out)>;

void look_for_directory(const config::Global& global, const Lack& lack) {
  if (global.access_log == "stdout" || global.access_log == "off") return;
  std::error_code error;
  const auto directory = std::filesystem::absolute(global.access_log, error).parent_path();
  if (error || std::filesystem::is_directory(directory, error)) return;
  lack(fmt::format("global.access_log: there is no directory {} on this host", directory.string()),
       fmt::format("mkdir -p {}", directory.string()));
}

void look_for_user(const config::Global& global, const Lack& lack) {
  if (global.user.empty()) return;
  if (const auto identity = look_up_user(global.user); !identity)
    lack(identity.error().text, fmt::format("useradd --system {}", global.user));
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

// False: a privilege is lacking.
bool look_at_services(const config::Config& config, Severity lacking, Diagnostics& diagnostics) {
  if (config.services.empty()) return true;
  const auto host = HostFacts::read();
  if (host) return doubt_services(config.services, *host, lacking, diagnostics);
  diagnostics.warning(
      config.services.front().place,
      fmt::format("what layer 4 needs of this host cannot be looked at: {}", host.error().text));
  return true;
}

}  // namespace

bool doubt_this_host(const config::Config& config, RunsOn runs_on, Diagnostics& diagnostics) {
  const bool here = runs_on == RunsOn::kThisHost;
  const Lack lack = [&](std::string text, std::string way_out) {
    here ? diagnostics.error({}, std::move(text), std::move(way_out))
         : diagnostics.warning({}, std::move(text), std::move(way_out));
  };
  look_for_directory(config.global, lack);
  look_for_user(config.global, lack);
  warn_of_cpus(config.global, diagnostics);
  warn_of_nameservers(config, diagnostics);
  const Severity lacking = here ? Severity::kError : Severity::kWarning;
  return !look_at_services(config, lacking, diagnostics) && here;
}

}  // namespace shunt::app
