// Compilation and evaluation of conditions. Cheap tests come first, regular expressions and nested
// tables last.
#include "rules/conditions.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/host_table.h"
#include "rules/text.h"

namespace shunt::rules {
namespace {

using config::ValueMatch;

std::vector<FieldCondition> compile_fields(const std::vector<config::NamedMatch>& fields,
                                           Place place, RegexPool& regexes,
                                           Diagnostics& diagnostics) {
  std::vector<FieldCondition> result;
  for (const config::NamedMatch& field : fields) {
    const bool is_regex = field.value.kind == ValueMatch::Kind::kRegex;
    const Place at = field.value.place.line > 0 ? field.value.place : place;
    const Regex* regex = is_regex ? regexes.get(field.value.text, at, diagnostics) : nullptr;
    result.push_back({&field, regex});
  }
  return result;
}

std::vector<uint32_t> resolve_listeners(const std::vector<std::string>& names,
                                        std::span<const config::Listener> listeners) {
  std::vector<uint32_t> result;
  for (uint32_t i = 0; i < listeners.size(); ++i) {
    if (std::ranges::find(names, listeners[i].name) != names.end()) result.push_back(i);
  }
  return result;
}

uint32_t keys_of(const Conditions& conditions) {
  const config::Match& match = *conditions.match;
  const auto bit = [](bool is_given, MatchKey key) { return is_given ? key : 0u; };
  return bit(!match.host.empty(), kHostKey) | bit(!match.path.empty(), kPathKey) |
         bit(!match.path_prefix.empty(), kPathPrefixKey) |
         bit(!match.path_regex.empty(), kPathRegexKey) |
         bit(!match.extension.empty(), kExtensionKey) | bit(!match.method.empty(), kMethodKey) |
         bit(!match.header.empty(), kHeaderKey) | bit(!match.cookie.empty(), kCookieKey) |
         bit(!match.query.empty(), kQueryKey) | bit(!match.content_type.empty(), kContentTypeKey) |
         bit(!match.source.empty(), kSourceKey) | bit(!match.scheme.empty(), kSchemeKey) |
         bit(!match.sni.empty(), kSniKey) | bit(conditions.listener.has_value(), kListenerKey) |
         bit(!match.none.empty(), kNoneKey) | bit(!match.any.empty(), kAnyKey);
}

bool contains(const std::vector<std::string>& texts, std::string_view text) {
  return std::ranges::find(texts, text) != texts.end();
}

bool any_field_holds(const FieldCondition& condition, std::span<const Field> fields) {
  return std::ranges::any_of(fields, [&](const Field& field) {
    return field.name == condition.match->name && condition.value_holds(field.value);
  });
}

}  // namespace

const Regex* RegexPool::get(const std::string& pattern, Place place, Diagnostics& diagnostics) {
  if (const auto known = patterns_.find(pattern); known != patterns_.end())
    return known->second.get();
  auto parsed = Regex::parse(pattern);
  if (!parsed) {
    diagnostics.error(place,
                      fmt::format("regular expression \"{}\": {}", pattern, parsed.error().text));
    return nullptr;
  }
  return patterns_.emplace(pattern, std::move(*parsed)).first->second.get();
}

bool FieldCondition::value_holds(std::string_view value) const {
  switch (match->value.kind) {
    case ValueMatch::Kind::kExact:
      return value == match->value.text;
    case ValueMatch::Kind::kPrefix:
      return value.starts_with(match->value.text);
    case ValueMatch::Kind::kRegex:
      return regex->search(value);
    case ValueMatch::Kind::kPresent:
      return true;
  }
  return false;
}

Conditions compile_conditions(const config::Match& match,
                              std::span<const config::Listener> listeners, RegexPool& regexes,
                              Diagnostics& diagnostics) {
  Conditions result;
  result.match = &match;
  for (size_t i = 0; i < match.path_regex.size(); ++i) {
    const bool placed = i < match.path_regex_places.size();
    const Place place = placed ? match.path_regex_places[i] : match.place;
    result.path_regex.push_back(regexes.get(match.path_regex[i], place, diagnostics));
  }
  result.header = compile_fields(match.header, match.place, regexes, diagnostics);
  result.cookie = compile_fields(match.cookie, match.place, regexes, diagnostics);
  result.query = compile_fields(match.query, match.place, regexes, diagnostics);
  if (!match.listener.empty()) result.listener = resolve_listeners(match.listener, listeners);
  for (const config::Match& inner : match.none)
    result.none.push_back(compile_conditions(inner, listeners, regexes, diagnostics));
  for (const config::Match& inner : match.any)
    result.any.push_back(compile_conditions(inner, listeners, regexes, diagnostics));
  result.keys = keys_of(result);
  return result;
}

Conditions compile_conditions(const config::Rule& rule, std::span<const config::Listener> listeners,
                              RegexPool& regexes, Diagnostics& diagnostics) {
  Conditions result = compile_conditions(rule.match, listeners, regexes, diagnostics);
  if (!rule.listener.empty()) {
    std::vector<uint32_t> own = rule.listener;
    std::ranges::sort(own);
    const auto duplicates = std::ranges::unique(own);
    own.erase(duplicates.begin(), duplicates.end());
    if (result.listener) {
      std::erase_if(own, [&](uint32_t listener) {
        return std::ranges::find(*result.listener, listener) == result.listener->end();
      });
    }
    result.listener = std::move(own);
  }
  // To name all is to ask for nothing.
  if (result.listener && result.listener->size() == listeners.size()) result.listener.reset();
  result.keys = keys_of(result);
  return result;
}

bool holds(const Conditions& conditions, Subject& subject) {
  const config::Match& match = *conditions.match;
  const uint32_t keys = conditions.keys;
  if ((keys & kListenerKey) && !listener_holds(conditions, subject)) return false;
  if ((keys & kSchemeKey) && !scheme_holds(match, subject)) return false;
  if ((keys & kSniKey) && !sni_holds(match, subject)) return false;
  if ((keys & kMethodKey) && !method_holds(match, subject)) return false;
  if ((keys & kHostKey) && !host_holds(match, subject)) return false;
  if ((keys & kPathKey) && !path_holds(match, subject)) return false;
  if ((keys & kPathPrefixKey) && !path_prefix_holds(match, subject)) return false;
  if ((keys & kExtensionKey) && !extension_holds(match, subject)) return false;
  if ((keys & kSourceKey) && !source_holds(match, subject)) return false;
  if ((keys & kContentTypeKey) && !content_type_holds(match, subject)) return false;
  const auto all = [](const std::vector<FieldCondition>& fields, auto field_holds) {
    return std::ranges::all_of(fields, field_holds);
  };
  if ((keys & kHeaderKey) && !all(conditions.header, [&](const FieldCondition& condition) {
        return header_holds(condition, subject);
      }))
    return false;
  if ((keys & kCookieKey) && !all(conditions.cookie, [&](const FieldCondition& condition) {
        return cookie_holds(condition, subject);
      }))
    return false;
  if ((keys & kQueryKey) && !all(conditions.query, [&](const FieldCondition& condition) {
        return query_holds(condition, subject);
      }))
    return false;
  if ((keys & kPathRegexKey) && !path_regex_holds(conditions, subject)) return false;
  const auto inner_holds = [&](const Conditions& inner) { return holds(inner, subject); };
  if ((keys & kNoneKey) && std::ranges::any_of(conditions.none, inner_holds)) return false;
  return !(keys & kAnyKey) || std::ranges::any_of(conditions.any, inner_holds);
}

bool listener_holds(const Conditions& conditions, const Subject& subject) {
  if (!conditions.listener) return true;
  return std::ranges::find(*conditions.listener, subject.request().listener) !=
         conditions.listener->end();
}

bool host_holds(const config::Match& match, const Subject& subject) {
  return match.host.empty() || std::ranges::any_of(match.host, [&](const std::string& pattern) {
           return host_matches(subject.host(), pattern);
         });
}

bool path_holds(const config::Match& match, const Subject& subject) {
  return match.path.empty() || contains(match.path, subject.request().path);
}

bool path_prefix_holds(const config::Match& match, const Subject& subject) {
  return match.path_prefix.empty() ||
         std::ranges::any_of(match.path_prefix, [&](const std::string& prefix) {
           return subject.request().path.starts_with(prefix);
         });
}

bool path_regex_holds(const Conditions& conditions, const Subject& subject) {
  const auto matches = [&](const Regex* regex) {
    return subject.is_known_match(regex) || regex->search(subject.request().path);
  };
  return conditions.path_regex.empty() || std::ranges::any_of(conditions.path_regex, matches);
}

bool extension_holds(const config::Match& match, Subject& subject) {
  if (match.extension.empty()) return true;
  const std::string_view extension = subject.extension();
  return extension.data() != nullptr && contains(match.extension, extension);
}

bool method_holds(const config::Match& match, const Subject& subject) {
  return match.method.empty() || contains(match.method, subject.request().method);
}

bool scheme_holds(const config::Match& match, const Subject& subject) {
  return match.scheme.empty() || contains(match.scheme, subject.request().scheme);
}

bool sni_holds(const config::Match& match, const Subject& subject) {
  return match.sni.empty() || std::ranges::any_of(match.sni, [&](const std::string& pattern) {
           return host_matches(subject.request().sni, pattern);
         });
}

bool source_holds(const config::Match& match, const Subject& subject) {
  return match.source.empty() || std::ranges::any_of(match.source, [&](const Cidr& network) {
           return network.contains(subject.request().source);
         });
}

bool content_type_holds(const config::Match& match, Subject& subject) {
  if (match.content_type.empty()) return true;
  const std::string_view type = subject.media_type();
  return std::ranges::any_of(match.content_type, [&](const std::string& range) {
    return media_type_matches(type, range);
  });
}

bool header_holds(const FieldCondition& condition, const Subject& subject) {
  return std::ranges::any_of(subject.request().headers, [&](const HeaderView& header) {
    return equals_lower(header.name, condition.match->name) && condition.value_holds(header.value);
  });
}

bool cookie_holds(const FieldCondition& condition, Subject& subject) {
  return any_field_holds(condition, subject.cookies());
}

bool query_holds(const FieldCondition& condition, Subject& subject) {
  return any_field_holds(condition, subject.parameters());
}

bool media_type_matches(std::string_view type, std::string_view range) {
  if (type.empty()) return false;
  if (range == "*/*") return true;
  if (!range.ends_with("/*")) return type == range;
  return type.starts_with(range.substr(0, range.size() - 1));
}

}  // namespace shunt::rules
