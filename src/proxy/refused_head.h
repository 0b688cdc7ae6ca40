// What can be said about a request that was refused before it could be parsed: for the access log
// only, which must not be blind just where somebody tries things. Pure.
#pragma once

#include <string_view>

namespace shunt::proxy {

// Views into the bytes received, cut where they are long; as they came, so that whoever shows them
// must escape them. What cannot be told is empty.
struct RefusedHead {
  std::string_view method;
  std::string_view target;  // Without a method before it: the whole line.
  std::string_view version;
  std::string_view host;  // The value of the first Host field.
};

// `bytes`: what has been received of the head.
RefusedHead read_refused(std::string_view bytes);

}  // namespace shunt::proxy
