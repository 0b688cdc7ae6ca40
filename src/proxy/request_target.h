// The target of a request and the authority it is meant for (RFC 9112 §3.2, RFC 3986 §3.2): split
// and checked, nothing decoded, nothing normalised. Pure; views point into the input.
#pragma once

#include <optional>
#include <string_view>

#include "proxy/message.h"

namespace shunt::proxy {

struct Authority {
  std::string_view text;  // "host", "host:port", "[v6]:port".
  std::string_view host;  // Without port; an IPv6 literal keeps its brackets.
};

// The value of Host, or what stands between "//" and the path. Refused: user information, an empty
// host, percent-encoding and "," in the host (no name needs them and servers differ in what they
// make of them), zone identifiers, a port that is no number up to 65535. An empty port is allowed
// by the grammar.
std::optional<Authority> parse_authority(std::string_view text);

// Fills path and query from out.target, and authority and host if the target is in absolute-form.
// Needs out.method. Refused besides what the grammar refuses: fragments, bytes outside ASCII, "\"
// in front of the query.
std::optional<Reject> parse_target(RequestHead& out);

}  // namespace shunt::proxy
