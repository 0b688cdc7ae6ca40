// Tells, now and then, that another host speaks for a virtual address: two directors, or a real
// server that answers for what it should keep to itself. Pure; one forwarding thread's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/instant.h"
#include "l4/neighbour.h"

namespace shunt::app {

class ClaimWarning {
 public:
  // `claims`: so many so far, of which `last` was heard last, on `interface`. What to log, at most
  // once a minute; nothing: there is no news.
  std::optional<std::string> look(uint64_t claims, const l4::Neighbours::Conflict& last,
                                  std::string_view interface, Instant now);

 private:
  uint64_t told_ = 0;
  Instant next_{};
};

}  // namespace shunt::app
