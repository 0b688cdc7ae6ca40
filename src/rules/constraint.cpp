// From conditions to branches and constraints. Single-threaded, at compile time of the rules only.
#include "rules/constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/assert.h"

namespace shunt::rules {
namespace {

using config::ValueMatch;

// Branches that one rule may become; beyond, an `any` stays one condition among the others.
constexpr size_t kBranchMax = 64;

using Constraints = std::vector<Constraint>;

class Extractor {
 public:
  explicit Extractor(KeyPool& keys) : keys_(keys) {}

  // The alternatives of `conditions`: each a set of constraints, at least one of which a matching
  // request fulfils.
  std::vector<Constraints> alternatives(const Conditions& conditions) {
    Constraints own = direct(conditions);
    if (conditions.any.empty()) return {std::move(own)};
    std::vector<Constraints> result;
    for (const Conditions& inner : conditions.any) {
      for (Constraints& alternative : alternatives(inner)) {
        if (result.size() == kBranchMax) return {std::move(own)};
        Constraints merged = own;
        std::ranges::move(alternative, std::back_inserter(merged));
        result.push_back(std::move(merged));
      }
    }
    return result;
  }

 private:
  Constraints direct(const Conditions& conditions) {
    const config::Match& match = *conditions.match;
    Constraints result;
    add_texts(result, Dimension::kHost, match.host);
    add_texts(result, Dimension::kPath, match.path);
    add_texts(result, Dimension::kPath, match.path_prefix, Key::Kind::kPrefix);
    add_texts(result, Dimension::kMethod, match.method);
    add_texts(result, Dimension::kExtension, match.extension);
    add_texts(result, Dimension::kScheme, match.scheme);
    add_media_ranges(result, match.content_type);
    if (conditions.listener) {
      Constraint listener{Dimension::kListener, {}};
      for (const uint32_t number : *conditions.listener)
        listener.keys.push_back(
            keys_.intern({.dimension = Dimension::kListener, .number = number}));
      result.push_back(std::move(listener));
    }
    if (!match.source.empty()) {
      Constraint source{Dimension::kSource, {}};
      for (const Cidr& network : match.source)
        source.keys.push_back(keys_.intern({.dimension = Dimension::kSource, .network = network}));
      result.push_back(std::move(source));
    }
    add_fields(result, Dimension::kHeader, conditions.header);
    add_fields(result, Dimension::kCookie, conditions.cookie);
    add_fields(result, Dimension::kQuery, conditions.query);
    add_path_regexes(result, conditions.path_regex);
    return result;
  }

  void add_texts(Constraints& result, Dimension dimension, const std::vector<std::string>& texts,
                 Key::Kind kind = Key::Kind::kExact) {
    if (texts.empty()) return;
    Constraint constraint{dimension, {}};
    for (const std::string& text : texts)
      constraint.keys.push_back(keys_.intern({.dimension = dimension, .kind = kind, .text = text}));
    result.push_back(std::move(constraint));
  }

  // "image/*" is kept as "image/", "*/*" as "", which is how they are looked up.
  void add_media_ranges(Constraints& result, std::vector<std::string> ranges) {
    for (std::string& range : ranges) {
      if (range == "*/*") range.clear();
      if (range.ends_with("/*")) range.pop_back();
    }
    add_texts(result, Dimension::kContentType, ranges);
  }

  void add_fields(Constraints& result, Dimension dimension,
                  const std::vector<FieldCondition>& fields) {
    for (const FieldCondition& field : fields) {
      Key key{.dimension = dimension, .kind = Key::Kind::kPresent, .name = field.match->name};
      const config::ValueMatch& value = field.match->value;
      const bool is_exact = value.kind == ValueMatch::Kind::kExact;
      if (is_exact || value.kind == ValueMatch::Kind::kPrefix) {
        key.kind = is_exact ? Key::Kind::kExact : Key::Kind::kPrefix;
        key.text = value.text;
      }
      result.push_back({dimension, {keys_.intern(std::move(key))}});
    }
  }

  void add_path_regexes(Constraints& result, const std::vector<const Regex*>& regexes) {
    if (regexes.empty()) return;
    Constraint patterns{Dimension::kPathRegex, {}};
    for (const Regex* regex : regexes) {
      patterns.keys.push_back(keys_.intern(
          {.dimension = Dimension::kPathRegex, .text = regex->pattern(), .regex = regex}));
    }
    result.push_back(std::move(patterns));
    add_path_literals(result, regexes);
  }

  // Offers each literal that a single pattern needs as a constraint of its own, so that the index
  // can take the rarest. Of several patterns, one may match by any of its literals.
  void add_path_literals(Constraints& result, const std::vector<const Regex*>& regexes) {
    Constraint united{Dimension::kPathLiteral, {}};
    for (const Regex* regex : regexes) {
      const auto answers = required_literals(regex->pattern());
      if (answers.empty()) return;
      for (size_t i = 0; i < answers.size() && (regexes.size() == 1 || i == 0); ++i) {
        Constraint single{Dimension::kPathLiteral, {}};
        for (const std::string& literal : answers[i])
          single.keys.push_back(
              keys_.intern({.dimension = Dimension::kPathLiteral, .text = literal}));
        if (regexes.size() == 1)
          result.push_back(std::move(single));
        else
          std::ranges::copy(single.keys, std::back_inserter(united.keys));
      }
    }
    if (!united.keys.empty()) result.push_back(std::move(united));
  }

  KeyPool& keys_;
};

}  // namespace

uint32_t KeyPool::intern(Key key) {
  // The length of the name keeps name and text apart.
  const std::string identity = fmt::format(
      "{}{}:{}:{}:{}:{}:{}", static_cast<int>(key.dimension), static_cast<int>(key.kind),
      key.number, key.dimension == Dimension::kSource ? key.network.to_string() : "",
      key.name.size(), key.name, key.text);
  const auto [known, is_new] = ids_.try_emplace(identity, static_cast<uint32_t>(keys_.size()));
  if (is_new) keys_.push_back(std::move(key));
  return known->second;
}

void append_branches(uint32_t rule, const Conditions& conditions, KeyPool& keys,
                     std::vector<Branch>& branches) {
  Extractor extractor(keys);
  for (Constraints& constraints : extractor.alternatives(conditions)) {
    if (constraints.size() > kConstraintMax) constraints.resize(kConstraintMax);
    for (Constraint& constraint : constraints) {
      std::ranges::sort(constraint.keys);
      const auto duplicates = std::ranges::unique(constraint.keys);
      constraint.keys.erase(duplicates.begin(), duplicates.end());
    }
    branches.push_back({rule, std::move(constraints)});
  }
}

}  // namespace shunt::rules
