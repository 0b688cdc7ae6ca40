// A configuration while it is read: the structs so far, and the names in them that can only be
// resolved when every file has been read. Internal to the loader. Owned by one load, on the thread
// that loads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/config_load.h"
#include "core/diagnostics.h"

namespace shunt::config {

// A text of the configuration with its place: the use of a name, or one element of a list.
struct Text {
  std::string value;
  Place place;
};

struct RuleNames {
  std::optional<Text> pool;
  std::vector<Text> split;  // As Rule::split.
  std::optional<Text> mirror;
  std::vector<Text> listeners;
  // The keys given that need HTTP, with their places: in the match, and of what the rule does.
  std::vector<Text> http_match;
  std::vector<Text> http_actions;
};

struct TestNames {
  std::optional<Text> rule;
  std::optional<Text> pool;
};

struct PoolPlaces {
  bool scheduler_known = true;
  std::vector<Text> scheduler_flags;
  std::optional<Place> key;  // If it was given, and not by a preset.
};

struct ServicePlaces {
  bool scheduler_known = true;
  std::vector<Text> scheduler_flags;
};

struct ListenerPlaces {
  bool named = false;
  std::vector<Text> bind;  // Those that were understood, as Listener::bind.
};

// The element i of each list of names belongs to the element i of the list of the same kind in
// `config`.
struct Draft {
  Config config;
  std::vector<ListenerPlaces> listener_places;
  std::vector<RuleNames> rule_names;
  std::vector<PoolPlaces> pool_places;
  std::vector<ServicePlaces> service_places;
  std::vector<TestNames> test_names;
  std::vector<Text> match_listeners;  // Listeners named in match tables.
  std::vector<Text> http_match;       // Of the rule being read; see RuleNames.
  std::optional<Place> global_place;  // Of the [global] table read.
  std::optional<Place> resolver_place;
  bool incomplete =
      false;  // A part could not be parsed: names it defines must not be called unknown.
};

// Checks what needs the whole configuration, assigns default names, resolves names to indexes and
// adds the implied rule. `whole` is where to report what is missing altogether.
void check_and_resolve(Draft& draft, Place whole, Diagnostics& diagnostics);

// A part of it: what listeners with protocol = "tcp" cannot do. Rules without "listener" that need
// HTTP are limited to the listeners that have it.
void check_protocols(Draft& draft, Diagnostics& diagnostics);

}  // namespace shunt::config
