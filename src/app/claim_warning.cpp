// The text, and when. See claim_warning.h.
#include "app/claim_warning.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>

namespace shunt::app {

std::optional<std::string> ClaimWarning::look(uint64_t claims, const l4::Neighbours::Conflict& last,
                                              std::string_view interface, Instant now) {
  constexpr Duration kAgain = std::chrono::minutes(1);
  if (claims == told_ || now < next_) return {};
  const uint64_t times = claims - told_;
  told_ = claims;
  next_ = now + kAgain;
  return fmt::format(
      "layer 4: {:02x} on {} claims the virtual address {} for itself{}, and takes its clients "
      "away: another director, whose service or this one's has to go, or a real server that is to "
      "keep quiet about it (docs/layer4-servers.md)",
      fmt::join(last.mac, ":"), interface, last.address.to_string(),
      times == 1 ? "" : fmt::format(" ({} times)", times));
}

}  // namespace shunt::app
