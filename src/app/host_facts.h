// This host as layer 4 has to know it before it starts: a value, so that what is concluded from it
// can be tested without such a host.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "io/host_claims.h"
#include "l4/host_view.h"

namespace shunt::app {

struct HostFacts {
  l4::HostView view;
  std::vector<io::ProxyNeighbour> proxies;
  uint64_t capabilities = 0;                         // Of this process, by bit.
  std::filesystem::path settings = "/proc/sys/net";  // Of the network, a file each.
  // As io::find_local_route().
  std::function<std::optional<io::LocalRoute>(const IpAddress&)> local_route;
  // What an interface goes by that has this alternative name or label; nothing: there is none.
  std::function<std::optional<std::string>(const std::string&)> own_name;

  // By any name, as io::find_interface(). Null: there is none.
  const io::NetworkInterface* find(const std::string& name) const;

  // The error: what the kernel would not say. Any thread.
  static Result<HostFacts> read();
};

}  // namespace shunt::app
