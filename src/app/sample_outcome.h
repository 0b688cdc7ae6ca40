// What becomes of a request written down by a person: the pool, and the messages as the rule's
// actions leave them. What `shunt explain` shows and `[[test]]` tables expect; made by the same
// functions as live traffic. Pure; main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/sample_request.h"
#include "core/config.h"
#include "rules/actions.h"
#include "sched/server.h"

namespace shunt::app {

using RuleActions = std::span<const std::unique_ptr<const rules::Actions>>;

// A field that the rule writes, or (without a value) takes away.
struct EditedField {
  std::string name;
  std::optional<std::string> value;
  bool replaces = true;  // Those of the same name that were there.
};

struct SampleOutcome {
  uint32_t status = 0;   // Of a redirect or respond, or of a refused rewrite; 0: the server's.
  std::string target;    // That the server is asked for, empty if none is.
  std::string host;      // The Host that it sees.
  std::string location;  // Of a redirect.
  std::string body;      // Of a respond.
  std::vector<EditedField> request_fields;
  std::vector<EditedField> response_fields;
};

// The pool of a rule that matched `request`; kNone if it answers itself.
uint32_t sample_pool(const config::Rule& rule, const rules::Actions* actions,
                     const rules::RequestView& request);

// `pool`: as sample_pool() says. `server`: where the request goes, if that is known.
SampleOutcome sample_outcome(const config::Config& config, const config::Rule& rule,
                             const rules::Actions* actions, uint32_t pool,
                             const SampleRequest& request, const sched::ServerSpec* server);

// What a field of that name is after the edits: `received` if they do not touch it. Several values
// are joined with ", ".
std::optional<std::string> after_edits(const std::vector<EditedField>& edits, std::string_view name,
                                       std::optional<std::string> received);

}  // namespace shunt::app
