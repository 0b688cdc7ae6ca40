// The normal form of a URL path. Rules match on it, so that "/%61dmin", "//admin" and "/x/../admin"
// cannot walk around a rule on "/admin". Pure; the server still gets the path that the client sent.
#pragma once

#include <string>
#include <string_view>

namespace shunt::rules {

// RFC 3986 section 6.2.2: percent-encoded unreserved characters are decoded, the hex digits of the
// others written in capitals (so "%2f" and "%2F" are one path and still not a "/"), and dot
// segments removed; runs of "/" become one, before that. A "%" that begins no escape becomes "%25",
// an empty path becomes "/", and what does not begin with "/" ("*") is left alone. Returns `raw`
// itself if it is in normal form, else a view of `scratch`. Idempotent.
std::string_view normalise_path(std::string_view raw, std::string& scratch);

// Whether a prefix of some path in normal form can be `prefix`: false for "/a//b", "/%61", "/../".
bool is_normal_prefix(std::string_view prefix);

}  // namespace shunt::rules
