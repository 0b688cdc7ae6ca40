// Fuzz target of the configuration loader: any text ends in a configuration or in placed problems,
// never in a crash, and what is called right keeps the promises that the rest of the program builds
// on.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "core/assert.h"
#include "core/config_load.h"

namespace shunt::config {
namespace {

const Vocabulary kVocabulary{{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq",
                              "fo", "ovf", "mh", "twos"}};

void check_places(const Diagnostics& diagnostics, std::string_view text) {
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const Diagnostic& one : diagnostics.all()) {
    SHUNT_ASSERT(one.place.file == 0);
    SHUNT_ASSERT(one.place.line >= 1);
    SHUNT_ASSERT(one.place.line <= lines);
    SHUNT_ASSERT(one.place.column >= 1);
    SHUNT_ASSERT(!one.text.empty());
  }
}

void check_rules(const Config& config) {
  SHUNT_ASSERT(!config.rules.empty());
  for (const Rule& rule : config.rules) {
    SHUNT_ASSERT(!rule.name.empty());
    const int actions = (rule.pool != kNone) + !rule.split.empty() + rule.redirect.has_value() +
                        rule.respond.has_value();
    SHUNT_ASSERT(actions == 1);
    SHUNT_ASSERT(rule.pool == kNone || rule.pool < config.pools.size());
    for (const uint32_t listener : rule.listener) SHUNT_ASSERT(listener < config.listeners.size());
  }
}

void check_pools(const Config& config) {
  for (const Pool& pool : config.pools) {
    SHUNT_ASSERT(!pool.servers.empty());
    for (const Server& server : pool.servers) {
      SHUNT_ASSERT(server.address.size() > 0);
      SHUNT_ASSERT(server.weight >= 0 && server.weight <= 65535);
      SHUNT_ASSERT(server.lower <= server.upper);
    }
  }
}

void check_listeners(const Config& config) {
  SHUNT_ASSERT(!config.listeners.empty());
  for (const Listener& listener : config.listeners) {
    SHUNT_ASSERT(!listener.name.empty());
    SHUNT_ASSERT(!listener.bind.empty());
    SHUNT_ASSERT(listener.request_line_max <= listener.header_max);
    SHUNT_ASSERT(listener.header_max <= 64 * 1024);
  }
}

}  // namespace
}  // namespace shunt::config

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shunt::config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Loaded loaded = load_text(text, "fuzz.toml", kVocabulary);
  check_places(loaded.diagnostics, text);
  SHUNT_ASSERT(loaded.diagnostics.to_string().empty() == loaded.diagnostics.all().empty());
  SHUNT_ASSERT(!loaded.diagnostics.to_json().empty());
  if (loaded.diagnostics.has_errors()) return 0;
  check_listeners(loaded.config);
  check_pools(loaded.config);
  check_rules(loaded.config);
  return 0;
}
