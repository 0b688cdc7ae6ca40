// A rule's `match` table made ready to evaluate: patterns compiled, listeners resolved. The tests
// of its keys, each on its own, are what both match() and explain() decide by. Immutable after
// construction, any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/config.h"
#include "core/diagnostics.h"
#include "rules/regex.h"
#include "rules/subject.h"

namespace shunt::rules {

// Each distinct pattern compiled once.
class RegexPool {
 public:
  // Null, with an error at `place`, if RE2 refuses the pattern.
  const Regex* get(const std::string& pattern, Place place, Diagnostics& diagnostics);

 private:
  std::unordered_map<std::string, std::unique_ptr<const Regex>> patterns_;
};

struct FieldCondition {
  const config::NamedMatch* match = nullptr;
  const Regex* regex = nullptr;  // For kRegex.

  bool value_holds(std::string_view value) const;
};

// The keys of a match table, as bits of a set.
enum MatchKey : uint32_t {
  kHostKey = 1u << 0,
  kPathKey = 1u << 1,
  kPathPrefixKey = 1u << 2,
  kPathRegexKey = 1u << 3,
  kExtensionKey = 1u << 4,
  kMethodKey = 1u << 5,
  kHeaderKey = 1u << 6,
  kCookieKey = 1u << 7,
  kQueryKey = 1u << 8,
  kContentTypeKey = 1u << 9,
  kSourceKey = 1u << 10,
  kSchemeKey = 1u << 11,
  kListenerKey = 1u << 12,
  kNoneKey = 1u << 13,
  kAnyKey = 1u << 14,
  kSniKey = 1u << 15,
};

// The compiled form of a config::Match, which it refers to.
struct Conditions {
  const config::Match* match = nullptr;
  uint32_t keys = 0;  // The MatchKeys given: spares holds() the cache lines of those that are not.
  std::vector<const Regex*> path_regex;
  std::vector<FieldCondition> header;
  std::vector<FieldCondition> cookie;
  std::vector<FieldCondition> query;
  std::optional<std::vector<uint32_t>> listener;  // Indexes; unset: all.
  std::vector<Conditions> none;
  std::vector<Conditions> any;
};

// Names of listeners that do not exist match none (the loader reports them).
Conditions compile_conditions(const config::Match& match,
                              std::span<const config::Listener> listeners, RegexPool& regexes,
                              Diagnostics& diagnostics);

// The conditions of a rule: those of its match, and its own list of listeners.
Conditions compile_conditions(const config::Rule& rule, std::span<const config::Listener> listeners,
                              RegexPool& regexes, Diagnostics& diagnostics);

// Whether the request fulfils all of `conditions`.
bool holds(const Conditions& conditions, Subject& subject);

// The tests of the single keys; each is true if the key is not given.
bool listener_holds(const Conditions& conditions, const Subject& subject);
bool host_holds(const config::Match& match, const Subject& subject);
bool path_holds(const config::Match& match, const Subject& subject);
bool path_prefix_holds(const config::Match& match, const Subject& subject);
bool path_regex_holds(const Conditions& conditions, const Subject& subject);
bool extension_holds(const config::Match& match, Subject& subject);
bool method_holds(const config::Match& match, const Subject& subject);
bool scheme_holds(const config::Match& match, const Subject& subject);
bool sni_holds(const config::Match& match, const Subject& subject);
bool source_holds(const config::Match& match, const Subject& subject);
bool content_type_holds(const config::Match& match, Subject& subject);
// One field of that name must have such a value; a name that comes twice is looked at twice.
bool header_holds(const FieldCondition& condition, const Subject& subject);
bool cookie_holds(const FieldCondition& condition, Subject& subject);
bool query_holds(const FieldCondition& condition, Subject& subject);

// Whether `type` ("image/png", lower case) is in `range` ("image/png", "image/*" or "*/*").
bool media_type_matches(std::string_view type, std::string_view range);

}  // namespace shunt::rules
