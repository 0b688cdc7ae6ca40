// What a configuration may say and hardly means: a pool that nothing leads to, servers that get
// nothing, a listener as its own server, a method that nobody sends. Warnings only; pure.
#pragma once

#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::config {

// `config` has been loaded without errors, by whoever owns `diagnostics`.
void warn_of_doubts(const Config& config, Diagnostics& diagnostics);

}  // namespace shunt::config
