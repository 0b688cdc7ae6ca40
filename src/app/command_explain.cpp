// `shunt explain`: what becomes of one request, step by step: rules, pool, locality key, the
// scheduler's order.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "app/commands.h"
#include "app/explain_doubts.h"
#include "app/sample_outcome.h"
#include "app/snapshot_build.h"
#include "core/units.h"
#include "proxy/flow_of.h"
#include "rules/locality_key.h"
#include "sched/registry.h"

namespace shunt::app {
namespace {

constexpr std::string_view kPoolTypes[] = {"document", "image", "cgi", "database", "cache"};

// One line of the explanation: a heading in the first column, or none.
void line(std::string& out, std::string_view heading, std::string_view text) {
  out += fmt::format("{:<10} {}\n", heading, text);
}

Outcome wrong_input(std::string text) {
  return {.code = ExitCode::kWrongInput, .out = {}, .err = std::move(text)};
}

// The listener the request arrives at; nullopt: there is none of that name.
std::optional<uint32_t> find_listener(const ExplainCommand& command, const config::Config& config,
                                      uint16_t port) {
  if (command.listener.empty()) return listener_for(config, port);
  const auto found = std::ranges::find(config.listeners, command.listener, &config::Listener::name);
  if (found == config.listeners.end()) return std::nullopt;
  return static_cast<uint32_t>(found - config.listeners.begin());
}

void explain_request(std::string& out, const ExplainCommand& command, const config::Config& config,
                     const SampleRequest& request) {
  const rules::RequestView& view = request.view();
  line(out, "request", fmt::format("{} {}", command.method, command.url));
  std::string from = fmt::format("from {}", command.source);
  if (view.listener < config.listeners.size())
    from += fmt::format(" at listener {}", config.listeners[view.listener].name);
  line(out, "", from);
  if (request.is_connection())
    return line(out, "",
                view.sni.empty() ? "protocol tcp: rules see the client"
                                 : fmt::format("protocol tcp: rules see the client, and that it "
                                               "asks for \"{}\" by TLS",
                                               view.sni));
  for (const auto& [name, value] : command.headers)
    line(out, "", fmt::format("{}: {}", name, value));
  if (request.path_rewritten()) line(out, "", fmt::format("rules see the path {}", view.path));
}

// Every rule tried, its name and place in columns. Returns the rule that matched, or kNoRule.
uint32_t explain_rules(std::string& out, const Prepared& prepared, const rules::RequestView& view) {
  const config::Config& config = prepared.config();
  const std::vector<rules::Step> steps = prepared.snapshot->rules->explain(view);
  std::vector<std::string> places;
  size_t name_width = 0;
  size_t place_width = 0;
  for (const rules::Step& step : steps) {
    const config::Rule& rule = config.rules[step.rule];
    places.push_back(rule.place.line == 0
                         ? std::string("implied")
                         : fmt::format("{}:{}", prepared.diagnostics.file_name(rule.place.file),
                                       rule.place.line));
    name_width = std::max(name_width, rule.name.size());
    place_width = std::max(place_width, places.back().size());
  }
  uint32_t matched = rules::kNoRule;
  std::string_view heading = "rules";
  for (size_t i = 0; i < steps.size(); ++i) {
    const rules::Step& step = steps[i];
    line(out, heading,
         fmt::format("{:<3} {:<{}}  {:<{}}  {}", step.matched ? "yes" : "no",
                     config.rules[step.rule].name, name_width, places[i], place_width, step.why));
    heading = "";
    if (step.matched) matched = step.rule;
  }
  return matched;
}

void explain_fields(std::string& out, std::string_view heading,
                    const std::vector<EditedField>& fields) {
  for (const EditedField& field : fields) {
    const std::string text = !field.value ? fmt::format("without {}", field.name)
                             : field.replaces
                                 ? fmt::format("{}: {}", field.name, *field.value)
                                 : fmt::format("{}: {}  (added)", field.name, *field.value);
    line(out, heading, text);
    heading = "";
  }
}

void explain_local(std::string& out, const config::Rule& rule, const SampleOutcome& outcome) {
  if (rule.redirect) {
    line(out, "answer", fmt::format("redirect {} to {}", outcome.status, outcome.location));
  } else {
    line(out, "answer",
         fmt::format("respond {} with {} of {}", outcome.status, format_size(outcome.body.size()),
                     rule.respond->content_type));
  }
  explain_fields(out, "with", outcome.response_fields);
}

// What the rule changes of the messages.
void explain_actions(std::string& out, const SampleRequest& request, const SampleOutcome& outcome) {
  if (outcome.status != 0)
    line(out, "answer", fmt::format("{}: the rewritten request is not valid", outcome.status));
  if (outcome.target != request.raw_target()) line(out, "target", outcome.target);
  if (outcome.host != request.authority()) line(out, "host", outcome.host);
  explain_fields(out, "request", outcome.request_fields);
  explain_fields(out, "response", outcome.response_fields);
}

// What scheduler and key see; see proxy/flow_of.h.
sched::Flow flow_of(const proxy::Pool& pool, const SampleRequest& request) {
  return request.is_connection() ? proxy::flow_of_connection(pool, request.view(), Instant{})
                                 : proxy::flow_of(pool, request.view(), Instant{});
}

void explain_key(std::string& out, const proxy::Pool& pool, const SampleRequest& request) {
  if (!pool.key_needed && !pool.key_is_source) {
    line(out, "key",
         fmt::format("none: {} does not look at what is asked for", pool.config->scheduler));
    return;
  }
  const config::LocalityKey key =
      request.is_connection() ? proxy::key_of_connection(pool) : pool.key;
  const std::string kind = rules::name_of(key);
  const std::string text = rules::locality_text(key, request.view());
  line(out, "key",
       text.empty() ? fmt::format("{}: the request has none", kind)
                    : fmt::format("{} = {}", kind, text));
}

// Names are not looked up here: who serves is not known without asking.
std::string address_of(const proxy::Pool& pool, const sched::ServerSpec& spec) {
  const config::Server* server = pool.config->find_server(spec.name);
  return server != nullptr && server->dns ? server->address_text : spec.address.to_string();
}

// Returns the server that would be asked first, or null.
const sched::ServerSpec* explain_order(std::string& out, const proxy::Pool& pool,
                                       const SampleRequest& request) {
  line(out, "scheduler",
       fmt::format("{}, {}", pool.config->scheduler,
                   sched::scheduler_title(pool.config->scheduler)));
  const std::vector<const sched::Server*> order = pool.servers->preview(flow_of(pool, request));
  size_t name_width = 0;
  size_t address_width = 0;
  for (const sched::Server* server : order) {
    name_width = std::max(name_width, server->spec.name.size());
    address_width = std::max(address_width, address_of(pool, server->spec).size());
  }
  if (order.empty())
    line(out, "servers",
         request.is_connection() ? "none takes new connections: it is reset"
                                 : "none takes new requests: the answer is 503");
  for (size_t i = 0; i < order.size(); ++i) {
    const sched::ServerSpec& spec = order[i]->spec;
    line(out, i == 0 ? "servers" : "",
         fmt::format("{}. {:<{}}  {:<{}}  weight {}", i + 1, spec.name, name_width,
                     address_of(pool, spec), address_width, spec.weight));
  }
  return order.empty() ? nullptr : &order.front()->spec;
}

}  // namespace

Outcome explain(const ExplainCommand& command) {
  Prepared prepared = prepare_file(command.file);
  if (!prepared.good()) return wrong_input(prepared.diagnostics.to_string());
  const config::Config& config = prepared.config();

  SampleRequest request;
  const auto parsed = request.parse(command.method, command.url, command.headers, command.source);
  if (!parsed) return wrong_input(fmt::format("shunt: {}\n", parsed.error().text));
  const auto listener = find_listener(command, config, request.port());
  if (!listener) {
    std::vector<std::string_view> names;
    for (const config::Listener& known : config.listeners) names.push_back(known.name);
    return wrong_input(fmt::format("shunt: there is no listener \"{}\"; {} has {}\n",
                                   command.listener, command.file, fmt::join(names, ", ")));
  }
  request.arrive_at(config, *listener);

  Outcome outcome;
  outcome.err = prepared.diagnostics.to_string();
  std::string& out = outcome.out;
  explain_request(out, command, config, request);
  out += '\n';
  const uint32_t matched = explain_rules(out, prepared, request.view());
  out += '\n';
  if (const auto objection =
          explain_objection(config, *prepared.snapshot->rules, request, matched)) {
    line(out, "answer", fmt::format("400, ambiguous_path: {}", *objection));
    return outcome;
  }
  if (matched == rules::kNoRule) {
    line(out, "answer",
         request.is_connection() ? "none: no rule matches, the connection is reset"
                                 : "404: no rule matches");
    return outcome;
  }
  Changes changes;
  ServerSets sets;
  const auto snapshot = sets.apply(std::move(prepared), changes);
  const config::Rule& rule = snapshot->config.rules[matched];
  const rules::Actions* actions = snapshot->actions[matched].get();
  if (rule.local()) {
    explain_local(out, rule,
                  sample_outcome(snapshot->config, rule, actions, config::kNone, request, nullptr));
    return outcome;
  }
  const uint32_t pool_index = sample_pool(rule, actions, request.view());
  const proxy::Pool& pool = snapshot->pools[pool_index];
  if (!rule.split.empty())
    line(out, "split", fmt::format("{} of {} pools", pool.config->name, rule.split.size()));
  line(out, "pool",
       fmt::format("{}, type {}", pool.config->name,
                   kPoolTypes[static_cast<size_t>(pool.config->type)]));
  explain_key(out, pool, request);
  const sched::ServerSpec* server = explain_order(out, pool, request);
  if (pool.config->sticky.mode != config::Sticky::Mode::kOff) {
    const Affinity affinity = explain_affinity(pool, request);
    line(out, "sticky", affinity.text);
    if (affinity.server != nullptr) server = &affinity.server->spec;
  }
  if (request.is_connection()) return outcome;
  if (rule.mirror != config::kNone)
    line(out, "mirror",
         fmt::format("a copy of {:g}% of the requests to {}", rule.mirror_share * 100,
                     snapshot->config.pools[rule.mirror].name));
  explain_actions(out, request,
                  sample_outcome(snapshot->config, rule, actions, pool_index, request, server));
  return outcome;
}

}  // namespace shunt::app
