// What a request must not be: one that walks around a rule, or one too many of its source.
#include <algorithm>
#include <chrono>

#include "proxy/exchange.h"
#include "proxy/session.h"
#include "proxy/source_key.h"
#include "rules/locality_key.h"

namespace shunt::proxy {
namespace {

RateLimiter* limiter_at(const std::vector<std::shared_ptr<RateLimiter>>& all, uint32_t index) {
  return index < all.size() ? all[index].get() : nullptr;
}

// Without the field, cookie or parameter that it names, a request has no key.
bool has_key(const config::LocalityKey& key, uint64_t hash) {
  using Kind = config::LocalityKey::Kind;
  if (key.kind != Kind::kHeader && key.kind != Kind::kCookie && key.kind != Kind::kQuery)
    return true;
  return hash != rules::locality_hash(key, rules::RequestView());
}

}  // namespace

bool Exchange::path_is_clear(const RequestHead& head, const rules::RequestView& view,
                             uint32_t matched) {
  const char* objection = rules::objection_to(head.path, session_.listener().config.ambiguous_path,
                                              *generation_.snapshot->rules, view, matched,
                                              context_.rule_scratch, context_.reading_scratch);
  if (objection == nullptr) return true;
  detail_ = objection;
  fail(Reason::kAmbiguousPath);
  return false;
}

bool Exchange::within_listener_rate(rules::RequestView& view) {
  RateLimiter* limiter =
      limiter_at(generation_.snapshot->listener_limiters, session_.listener().index);
  if (limiter == nullptr) return true;
  const config::Config& config = generation_.snapshot->config;
  return within_rate(*limiter, *config.listeners[session_.listener().index].rate_limit, view);
}

bool Exchange::within_rule_rate(uint32_t matched, rules::RequestView& view) {
  RateLimiter* limiter = limiter_at(generation_.snapshot->rule_limiters, matched);
  return limiter == nullptr || within_rate(*limiter, *rule_->rate_limit, view);
}

bool Exchange::within_rate(RateLimiter& limiter, const config::RateLimit& limit,
                           rules::RequestView& view) {
  using Kind = config::LocalityKey::Kind;
  uint64_t key = 0;
  if (limit.key.kind == Kind::kSource) {
    key = source_key(view.source, session_.listener().config.source_ipv6_prefix);
  } else {
    if (limit.key.kind == Kind::kDestination) view.destination = session_.destination().ip();
    key = rules::locality_hash(limit.key, view);
    if (!has_key(limit.key, key)) return true;
  }
  const Duration wait = limiter.take(key, context_.io.now());
  if (wait == Duration::zero()) return true;
  const int64_t seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  retry_after_ = static_cast<uint32_t>(std::clamp<int64_t>(seconds, 1, UINT32_MAX));
  fail(Reason::kRateLimited);
  return false;
}

}  // namespace shunt::proxy
