// What can be said about conditions without a request: whether one set of them includes another,
// whether they exclude each other or themselves. Conservative: "true" is certain, "false" may mean
// "not known". Pure; for lint, not for the data path.
#pragma once

#include <optional>
#include <string>

#include "rules/conditions.h"

namespace shunt::rules {

// Whether every request that fulfils `narrow` fulfils `wide`.
bool implies(const Conditions& narrow, const Conditions& wide);

// Whether no request fulfils both.
bool disjoint(const Conditions& a, const Conditions& b);

// Why no request at all fulfils `conditions`, if that is so.
std::optional<std::string> contradiction(const Conditions& conditions);

}  // namespace shunt::rules
