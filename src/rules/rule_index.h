// A decision tree over the rules: each inner node looks up one dimension of the request in a table
// of its own and goes on to the children whose keys the request has, and to the child of the rules
// that do not ask for that dimension. Every node knows the lowest rule beneath it, so that only
// what could still win is visited. Built once, then immutable, for all threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <variant>
#include <vector>

#include "rules/conditions.h"
#include "rules/constraint.h"
#include "rules/host_table.h"
#include "rules/literal_search.h"
#include "rules/network_table.h"
#include "rules/number_map.h"
#include "rules/path_trie.h"
#include "rules/regex_set.h"
#include "rules/subject.h"

namespace shunt::rules {

class RuleIndex {
 public:
  // What one search needs beyond the Subject; reused, also for other indexes.
  struct Workspace {
    std::vector<uint64_t> visited;  // By node: the search that last visited it.
    uint64_t search = 0;
    std::string lower_name;  // Of a header.
    RegexSet::Hits regex_hits;
    bool has_regex_hits = false;
  };

  // `rules` must outlive the index.
  explicit RuleIndex(std::span<const Conditions> rules);

  // The lowest rule that holds, or kNoRule.
  uint32_t first(Subject& subject, Workspace& workspace) const;

 private:
  friend class RuleIndexBuilder;
  class Search;

  static constexpr uint32_t kNoNode = UINT32_MAX;

  struct TextTable {
    TextMap<uint32_t> children;
  };
  struct NumberTable {  // Of listeners, or of the keys of literals.
    NumberMap children;
  };
  struct RegexTable {
    std::unordered_map<const Regex*, uint32_t> children;
  };
  struct FieldTable {
    struct Values {
      PathTrie trie;
      uint32_t present = kNoNode;
    };
    TextMap<Values> names;
  };
  using Table = std::variant<HostTable, PathTrie, TextTable, NumberTable, RegexTable, NetworkTable,
                             FieldTable>;

  struct Inner {
    Dimension dimension = Dimension::kHost;
    uint32_t keyed_lowest = UINT32_MAX;  // The lowest rule beneath the table's children.
    uint32_t rest = kNoNode;             // The child of the rules without a key in this dimension.
    Table table;                         // From keys to children.
  };
  struct Node {
    uint32_t lowest = UINT32_MAX;  // The lowest rule beneath.
    std::vector<uint32_t> more;    // Of a leaf: its other rules, ascending.
    std::unique_ptr<Inner> inner;  // Null for a leaf.
  };

  std::span<const Conditions> rules_;
  std::vector<Node> nodes_;
  uint32_t root_ = kNoNode;
  LiteralSearch literals_;             // Of all nodes; reports the number of the key.
  std::unique_ptr<RegexSet> regexes_;  // Of all nodes.
};

}  // namespace shunt::rules
