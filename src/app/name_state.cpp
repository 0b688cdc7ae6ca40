// TTLs, back-off and the last good answer. See the header.
#include "app/name_state.h"

#include <algorithm>

namespace shunt::app {
namespace {

// Those of `all` whose address none of `others` has.
std::vector<Member> without(const std::vector<Member>& all, const std::vector<Member>& others) {
  std::vector<Member> rest;
  for (const Member& member : all) {
    if (std::ranges::find(others, member.address, &Member::address) == others.end())
      rest.push_back(member);
  }
  return rest;
}

}  // namespace

NameState::Outcome NameState::take(Found found, Instant now, const config::Resolver& settings) {
  Outcome outcome;
  asked_ = true;
  if (!found.members.empty() && found.members != members_) {
    outcome.changed = true;
    outcome.added = without(found.members, members_);
    outcome.removed = without(members_, found.members);
    members_ = std::move(found.members);
  }
  const bool was_fine = trouble_.empty();
  trouble_ = std::move(found.trouble);
  const Duration ttl = std::clamp(found.ttl, settings.ttl_min, settings.ttl_max);
  if (trouble_.empty()) {
    if (!was_fine) outcome.news = News::kOver;
    pause_ = {};
    due_ = now + ttl;
    return outcome;
  }
  if (was_fine) outcome.news = News::kTrouble;
  pause_ = pause_ == Duration{} ? settings.retry_min : std::min(pause_ * 2, settings.retry_max);
  // The part that is there has its own time: some nameservers never answer one of two families.
  const bool nothing = found.ttl == io::DnsReply::kTtlNone;
  due_ = now + (nothing ? pause_ : std::min(pause_, ttl));
  return outcome;
}

}  // namespace shunt::app
