// The few questions that the configuration structs answer about themselves.
// Pure values: any thread may ask.
#include "core/config.h"

namespace shunt::config {

bool Match::empty() const {
  return host.empty() && path.empty() && path_prefix.empty() && path_regex.empty() &&
         extension.empty() && method.empty() && header.empty() && cookie.empty() && query.empty() &&
         content_type.empty() && source.empty() && scheme.empty() && sni.empty() &&
         listener.empty() && none.empty() && any.empty();
}

}  // namespace shunt::config
