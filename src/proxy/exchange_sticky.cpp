// Stickiness: the server that a request belongs to, and how the client's next one will be known.
// Pools without it pay one comparison at each of the three places.
#include <algorithm>

#include "core/units.h"
#include "proxy/exchange.h"
#include "proxy/session.h"
#include "rules/fields.h"
#include "rules/locality_key.h"

namespace shunt::proxy {
namespace {

using Mode = config::Sticky::Mode;

constexpr std::string_view kNew = "new";

Duration lifetime(const config::Sticky& sticky) {
  return sticky.ttl.value_or(config::Sticky::kTtl);
}

}  // namespace

// Of several cookies of that name, as paths and domains make them, the first that leads somewhere.
void Exchange::find_affinity(rules::RequestView& view) {
  const config::Sticky& sticky = pool_config().sticky;
  const Instant now = context_.io.now();
  StickyStore& store = pool_->state->sticky;
  if (sticky.mode == Mode::kKey) {
    if (sticky.key.kind == config::LocalityKey::Kind::kDestination)
      view.destination = session_.destination().ip();
    sticky_key_ = rules::identity_hash(sticky.key, view);
    if (sticky_key_) sticky_server_ = store.find(*sticky_key_, now, lifetime(sticky));
    return;
  }
  rules::any_cookie(view, [&](const rules::Field& cookie) {
    if (cookie.name != sticky.cookie) return false;
    if (sticky.mode == Mode::kLearn) {
      sticky_key_ = sticky_key(cookie.value);
      sticky_server_ = store.find(*sticky_key_, now, lifetime(sticky));
    } else {
      sticky_server_ = pool_->tokens->server_of_cookie(sticky.mode, cookie.value);
    }
    return sticky_server_ != 0;
  });
}

// Null: any server will do.
sched::Server* Exchange::claim_server() {
  const bool quiesced = !pool_config().sticky.expire_quiescent;
  const sched::Claimed claimed =
      pool_->servers->claim(sticky_server_, flow_, sched::Counted::kActive, quiesced);
  sticky_busy_ = claimed.busy;
  return claimed.server;
}

// Once a server has been chosen for a client that has one already.
void Exchange::note_affinity() {
  if (sticky_outcome_ == kNew) return;  // And the first that it was given has failed.
  if (server_->id == sticky_server_) {
    sticky_outcome_ = "kept";
  } else {
    sticky_outcome_ = sticky_busy_ ? "busy" : "moved";
  }
}

// The table follows a client that had to go elsewhere; not if its own server was only busy.
void Exchange::keep_affinity() {
  const config::Sticky& sticky = pool_config().sticky;
  if (!sticky_key_ || sticky_busy_ || server_->id == sticky_server_) return;
  if (sticky.mode == Mode::kLearn && sticky_server_ == 0) return;  // A value not from here.
  if (sticky_server_ == 0) sticky_outcome_ = kNew;
  sticky_server_ = server_->id;
  pool_->state->sticky.put(*sticky_key_, sticky_server_, context_.io.now(), lifetime(sticky));
}

StickyAnswer Exchange::answer_sticky(const ResponseHead& head) {
  const config::Sticky& sticky = pool_config().sticky;
  switch (sticky.mode) {
    case Mode::kOff:
    case Mode::kKey:
      return {};
    case Mode::kInsert:
      if (sticky_busy_ || server_->id == sticky_server_) return {};
      break;
    case Mode::kPrefix:
      break;
    case Mode::kLearn:
      learn_cookies(head);
      return {};
  }
  // A server that a reload has removed has no token.
  const std::optional<StickyToken> token = pool_->tokens->token_of(server_->id);
  if (!token) return {};
  const StickyAnswer answer{&sticky, *token, session_.stream().is_tls()};
  const auto is_marked = [&answer](const Field& field) {
    return rules::equals_lower(field.name, "set-cookie") && answer.marks(field.value);
  };
  const bool given = sticky.mode == Mode::kInsert || std::ranges::any_of(head.fields(), is_marked);
  if (given && sticky_server_ == 0) sticky_outcome_ = kNew;
  return answer;
}

void Exchange::learn_cookies(const ResponseHead& head) {
  const config::Sticky& sticky = pool_config().sticky;
  for (const Field& field : head.fields()) {
    if (!rules::equals_lower(field.name, "set-cookie")) continue;
    const Cookie cookie = set_cookie_of(field.value);
    if (cookie.name != sticky.cookie || cookie.value.empty()) continue;
    pool_->state->sticky.put(sticky_key(cookie.value), server_->id, context_.io.now(),
                             lifetime(sticky));
    if (sticky_server_ == 0) sticky_outcome_ = kNew;
  }
}

}  // namespace shunt::proxy
