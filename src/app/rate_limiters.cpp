// Matches the limits of a new configuration with those in use. See the header.
#include "app/rate_limiters.h"

#include <random>
#include <utility>

namespace shunt::app {
namespace {

uint64_t secret() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace

void RateLimiters::apply(proxy::Snapshot& snapshot) {
  Table listeners;
  for (const config::Listener& listener : snapshot.config.listeners)
    snapshot.listener_limiters.push_back(
        keep(listener.name, listener.rate_limit, listeners_, listeners));
  listeners_ = std::move(listeners);
  Table rules;
  for (const config::Rule& rule : snapshot.config.rules)
    snapshot.rule_limiters.push_back(keep(rule.name, rule.rate_limit, rules_, rules));
  rules_ = std::move(rules);
}

std::shared_ptr<RateLimiter> RateLimiters::keep(const std::string& name,
                                                const std::optional<config::RateLimit>& limit,
                                                const Table& before, Table& after) {
  if (!limit) return nullptr;
  const auto found = before.find(name);
  Kept kept{.limit = *limit, .limiter = nullptr};
  if (found != before.end() && found->second.limit == *limit) {
    kept.limiter = found->second.limiter;
  } else {
    const RateLimiter::Rate rate{.interval = limit->interval, .burst = limit->burst};
    kept.limiter = std::make_shared<RateLimiter>(rate, limit->size, secret());
  }
  return after.insert_or_assign(name, std::move(kept)).first->second.limiter;
}

}  // namespace shunt::app
