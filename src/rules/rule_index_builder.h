// Builds the decision tree of a RuleIndex: at each node the dimension that leaves the fewest rules
// together, greedily. Lives only while the rules are compiled; single-threaded.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "rules/constraint.h"
#include "rules/rule_index.h"

namespace shunt::rules {

class RuleIndexBuilder {
 public:
  explicit RuleIndexBuilder(RuleIndex& index) : index_(index) {}

  void build();

 private:
  // A branch on its way down, with the constraints that nodes above have looked up already.
  struct Entry {
    uint32_t branch = 0;
    uint64_t used = 0;
  };
  using Entries = std::vector<Entry>;
  using Groups =
      std::map<uint32_t, Entries>;  // By key; ordered, so that equal rules give equal trees.

  static constexpr size_t kNoConstraint = SIZE_MAX;

  uint32_t build_node(const Entries& entries);
  void make_leaf(RuleIndex::Node& node, const Entries& entries) const;
  std::optional<Dimension> choose(const Entries& entries);
  void count_keys(const Entries& entries);
  // The constraint of `entry` in `dimension` whose keys are the rarest among the counted, or
  // kNoConstraint.
  size_t rarest(const Entry& entry, Dimension dimension) const;
  uint32_t commonness(const Constraint& constraint) const;
  uint32_t lowest(const Entries& entries) const;
  RuleIndex::Table make_table(Dimension dimension, const Groups& groups);
  void fill(HostTable& table, const Groups& groups);
  void fill(PathTrie& table, const Groups& groups);
  void fill(RuleIndex::TextTable& table, const Groups& groups);
  void fill(RuleIndex::NumberTable& table, const Groups& groups);
  void fill(RuleIndex::RegexTable& table, const Groups& groups);
  void fill(NetworkTable& table, const Groups& groups);
  void fill(RuleIndex::FieldTable& table, const Groups& groups);
  void use_pattern(uint32_t key);

  RuleIndex& index_;
  KeyPool keys_;
  std::vector<Branch> branches_;
  std::vector<uint32_t> counts_;     // By key; what count_keys() found.
  std::vector<bool> used_patterns_;  // By key: known to literals_ or regexes_.
  size_t placements_ = 0;
};

}  // namespace shunt::rules
