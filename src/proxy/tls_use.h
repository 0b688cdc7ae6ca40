// Which TLS contexts a worker has: those that the snapshot in use wants. Called by its service, on
// its thread, with each new generation.
#pragma once

#include <memory>
#include <span>

#include "proxy/context.h"
#include "proxy/session.h"

namespace shunt::proxy {

// Brings the worker's engine and the listeners in line with context.generation.
void use_tls(Context& context, std::span<const std::unique_ptr<ListenerState>> listeners);

}  // namespace shunt::proxy
