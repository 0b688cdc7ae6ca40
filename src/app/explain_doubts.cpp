// Objections to a path, and stickiness, in words. See the header.
#include "app/explain_doubts.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/units.h"
#include "rules/fields.h"
#include "rules/locality_key.h"
#include "rules/path_reading.h"

namespace shunt::app {
namespace {

using Mode = config::Sticky::Mode;

// "; read as /admin/x, rule \"blocked\" would match": the first reading that the rules disagree
// about. Empty if that is not what the objection is about.
std::string disagreement(const config::Config& config, const rules::RuleSet& rules,
                         const SampleRequest& request, uint32_t matched) {
  const rules::PathDoubts doubts = rules::doubts_of(request.raw_path());
  rules::PathScratch paths;
  rules::RuleSet::Scratch scratch;
  rules::RequestView other = request.view();
  for (uint8_t reading = doubts.liberties; reading != 0;
       reading = static_cast<uint8_t>((reading - 1) & doubts.liberties)) {
    other.path = rules::read_path(request.raw_path(), reading, paths);
    const uint32_t rule = rules.match(other, scratch);
    if (rule == matched) continue;
    return rule == rules::kNoRule ? fmt::format("; read as {}, no rule would match", other.path)
                                  : fmt::format("; read as {}, rule \"{}\" would match", other.path,
                                                config.rules[rule].name);
  }
  return {};
}

Affinity by_key(const config::Sticky& sticky, const rules::RequestView& view) {
  const std::string name = rules::name_of(sticky.key);
  if (!rules::identity_hash(sticky.key, view))
    return {fmt::format("by {}: the request has none", name)};
  return {fmt::format("by {} = {}: to the server that it went to in the last {}", name,
                      rules::locality_text(sticky.key, view),
                      format_duration(sticky.ttl.value_or(config::Sticky::kTtl)))};
}

// The value of the first cookie of that name which could lead to a server, and where it leads.
struct FoundCookie {
  bool there = false;
  uint64_t server = 0;
};

FoundCookie find_cookie(const proxy::Pool& pool, const rules::RequestView& view) {
  const config::Sticky& sticky = pool.config->sticky;
  FoundCookie found;
  rules::any_cookie(view, [&](const rules::Field& cookie) {
    if (cookie.name != sticky.cookie) return false;
    found.there = true;
    if (pool.tokens != nullptr)
      found.server = pool.tokens->server_of_cookie(sticky.mode, cookie.value);
    return found.server != 0;
  });
  return found;
}

Affinity by_cookie(const proxy::Pool& pool, const rules::RequestView& view) {
  const config::Sticky& sticky = pool.config->sticky;
  const FoundCookie found = find_cookie(pool, view);
  const auto text = [&](std::string_view what) {
    return fmt::format("by cookie {}: {}", sticky.cookie, what);
  };
  if (!found.there) {
    return {text(sticky.mode == Mode::kInsert ? "the request has none, the answer will set it"
                                              : "the request has none")};
  }
  if (sticky.mode == Mode::kLearn)
    return {text("to the server that set this value, if a running Shunt has seen that")};
  if (found.server == 0 && pool.has_names)
    return {text("it may lead to a server by name: names are not looked up here")};
  if (found.server == 0) {
    return {text(sticky.secret.empty()
                     ? "only the Shunt that made it can tell where it leads, since there is no "
                       "secret in the configuration"
                     : "it leads to no server of this pool")};
  }
  const auto servers = pool.servers->servers();
  const auto home = std::ranges::find(servers, found.server, &sched::Server::id);
  if (home == servers.end()) return {text("it leads to no server of this pool")};
  if ((*home)->spec.weight == 0 && sticky.expire_quiescent)
    return {text(
        fmt::format("it leads to {}, which has weight 0 (expire_quiescent)", (*home)->spec.name))};
  return {text(fmt::format("it leads to {}", (*home)->spec.name)), *home};
}

}  // namespace

std::optional<std::string> explain_objection(const config::Config& config,
                                             const rules::RuleSet& rules,
                                             const SampleRequest& request, uint32_t matched) {
  const uint32_t listener = request.view().listener;
  if (request.is_connection() || listener >= config.listeners.size()) return {};
  rules::RuleSet::Scratch scratch;
  rules::PathScratch paths;
  const config::PathPolicy policy = config.listeners[listener].ambiguous_path;
  const char* objection = rules::objection_to(request.raw_path(), policy, rules, request.view(),
                                              matched, scratch, paths);
  if (objection == nullptr) return {};
  return objection + (policy == config::PathPolicy::kCheck
                          ? disagreement(config, rules, request, matched)
                          : std::string());
}

Affinity explain_affinity(const proxy::Pool& pool, const SampleRequest& request) {
  const config::Sticky& sticky = pool.config->sticky;
  return sticky.mode == Mode::kKey ? by_key(sticky, request.view())
                                   : by_cookie(pool, request.view());
}

}  // namespace shunt::app
