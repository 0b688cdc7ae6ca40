// Looks up what a snapshot says of a server.
#include "proxy/snapshot.h"

namespace shunt::proxy {

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

}  // namespace shunt::proxy
