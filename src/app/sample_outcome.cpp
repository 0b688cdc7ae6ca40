// Applies a rule's actions to a sample request. See the header.
#include "app/sample_outcome.h"

#include <array>

#include "proxy/request_target.h"
#include "rules/locality_key.h"
#include "rules/rewrite.h"
#include "rules/text.h"

namespace shunt::app {
namespace {

constexpr uint32_t kInvalidStatus = 400;
constexpr uint32_t kTooLargeStatus = 431;

struct TextSink {
  std::string& text;
  void append(std::string_view piece) { text += piece; }
};

std::string text_of(const rules::Template& source, const rules::Values& values) {
  std::string text;
  TextSink sink{text};
  source.write(values, sink);
  return text;
}

std::vector<EditedField> fields_of(const config::FieldEdits& edits,
                                   const rules::HeaderEdits& compiled,
                                   const rules::Values& values) {
  std::vector<EditedField> fields;
  for (const std::string& name : edits.remove) fields.push_back({name, std::nullopt});
  for (size_t i = 0; i < compiled.written().size(); ++i) {
    const rules::HeaderEdits::Edit& edit = compiled.written()[i];
    const bool replaces = i < edits.set.size();
    std::string value = text_of(edit.value, values);
    const bool left_out = value.empty() && edit.value.has_variables();
    if (!left_out) {
      fields.push_back({edit.name, std::move(value), replaces});
    } else if (replaces) {
      fields.push_back({edit.name, std::nullopt});
    }
  }
  return fields;
}

std::string name_of(const config::Pool& pool, const sched::ServerSpec& server) {
  const config::Server* known = pool.find_server(server.name);
  return known != nullptr && known->dns ? known->dns->authority() : server.address.to_string();
}

std::string host_for(const config::Pool& pool, const SampleRequest& request,
                     const sched::ServerSpec* server) {
  switch (pool.host_header) {
    case config::HostHeader::kFixed:
      return pool.host;
    case config::HostHeader::kServer:
      return server != nullptr ? name_of(pool, *server) : std::string();
    case config::HostHeader::kPass:
      break;
  }
  return std::string(request.authority());
}

void rewrite(const rules::Actions& actions, const SampleRequest& request,
             const rules::Values& values, SampleOutcome& outcome) {
  std::string target;
  switch (rules::rewrite_target(actions, request.raw_path(), request.has_query(), values, target)) {
    case rules::Rewritten::kUnchanged:
      break;
    case rules::Rewritten::kChanged:
      outcome.target = std::move(target);
      break;
    case rules::Rewritten::kInvalid:
      outcome.status = kInvalidStatus;
      break;
    case rules::Rewritten::kTooLong:
      outcome.status = kTooLargeStatus;
      break;
  }
  if (!actions.host) return;
  outcome.host = text_of(*actions.host, values);
  if (!proxy::parse_authority(outcome.host)) outcome.status = kInvalidStatus;
}

}  // namespace

uint32_t sample_pool(const config::Rule& rule, const rules::Actions* actions,
                     const rules::RequestView& request) {
  if (rule.split.empty()) return rule.pool;
  return actions->split.choose(rules::split_hash(rule.split_key, request));
}

SampleOutcome sample_outcome(const config::Config& config, const config::Rule& rule,
                             const rules::Actions* actions, uint32_t pool,
                             const SampleRequest& request, const sched::ServerSpec* server) {
  SampleOutcome outcome;
  if (rule.redirect) {
    outcome.status = rule.redirect->status;
    outcome.location = rule.redirect->to;
  } else if (rule.respond) {
    outcome.status = rule.respond->status;
    outcome.body = rule.respond->body;
  } else {
    outcome.target = request.raw_target();
    outcome.host = host_for(config.pools[pool], request, server);
  }
  if (actions == nullptr) return outcome;

  const std::string source = request.view().source.to_string();
  const std::string address = server != nullptr ? server->address.to_string() : std::string();
  std::array<std::string_view, rules::kCapturesMax> captures;
  actions->capture(request.view().path, captures);
  rules::Values values;
  values.request = &request.view();
  values.client_ip = source;
  values.rule = rule.name;
  values.captures = captures;
  if (request.view().listener < config.listeners.size())
    values.listener = config.listeners[request.view().listener].name;
  if (pool != config::kNone) values.pool = config.pools[pool].name;
  if (server != nullptr) {
    values.server_name = server->name;
    values.server_address = address;
  }
  if (actions->redirect_to) outcome.location = text_of(*actions->redirect_to, values);
  if (actions->respond_body) outcome.body = text_of(*actions->respond_body, values);
  if (!rule.local()) rewrite(*actions, request, values, outcome);
  outcome.request_fields = fields_of(rule.request_headers, actions->request_headers, values);
  outcome.response_fields = fields_of(rule.response_headers, actions->response_headers, values);
  return outcome;
}

std::optional<std::string> after_edits(const std::vector<EditedField>& edits, std::string_view name,
                                       std::optional<std::string> received) {
  std::string storage;
  const std::string_view wanted = rules::to_lower(name, storage);
  std::optional<std::string> value = std::move(received);
  // Removed and set before added, as on the wire.
  for (const EditedField& edit : edits) {
    if (!rules::equals_lower(edit.name, wanted)) continue;
    if (edit.replaces) value.reset();
    if (edit.value) value = value ? *value + ", " + *edit.value : *edit.value;
  }
  return value;
}

}  // namespace shunt::app
