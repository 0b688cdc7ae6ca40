// Why a rule does or does not match: each key tested on its own, in words. For `shunt explain`, not
// for the data path.
#pragma once

#include <span>
#include <string>

#include "core/config.h"
#include "rules/conditions.h"
#include "rules/subject.h"

namespace shunt::rules {

struct Finding {
  bool holds = true;
  std::string why;  // The first key that fails, or all that hold: "host: \"a\" is not \"b\"",
                    // "always matches".
};

Finding explain_conditions(const Conditions& conditions,
                           std::span<const config::Listener> listeners, Subject& subject);

}  // namespace shunt::rules
