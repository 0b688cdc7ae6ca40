// The request target that a rule's rewrite makes of the one received. Pure; the only memory it
// needs is the caller's string, which the next request reuses.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rules/actions.h"

namespace shunt::rules {

// Longest target that a rewrite may make.
inline constexpr size_t kTargetMax = 32 * 1024;

enum class Rewritten : uint8_t {
  kUnchanged,  // The server is asked for what the client asked for, as it came.
  kChanged,    // `out` is the target.
  kInvalid,    // It would have a "." or ".." segment, made of what the client sent.
  kTooLong,
};

// `raw_path` is the path as received, which stays if only the query changes; values.request->path
// the normal form, which is what is rewritten. Paths that do not begin with "/" ("*") stay as they
// are. What is written is in normal form and holds no octet that a request target must not.
Rewritten rewrite_target(const Actions& actions, std::string_view raw_path, bool has_query,
                         const Values& values, std::string& out);

}  // namespace shunt::rules
