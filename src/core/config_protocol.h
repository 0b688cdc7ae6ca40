// What of a configuration makes sense for connections without HTTP, those of listeners with
// protocol = "tcp". Pure: any thread.
#pragma once

#include <cstdint>

#include "core/config.h"

namespace shunt::config {

// Whether a connection has such a key: its addresses, and the name that a TLS client asks for,
// which is its host.
constexpr bool of_connection(LocalityKey::Kind kind) {
  return kind == LocalityKey::Kind::kSource || kind == LocalityKey::Kind::kDestination ||
         kind == LocalityKey::Kind::kHost;
}

// Whether it depends on the name asked for what becomes of a connection to
// config.listeners[listener]: then its first bytes must be read before a server is chosen.
bool wants_name(const Config& config, uint32_t listener);

}  // namespace shunt::config
