// Reads `rate_limit = { key = "source", rate = "100/s", burst = 200, size = 65536 }`.
// Owned by one load, on the thread that loads.
#include "core/config_load_parts.h"
#include "core/config_presets.h"
#include "core/units.h"

namespace shunt::config {
namespace {

constexpr int64_t kBurstMax = 1'000'000;
constexpr int64_t kKeysMin = 1024;
constexpr int64_t kKeysMax = 16'777'216;
// An empty bucket is full again after this at the latest.
constexpr Duration kFillTimeMax = 365 * 24h;

void read_rate_key(Loading& loading, TableReader& reader, RateLimit& limit) {
  const auto text = reader.text("key");
  if (!text) return;
  const auto key = parse_locality_key(text->value);
  if (key) {
    limit.key = *key;
    return;
  }
  loading.diagnostics.error(
      text->place, fmt::format("\"{}\" is not a key", text->value),
      "\"source\", \"path\", \"url\", \"host\", \"header:NAME\", \"cookie:NAME\" or "
      "\"query:NAME\"");
}

}  // namespace

std::optional<RateLimit> load_rate_limit(Loading& loading, const toml::table& table) {
  const size_t errors = loading.diagnostics.error_count();
  TableReader reader(loading, table, kRateLimitKeys, "rate_limit");
  RateLimit limit;
  read_rate_key(loading, reader, limit);
  if (const auto text = reader.text("rate")) {
    const Result<Rate> rate = parse_rate(text->value);
    if (rate) {
      limit.interval = rate->per / rate->count;
      limit.burst = rate->count;
    } else {
      loading.diagnostics.error(text->place, fmt::format("\"rate\": {}", rate.error().text));
    }
  } else if (!table.contains("rate")) {
    loading.missing(reader.place(), "a rate_limit needs \"rate\"",
                    "rate_limit = { key = \"source\", rate = \"100/s\", burst = 200 }");
  }
  reader.integer("burst", limit.burst, 1, kBurstMax);
  reader.integer("size", limit.size, kKeysMin, kKeysMax);
  if (errors != loading.diagnostics.error_count() || limit.interval <= Duration::zero()) return {};
  if (limit.interval > kFillTimeMax / limit.burst) {
    loading.diagnostics.error(reader.place(),
                              fmt::format("a burst of {} takes more than a year to come back at "
                                          "this rate",
                                          limit.burst));
    return {};
  }
  return limit;
}

}  // namespace shunt::config
