// What `type = "…"` means for a pool: the values that a kind of content wants. Explicit keys
// override each of them; the reference shows this table, and a test compares the two. Constant
// data: any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "core/config.h"

namespace shunt::config {

struct Preset {
  PoolType type;
  std::string_view name;
  std::string_view scheduler;
  std::string_view key;  // As Pool::key is written; "" leaves it to the scheduler.
  Duration response_timeout;
  uint32_t retries;
  uint32_t idle_connections;
  Duration idle_timeout;
  std::string_view why;  // One line.
  std::span<const std::string_view> scheduler_flags = {};
};

std::span<const Preset> presets();
const Preset* find_preset(std::string_view name);

// Sets what `preset` says.
void apply_preset(const Preset& preset, Pool& pool);

// "path", "url", "host", "source", "destination", "header:NAME", "cookie:NAME", "query:NAME";
// nothing if it is none.
std::optional<LocalityKey> parse_locality_key(std::string_view text);

}  // namespace shunt::config
