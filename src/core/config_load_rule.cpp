// Reads [[rule]] with its action. Exactly one of pool, split, redirect and respond.
// Owned by one load, on the thread that loads.
#include <algorithm>
#include <array>
#include <utility>

#include "core/config_load_parts.h"
#include "core/config_protocol.h"
#include "core/config_text.h"

namespace shunt::config {
namespace {

// An answer of our own leaves from one block of memory, so what it holds is bounded.
void check_size(Loading& loading, Place place, std::string_view key, size_t size, size_t most) {
  if (size <= most) return;
  loading.diagnostics.error(
      place, fmt::format("\"{}\" has {} bytes, at most {} are possible", key, size, most),
      "serve larger content from a pool");
}

constexpr std::array<uint16_t, 5> kRedirectStatuses = {301, 302, 303, 307, 308};

// A Location is a path or an absolute URI (RFC 9110 section 10.2.2 allows more, which depends on
// where the client is): "/new", "https://a/", "mailto:a@b", or what a variable makes of it.
bool is_redirect_target(std::string_view to) {
  if (to.starts_with('/') || to.starts_with("${")) return true;
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const std::string_view scheme = to.substr(0, to.find(':'));
  return scheme.size() < to.size() && !scheme.empty() && is_letter(scheme.front()) &&
         std::ranges::all_of(
             scheme,
             [&](char c) {
               return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
             });
}

// "$host" is a variable in nginx; here it is sent as it stands.
bool has_foreign_variable(std::string_view to) {
  for (size_t at = to.find('$'); at < to.size(); at = to.find('$', at + 1)) {
    const char next = at + 1 < to.size() ? to[at + 1] : '\0';
    if ((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z')) return true;
    if (next == '$') ++at;
  }
  return false;
}

void check_redirect_target(Loading& loading, const Text& to) {
  check_size(loading, to.place, "to", to.value.size(), kRedirectToMax);
  if (has_control(to.value) || to.value.find(' ') != std::string::npos) {
    loading.diagnostics.error(to.place, "a redirect's target holds no space or control character",
                              "write it percent-encoded: %20");
  } else if (!is_redirect_target(to.value)) {
    loading.diagnostics.error(to.place,
                              fmt::format("\"{}\" is neither a path nor an absolute URI", to.value),
                              fmt::format("\"/{0}\", or \"https://{0}\"", to.value));
  }
  if (has_foreign_variable(to.value))
    loading.diagnostics.warning(to.place, "a variable is written ${…}; this is sent as it stands",
                                "for a dollar sign: $$");
}

// A client that follows comes back with the same request.
void warn_of_loop(Loading& loading, const Rule& rule) {
  const Match& match = rule.match;
  const bool leads_back =
      rule.redirect && std::ranges::find(match.path, rule.redirect->to) != match.path.end() &&
      match.header.empty() && match.cookie.empty() && match.none.empty() && match.any.empty();
  if (leads_back)
    loading.diagnostics.warning(rule.redirect->to_place,
                                "this redirects a path to itself, and clients in a circle");
}

Redirect load_redirect(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kRedirectKeys, "redirect");
  Redirect redirect;
  if (const auto to = reader.text("to")) {
    redirect.to = to->value;
    redirect.to_place = to->place;
    check_redirect_target(loading, *to);
  } else if (!table.contains("to")) {
    loading.missing(loading.place_of(table), "a redirect needs \"to\"",
                    "redirect = { to = \"/new\", status = 301 }");
  }
  int64_t status = redirect.status;
  reader.integer("status", status, INT64_MIN, INT64_MAX);
  if (std::ranges::find(kRedirectStatuses, status) != kRedirectStatuses.end()) {
    redirect.status = static_cast<uint16_t>(status);
  } else {
    loading.diagnostics.error(reader.place_of("status"),
                              fmt::format("a redirect's status must be one of {}, not {}",
                                          fmt::join(kRedirectStatuses, ", "), status));
  }
  return redirect;
}

Respond load_respond(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kRespondKeys, "respond");
  Respond respond;
  reader.integer("status", respond.status, 200, 599);
  reader.string("body", respond.body);
  respond.body_place = reader.place_of("body");
  if (reader.string("content_type", respond.content_type) && has_control(respond.content_type))
    loading.diagnostics.error(reader.place_of("content_type"),
                              "\"content_type\" must not hold control characters");
  check_size(loading, reader.place_of("body"), "body", respond.body.size(), kRespondBodyMax);
  check_size(loading, reader.place_of("content_type"), "content_type", respond.content_type.size(),
             kContentTypeMax);
  // RFC 9110 sections 15.3.5 and 15.4.5: these have no content.
  if ((respond.status == 204 || respond.status == 304) && !respond.body.empty())
    loading.diagnostics.error(reader.place_of("body"),
                              fmt::format("a {} answer has no body", respond.status));
  return respond;
}

// What a rule does that needs HTTP.
std::vector<Text> http_actions(const TableReader& reader, const Rule& rule) {
  constexpr std::string_view kKeys[] = {"redirect",         "respond",         "mirror",
                                        "rewrite",          "request_headers", "response_headers",
                                        "response_timeout", "server_timeout",  "request_timeout",
                                        "rate_limit"};
  std::vector<Text> given;
  for (const std::string_view key : kKeys) {
    if (reader.has(key)) given.push_back({std::string(key), reader.place_of(key)});
  }
  if (!of_connection(rule.split_key.kind))
    given.push_back({"split_key", reader.place_of("split_key")});
  return given;
}

}  // namespace

void load_rule(Loading& loading, const toml::table& table) {
  TableReader reader(loading, table, kRuleKeys, "a rule");
  Rule rule;
  RuleNames names;
  rule.place = reader.place();
  if (const auto name = reader.text("name")) rule.name = name->value;
  names.listeners = reader.strings("listener");
  if (const toml::table* match = reader.table("match")) rule.match = load_match(loading, *match);
  names.http_match = std::exchange(loading.draft.http_match, {});

  if (const toml::table* limit = reader.table("rate_limit"))
    rule.rate_limit = load_rate_limit(loading, *limit);

  names.pool = reader.text("pool");
  reader.integer("priority", rule.priority, 0, kPriorityMax);
  if (const toml::table* redirect = reader.table("redirect"))
    rule.redirect = load_redirect(loading, *redirect);
  warn_of_loop(loading, rule);
  if (const toml::table* respond = reader.table("respond"))
    rule.respond = load_respond(loading, *respond);
  load_actions(loading, reader, rule, names);
  names.http_actions = http_actions(reader, rule);

  constexpr std::string_view kActions[] = {"pool", "redirect", "respond", "split"};
  const auto given = std::ranges::count_if(
      kActions, [&table](std::string_view action) { return table.contains(action); });
  if (given == 0)
    loading.missing(rule.place, "a rule needs an action",
                    "pool = \"NAME\", split = { … }, redirect = { … } or respond = { … }");
  if (given > 1)
    loading.diagnostics.error(rule.place,
                              "a rule has one action: pool, split, redirect or respond");

  loading.draft.config.rules.push_back(std::move(rule));
  loading.draft.rule_names.push_back(std::move(names));
}

}  // namespace shunt::config
