// A request as the rules see it: views into bytes that the caller keeps alive. Not parsed here;
// src/proxy fills it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/address.h"

namespace shunt::rules {

struct HeaderView {
  std::string_view name;   // As received; names compare without case.
  std::string_view value;  // Outer white space removed.
};

struct RequestView {
  std::string_view method;
  std::string_view scheme;  // "http" or "https".
  std::string_view sni;     // Asked for by TLS, lower case; empty if nothing was.
  std::string_view
      host;  // Without port, lower case or not; compares without case. Empty if there is none.
  std::string_view
      path;  // From the first "/" to "?", normalised (rules/path.h); "*" for OPTIONS *.
  std::string_view query;  // Behind "?", without it.
  std::span<const HeaderView> headers;
  IpAddress source;
  uint16_t source_port = 0;
  IpAddress destination;  // The address the client connected to.
  uint32_t listener = 0;  // Index into Config::listeners.

  // The value of the first header of that name, or an empty view with null data.
  std::string_view header(std::string_view name) const;
};

}  // namespace shunt::rules
