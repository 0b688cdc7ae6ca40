// Inclusion and exclusion of conditions, key by key.
#include "rules/implication.h"

#include <fmt/format.h>

#include <algorithm>

#include "rules/host_table.h"
#include "rules/path.h"

namespace shunt::rules {
namespace {

using config::ValueMatch;
using Texts = std::vector<std::string>;

// Whether each of `narrow` (at least one) has one in `wide` that covers it.
template <class Values, class Covers>
bool all_covered(const Values& narrow, const Values& wide, Covers covers) {
  return !narrow.empty() && std::ranges::all_of(narrow, [&](const auto& inner) {
    return std::ranges::any_of(wide, [&](const auto& outer) { return covers(outer, inner); });
  });
}

// Whether both are given and no pair of their values goes together.
template <class Values, class Meet>
bool never_meet(const Values& a, const Values& b, Meet meet) {
  return !a.empty() && !b.empty() && std::ranges::none_of(a, [&](const auto& left) {
    return std::ranges::any_of(b, [&](const auto& right) { return meet(left, right); });
  });
}

constexpr auto kSame = [](const auto& a, const auto& b) { return a == b; };

bool host_covers(std::string_view outer, std::string_view inner) {
  if (outer == inner) return true;
  if (!outer.starts_with("*.")) return false;
  if (!inner.starts_with("*.")) return host_matches(inner, outer);
  return inner.ends_with(outer.substr(1));
}

bool hosts_meet(std::string_view a, std::string_view b) {
  return host_covers(a, b) || host_covers(b, a);
}

bool network_covers(const Cidr& outer, const Cidr& inner) {
  return outer.prefix <= inner.prefix && outer.contains(inner.network);
}

bool networks_meet(const Cidr& a, const Cidr& b) {
  return network_covers(a, b) || network_covers(b, a);
}

bool media_range_covers(const std::string& outer, const std::string& inner) {
  if (outer == inner || outer == "*/*") return true;
  return outer.ends_with("/*") &&
         inner.starts_with(std::string_view(outer).substr(0, outer.size() - 1));
}

bool begins(const std::string& prefix, const std::string& text) {
  return text.starts_with(prefix);
}

// Calls test(subject) with a request of which only the path is known.
template <class Test>
bool with_path(const std::string& path, Test test) {
  RequestView request;
  request.path = path;
  Subject subject;
  subject.begin(request);
  return test(subject);
}

// Whether a request for exactly `path` fulfils all that `conditions` ask of a path.
bool path_fits(const std::string& path, const Conditions& conditions) {
  const config::Match& match = *conditions.match;
  return with_path(path, [&](Subject& subject) {
    return path_holds(match, subject) && path_prefix_holds(match, subject) &&
           extension_holds(match, subject) && path_regex_holds(conditions, subject);
  });
}

bool is_normal(const std::string& path) {
  std::string scratch;
  return normalise_path(path, scratch) == path;
}

bool field_implies(const FieldCondition& narrow, const FieldCondition& wide) {
  if (narrow.match->name != wide.match->name) return false;
  const ValueMatch& inner = narrow.match->value;
  const ValueMatch& outer = wide.match->value;
  if (outer.kind == ValueMatch::Kind::kPresent) return true;
  if (inner.kind == ValueMatch::Kind::kExact) return wide.value_holds(inner.text);
  if (inner.kind == ValueMatch::Kind::kPrefix && outer.kind == ValueMatch::Kind::kPrefix)
    return inner.text.starts_with(outer.text);
  return inner.kind == outer.kind && inner.text == outer.text;
}

// Fields are all needed, so each of `wide` must follow from one of `narrow`.
bool fields_imply(const std::vector<FieldCondition>& narrow,
                  const std::vector<FieldCondition>& wide) {
  return std::ranges::all_of(wide, [&](const FieldCondition& outer) {
    return std::ranges::any_of(
        narrow, [&](const FieldCondition& inner) { return field_implies(inner, outer); });
  });
}

bool paths_imply(const Conditions& narrow, const Conditions& wide) {
  const config::Match& inner = *narrow.match;
  const config::Match& outer = *wide.match;
  const auto each_path = [&](auto test) {
    return !inner.path.empty() && std::ranges::all_of(inner.path, [&](const std::string& path) {
      return with_path(path, test);
    });
  };
  if (!outer.path.empty() && !all_covered(inner.path, outer.path, kSame)) return false;
  if (!outer.path_prefix.empty() && !all_covered(inner.path_prefix, outer.path_prefix, begins) &&
      !each_path([&](Subject& subject) { return path_prefix_holds(outer, subject); }))
    return false;
  if (!outer.path_regex.empty() && !all_covered(inner.path_regex, outer.path_regex, kSame) &&
      !each_path([&](Subject& subject) { return path_regex_holds(wide, subject); }))
    return false;
  return outer.extension.empty() || all_covered(inner.extension, outer.extension, kSame) ||
         each_path([&](Subject& subject) { return extension_holds(outer, subject); });
}

// All keys but `any` and `none` of both, and the `any` of `narrow`.
bool keys_imply(const Conditions& narrow, const Conditions& wide) {
  const config::Match& inner = *narrow.match;
  const config::Match& outer = *wide.match;
  if (!outer.host.empty() && !all_covered(inner.host, outer.host, host_covers)) return false;
  if (!paths_imply(narrow, wide)) return false;
  if (!outer.method.empty() && !all_covered(inner.method, outer.method, kSame)) return false;
  if (!fields_imply(narrow.header, wide.header) || !fields_imply(narrow.cookie, wide.cookie) ||
      !fields_imply(narrow.query, wide.query))
    return false;
  if (!outer.source.empty() && !all_covered(inner.source, outer.source, network_covers))
    return false;
  if (!outer.scheme.empty() && !all_covered(inner.scheme, outer.scheme, kSame)) return false;
  if (!outer.sni.empty() && !all_covered(inner.sni, outer.sni, host_covers)) return false;
  if (!outer.content_type.empty() &&
      !all_covered(inner.content_type, outer.content_type, media_range_covers))
    return false;
  return !wide.listener ||
         (narrow.listener && all_covered(*narrow.listener, *wide.listener, kSame));
}

// Whether no request that fulfils `conditions` fulfils `excluded`.
bool excludes(const Conditions& conditions, const Conditions& excluded) {
  return disjoint(conditions, excluded) ||
         std::ranges::any_of(conditions.none,
                             [&](const Conditions& inner) { return implies(excluded, inner); });
}

std::optional<std::string> path_contradiction(const Conditions& conditions) {
  const config::Match& match = *conditions.match;
  const auto no_extension = [](const std::string& extension) {
    return extension.find_first_of("./") != std::string::npos;
  };
  if (!match.extension.empty() && std::ranges::all_of(match.extension, no_extension))
    return fmt::format("no extension is \"{}\": it is what follows the last dot",
                       match.extension.front());
  if (!match.path_prefix.empty() && std::ranges::none_of(match.path_prefix, is_normal_prefix))
    return fmt::format("no path in normal form begins with \"{}\"", match.path_prefix.front());
  if (match.path.empty()) return std::nullopt;
  if (std::ranges::none_of(match.path, is_normal)) {
    std::string scratch;
    return fmt::format("\"{}\" is not a path in normal form, which is \"{}\"", match.path.front(),
                       normalise_path(match.path.front(), scratch));
  }
  if (std::ranges::none_of(match.path,
                           [&](const std::string& path) { return path_fits(path, conditions); }))
    return "no value of path agrees with its path_prefix, path_regex or extension";
  return std::nullopt;
}

}  // namespace

bool implies(const Conditions& narrow, const Conditions& wide) {
  // A key of `wide` can only follow from one of `narrow`: the same, or for the others on the path
  // from `path` itself.
  uint32_t supported = narrow.keys | kNoneKey | kAnyKey;
  if (narrow.keys & kPathKey) supported |= kPathPrefixKey | kPathRegexKey | kExtensionKey;
  if ((wide.keys & ~supported) != 0 && narrow.any.empty()) return false;
  const bool none = std::ranges::all_of(
      wide.none, [&](const Conditions& excluded) { return excludes(narrow, excluded); });
  const bool any =
      wide.any.empty() || std::ranges::any_of(wide.any, [&](const Conditions& alternative) {
        return implies(narrow, alternative);
      });
  if (none && any && keys_imply(narrow, wide)) return true;
  return !narrow.any.empty() && std::ranges::all_of(narrow.any, [&](const Conditions& alternative) {
    return implies(alternative, wide);
  });
}

bool disjoint(const Conditions& a, const Conditions& b) {
  const config::Match& left = *a.match;
  const config::Match& right = *b.match;
  if (never_meet(left.host, right.host, hosts_meet) ||
      never_meet(left.method, right.method, kSame) ||
      never_meet(left.scheme, right.scheme, kSame) || never_meet(left.sni, right.sni, hosts_meet) ||
      never_meet(left.source, right.source, networks_meet) ||
      never_meet(left.extension, right.extension, kSame))
    return true;
  if (a.listener && b.listener && never_meet(*a.listener, *b.listener, kSame)) return true;
  const auto no_path_fits = [](const Conditions& exact, const Conditions& other) {
    const Texts& paths = exact.match->path;
    return !paths.empty() && std::ranges::none_of(paths, [&](const std::string& path) {
      return path_fits(path, other);
    });
  };
  if (no_path_fits(a, b) || no_path_fits(b, a)) return true;
  return never_meet(
      left.path_prefix, right.path_prefix,
      [](const std::string& x, const std::string& y) { return begins(x, y) || begins(y, x); });
}

std::optional<std::string> contradiction(const Conditions& conditions) {
  if (conditions.listener && conditions.listener->empty()) return "it is for no listener";
  if (auto why = path_contradiction(conditions)) return why;
  for (const Conditions& excluded : conditions.none) {
    if (implies(conditions, excluded))
      return "its \"not\" excludes everything else that it asks for";
  }
  const auto impossible = [&](const Conditions& alternative) {
    return contradiction(alternative).has_value() || excludes(conditions, alternative);
  };
  if (!conditions.any.empty() && std::ranges::all_of(conditions.any, impossible))
    return "no alternative of its \"any\" can hold";
  return std::nullopt;
}

}  // namespace shunt::rules
