// The certificates, keys and authorities that a configuration names, read and checked: what
// contexts are made of (tls_context.h). Read when a snapshot is built, on the main thread;
// immutable afterwards, shared by all workers, each of which makes its own contexts of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/diagnostics.h"
#include "io/tls_names.h"

namespace shunt::io {

// The bytes of one certificate's files, which have been found to belong together.
struct TlsIdentity {
  std::string certificate;  // PEM, with the chain.
  std::string key;          // PEM.
  std::string ocsp;         // DER, or empty.
  int64_t ocsp_until = 0;   // Seconds since 1970 from when `ocsp` says nothing any more.
};

// What a listener needs.
struct TlsServerFiles {
  config::ListenerTls settings;
  std::vector<TlsIdentity> identities;       // Parallel to settings.certificates.
  std::vector<TlsNames::Certificate> names;  // The same.
  std::string client_ca;                     // PEM, or empty.
  std::string digest;                        // Of all of it: equal digests, equal contexts.
};

// What connections to a server need.
struct TlsClientFiles {
  config::ServerTls settings;
  TlsIdentity identity;  // Empty: none.
  std::string ca;        // PEM; empty: the system's.
  std::string digest;    // Of all but the name.
  uint64_t key = 0;      // Of all: connections are alike if theirs are equal. Never 0.
};

// Null if there are errors, which name the file and the way out. Warns of what will be trouble:
// certificates that have expired or soon do, chains out of order. `now`: seconds since 1970.
std::unique_ptr<const TlsServerFiles> load_tls(const config::ListenerTls& settings, int64_t now,
                                               Diagnostics& diagnostics);
std::unique_ptr<const TlsClientFiles> load_tls(const config::ServerTls& settings, int64_t now,
                                               Diagnostics& diagnostics);

}  // namespace shunt::io
