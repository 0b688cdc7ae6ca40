// Finds rules that can never match: because they contradict themselves, or because the rules before
// them take all that they could match. Has no false positives; not every dead rule is found. Pure,
// when a configuration is loaded.
#pragma once

#include <span>

#include "core/config.h"
#include "core/diagnostics.h"
#include "rules/conditions.h"

namespace shunt::rules {

// Adds a warning at the place of each such rule. `conditions` are those of `rules`. Beyond about
// 10,000 rules the ones at the end are compared with the always-matching rules before them only, so
// that loading stays quick.
void warn_of_dead_rules(std::span<const config::Rule> rules, std::span<const Conditions> conditions,
                        std::span<const config::Listener> listeners, Diagnostics& diagnostics);

}  // namespace shunt::rules
