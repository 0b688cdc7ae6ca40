// The construction of the decision tree.
#include "rules/rule_index_builder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/assert.h"

namespace shunt::rules {
namespace {

// So many rules are evaluated one after another rather than told apart by one more table.
constexpr size_t kLeafMax = 4;

// Bounds the memory where rules with long lists in several keys multiply: beyond, leaves are left
// long.
constexpr size_t kPlacementsMax = size_t{1} << 22;

// What looking up a dimension costs, in evaluations of a rule.
constexpr std::array<size_t, kDimensions> kCost = [] {
  std::array<size_t, kDimensions> cost{};
  cost.fill(1);
  const auto set = [&](Dimension dimension, size_t value) {
    cost[static_cast<size_t>(dimension)] = value;
  };
  set(Dimension::kHeader, 3);
  set(Dimension::kCookie, 3);
  set(Dimension::kQuery, 3);
  set(Dimension::kPathLiteral, 2);
  set(Dimension::kPathRegex, 8);
  return cost;
}();

}  // namespace

void RuleIndexBuilder::build() {
  for (uint32_t rule = 0; rule < index_.rules_.size(); ++rule)
    append_branches(rule, index_.rules_[rule], keys_, branches_);
  counts_.assign(keys_.size(), 0);
  used_patterns_.assign(keys_.size(), false);
  index_.regexes_ = RegexSet::create();

  Entries all;
  for (uint32_t branch = 0; branch < branches_.size(); ++branch) all.push_back({branch, 0});
  if (!all.empty()) index_.root_ = build_node(all);
  index_.literals_.compile();
  index_.regexes_->compile();
}

uint32_t RuleIndexBuilder::build_node(const Entries& entries) {
  SHUNT_ASSERT(!entries.empty());
  const auto id = static_cast<uint32_t>(index_.nodes_.size());
  index_.nodes_.emplace_back().lowest = lowest(entries);
  const std::optional<Dimension> dimension = choose(entries);
  if (!dimension) {
    make_leaf(index_.nodes_[id], entries);
    return id;
  }

  Groups groups;
  Entries rest;
  Entries keyed;
  for (const Entry& entry : entries) {
    const size_t constraint = rarest(entry, *dimension);
    if (constraint == kNoConstraint) {
      rest.push_back(entry);
      continue;
    }
    keyed.push_back(entry);
    const Entry child{entry.branch, entry.used | uint64_t{1} << constraint};
    for (const uint32_t key : branches_[entry.branch].constraints[constraint].keys) {
      groups[key].push_back(child);
      ++placements_;
    }
  }
  auto inner = std::make_unique<RuleIndex::Inner>();
  inner->dimension = *dimension;
  inner->keyed_lowest = lowest(keyed);
  inner->table = make_table(*dimension, groups);
  if (!rest.empty()) inner->rest = build_node(rest);
  index_.nodes_[id].inner = std::move(inner);
  return id;
}

void RuleIndexBuilder::make_leaf(RuleIndex::Node& node, const Entries& entries) const {
  for (const Entry& entry : entries) {
    const uint32_t rule = branches_[entry.branch].rule;
    if (rule != node.lowest) node.more.push_back(rule);
  }
  std::ranges::sort(node.more);
  const auto duplicates = std::ranges::unique(node.more);
  node.more.erase(duplicates.begin(), duplicates.end());
}

// The dimension after whose look-up the fewest rules are left together in the worst case, if that
// is worth its cost.
std::optional<Dimension> RuleIndexBuilder::choose(const Entries& entries) {
  if (entries.size() <= kLeafMax || placements_ > kPlacementsMax) return std::nullopt;
  count_keys(entries);
  std::optional<Dimension> best;
  size_t best_left = entries.size();
  for (size_t i = 0; i < kDimensions; ++i) {
    const auto dimension = static_cast<Dimension>(i);
    size_t without = 0;
    uint32_t together = 0;
    for (const Entry& entry : entries) {
      const size_t constraint = rarest(entry, dimension);
      if (constraint == kNoConstraint)
        ++without;
      else
        together = std::max(together, commonness(branches_[entry.branch].constraints[constraint]));
    }
    const size_t left = without + together + kCost[i];
    if (without == entries.size() || left >= best_left) continue;
    best = dimension;
    best_left = left;
  }
  return best;
}

void RuleIndexBuilder::count_keys(const Entries& entries) {
  const auto each_key = [&](auto&& visit) {
    for (const Entry& entry : entries) {
      const auto& constraints = branches_[entry.branch].constraints;
      for (size_t i = 0; i < constraints.size(); ++i) {
        if ((entry.used >> i & 1) != 0) continue;
        for (const uint32_t key : constraints[i].keys) visit(key);
      }
    }
  };
  each_key([&](uint32_t key) { counts_[key] = 0; });
  each_key([&](uint32_t key) { ++counts_[key]; });
}

size_t RuleIndexBuilder::rarest(const Entry& entry, Dimension dimension) const {
  const auto& constraints = branches_[entry.branch].constraints;
  size_t best = kNoConstraint;
  for (size_t i = 0; i < constraints.size(); ++i) {
    if (constraints[i].dimension != dimension || (entry.used >> i & 1) != 0) continue;
    if (best == kNoConstraint || commonness(constraints[i]) < commonness(constraints[best]))
      best = i;
  }
  return best;
}

uint32_t RuleIndexBuilder::commonness(const Constraint& constraint) const {
  uint32_t result = 0;
  for (const uint32_t key : constraint.keys) result = std::max(result, counts_[key]);
  return result;
}

uint32_t RuleIndexBuilder::lowest(const Entries& entries) const {
  uint32_t result = UINT32_MAX;
  for (const Entry& entry : entries) result = std::min(result, branches_[entry.branch].rule);
  return result;
}

RuleIndex::Table RuleIndexBuilder::make_table(Dimension dimension, const Groups& groups) {
  RuleIndex::Table table;
  switch (dimension) {
    case Dimension::kHost:
      table.emplace<HostTable>();
      break;
    case Dimension::kPath:
      table.emplace<PathTrie>();
      break;
    case Dimension::kMethod:
    case Dimension::kExtension:
    case Dimension::kScheme:
    case Dimension::kContentType:
      table.emplace<RuleIndex::TextTable>();
      break;
    case Dimension::kListener:
    case Dimension::kPathLiteral:
      table.emplace<RuleIndex::NumberTable>();
      break;
    case Dimension::kPathRegex:
      table.emplace<RuleIndex::RegexTable>();
      break;
    case Dimension::kSource:
      table.emplace<NetworkTable>();
      break;
    case Dimension::kHeader:
    case Dimension::kCookie:
    case Dimension::kQuery:
      table.emplace<RuleIndex::FieldTable>();
      break;
  }
  std::visit([&](auto& chosen) { fill(chosen, groups); }, table);
  return table;
}

void RuleIndexBuilder::fill(HostTable& table, const Groups& groups) {
  for (const auto& [key, entries] : groups) table.add(keys_[key].text, build_node(entries));
}

void RuleIndexBuilder::fill(PathTrie& table, const Groups& groups) {
  for (const auto& [key, entries] : groups) {
    const uint32_t child = build_node(entries);
    if (keys_[key].kind == Key::Kind::kExact)
      table.add_exact(keys_[key].text, child);
    else
      table.add_prefix(keys_[key].text, child);
  }
  table.compile();
}

void RuleIndexBuilder::fill(RuleIndex::TextTable& table, const Groups& groups) {
  for (const auto& [key, entries] : groups)
    table.children.emplace(keys_[key].text, build_node(entries));
}

void RuleIndexBuilder::fill(RuleIndex::NumberTable& table, const Groups& groups) {
  std::vector<std::pair<uint32_t, uint32_t>> children;
  for (const auto& [key, entries] : groups) {
    const bool is_listener = keys_[key].dimension == Dimension::kListener;
    if (!is_listener) use_pattern(key);
    children.emplace_back(is_listener ? keys_[key].number : key, build_node(entries));
  }
  table.children = NumberMap(children);
}

void RuleIndexBuilder::fill(RuleIndex::RegexTable& table, const Groups& groups) {
  for (const auto& [key, entries] : groups) {
    use_pattern(key);
    table.children.emplace(keys_[key].regex, build_node(entries));
  }
}

void RuleIndexBuilder::fill(NetworkTable& table, const Groups& groups) {
  for (const auto& [key, entries] : groups) table.add(keys_[key].network, build_node(entries));
}

void RuleIndexBuilder::fill(RuleIndex::FieldTable& table, const Groups& groups) {
  for (const auto& [key, entries] : groups) {
    RuleIndex::FieldTable::Values& values = table.names[keys_[key].name];
    const uint32_t child = build_node(entries);
    switch (keys_[key].kind) {
      case Key::Kind::kExact:
        values.trie.add_exact(keys_[key].text, child);
        break;
      case Key::Kind::kPrefix:
        values.trie.add_prefix(keys_[key].text, child);
        break;
      case Key::Kind::kPresent:
        values.present = child;
        break;
    }
  }
  for (auto& [name, values] : table.names) values.trie.compile();
}

// Only the patterns that some node looks up are searched for.
void RuleIndexBuilder::use_pattern(uint32_t key) {
  if (used_patterns_[key]) return;
  used_patterns_[key] = true;
  if (keys_[key].dimension == Dimension::kPathLiteral)
    index_.literals_.add(keys_[key].text, key);
  else
    index_.regexes_->add(*keys_[key].regex);
}

}  // namespace shunt::rules
