// Looks up what a snapshot says of a server.
#include "proxy/snapshot.h"

#include <algorithm>
#include <string_view>

namespace shunt::proxy {

bool Pool::knows(const sched::Server& server) const {
  const config::Server* found = config->find_server(server.spec.name);
  return found != nullptr && (found->dns || found->address == server.spec.address);
}

// By name, as reloads match servers. Only pools with TLS search, and only for new connections and
// those that are to be used again.
const io::TlsClientFiles* Pool::tls_of(const sched::Server& server) const {
  if (tls.empty()) return nullptr;
  const config::Server* found = config->find_server(server.spec.name);
  if (found == nullptr) return nullptr;
  return tls[static_cast<size_t>(found - config->servers.data())];
}

std::string Pool::host_of(const sched::ServerSpec& server) const {
  const config::Server* named = has_names ? config->find_server(server.name) : nullptr;
  if (named != nullptr && named->dns) return named->dns->authority();
  return server.address.is_ip() ? server.address.to_string() : "localhost";
}

const Pool* pool_that_knows(const sched::Server& server, const Pool& own, const Snapshot& newest) {
  if (own.knows(server)) return &own;
  const auto current =
      std::ranges::find(newest.pools, own.config->name,
                        [](const Pool& pool) -> std::string_view { return pool.config->name; });
  if (current != newest.pools.end() && current->knows(server)) return &*current;
  return own.tls.empty() ? &own : nullptr;
}

}  // namespace shunt::proxy
