// The few questions that the configuration structs answer about themselves.
// Pure values: any thread may ask.
#include "core/config.h"

#include <algorithm>

namespace shunt::config {

bool Match::empty() const {
  return host.empty() && path.empty() && path_prefix.empty() && path_regex.empty() &&
         extension.empty() && method.empty() && header.empty() && cookie.empty() && query.empty() &&
         content_type.empty() && source.empty() && scheme.empty() && sni.empty() &&
         listener.empty() && none.empty() && any.empty();
}

const Server* Pool::find_server(std::string_view wanted) const {
  for (const Server& server : servers) {
    if (!wanted.starts_with(server.name)) continue;
    const std::string_view rest = wanted.substr(server.name.size());
    if (rest.empty() || (server.dns && rest.starts_with('/'))) return &server;
  }
  return nullptr;
}

bool Pool::has_names() const {
  return std::ranges::any_of(servers, [](const Server& server) { return server.dns.has_value(); });
}

}  // namespace shunt::config
