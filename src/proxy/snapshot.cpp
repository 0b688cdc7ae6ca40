// Looks up what a snapshot says of a server.
#include "proxy/snapshot.h"

#include <algorithm>

namespace shunt::proxy {

// By name, as reloads match servers. Only pools with TLS search, and only for new connections and
// those that are to be used again.
const io::TlsClientFiles* Pool::tls_of(const sched::Server& server) const {
  if (tls.empty()) return nullptr;
  const auto found = std::ranges::find(config->servers, server.spec.name, &config::Server::name);
  if (found == config->servers.end()) return nullptr;
  return tls[static_cast<size_t>(found - config->servers.begin())];
}

}  // namespace shunt::proxy
