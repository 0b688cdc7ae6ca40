// The presets of typed pools, and the locality keys that they and the configuration name.
// Pure: any thread.
#include "core/config_presets.h"

#include <algorithm>

#include "core/config_text.h"

namespace shunt::config {
namespace {

// A home that takes no new requests (weight 0, overloaded) hands its objects to the next one.
constexpr std::string_view kCacheFlags[] = {"mh-fallback"};

// `document` is what a pool is without a type; a test holds it equal to the defaults of Pool.
constexpr Preset kPresets[] = {
    {PoolType::kDocument, "document", "wlc", "path", 60s, 2, 64, 50s,
     "pages and files that any server answers alike: to the least loaded one"},
    {PoolType::kImage, "image", "lblcr", "path", 30s, 2, 64, 50s,
     "many files with hot ones among them: each keeps its servers' caches warm"},
    {PoolType::kCgi, "cgi", "lc", "", 120s, 1, 32, 50s,
     "computed answers, slow and hardly cacheable: by what is running now"},
    {PoolType::kDatabase, "database", "sed", "", 60s, 1, 128, 5min,
     "queries of uneven cost over persistent connections: by the shortest expected delay"},
    {PoolType::kCache,
     "cache",
     "mh",
     "url",
     30s,
     2,
     128,
     50s,
     "caching servers: an object has one home, and few move when a server goes",
     {kCacheFlags}},
};

constexpr struct {
  std::string_view name;
  LocalityKey::Kind kind;
  bool named;  // Followed by ":NAME".
} kKinds[] = {
    {"path", LocalityKey::Kind::kPath, false},
    {"url", LocalityKey::Kind::kUrl, false},
    {"host", LocalityKey::Kind::kHost, false},
    {"source", LocalityKey::Kind::kSource, false},
    {"destination", LocalityKey::Kind::kDestination, false},
    {"header", LocalityKey::Kind::kHeader, true},
    {"cookie", LocalityKey::Kind::kCookie, true},
    {"query", LocalityKey::Kind::kQuery, true},
};

}  // namespace

std::span<const Preset> presets() {
  return kPresets;
}

const Preset* find_preset(std::string_view name) {
  const auto found = std::ranges::find(kPresets, name, &Preset::name);
  return found == std::end(kPresets) ? nullptr : &*found;
}

void apply_preset(const Preset& preset, Pool& pool) {
  pool.type = preset.type;
  pool.scheduler = preset.scheduler;
  pool.scheduler_flags.assign(preset.scheduler_flags.begin(), preset.scheduler_flags.end());
  pool.key = parse_locality_key(preset.key);
  pool.response_timeout = preset.response_timeout;
  pool.retries = preset.retries;
  pool.idle_connections = preset.idle_connections;
  pool.idle_timeout = preset.idle_timeout;
}

std::optional<LocalityKey> parse_locality_key(std::string_view text) {
  const size_t colon = text.find(':');
  for (const auto& kind : kKinds) {
    if (kind.name != text.substr(0, colon)) continue;
    if (kind.named != (colon != std::string_view::npos)) return {};
    if (!kind.named) return LocalityKey{kind.kind, {}};
    const std::string_view name = text.substr(colon + 1);
    const bool valid = kind.kind == LocalityKey::Kind::kQuery ? !name.empty() : is_token(name);
    if (!valid) return {};
    return LocalityKey{
        kind.kind, kind.kind == LocalityKey::Kind::kHeader ? lower_case(name) : std::string(name)};
  }
  return {};
}

}  // namespace shunt::config
