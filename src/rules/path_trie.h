// A radix tree from texts to numbers that answers "which entries equal this text or begin it" in
// one walk down, whatever the number of entries. Used for paths and for values of fields. Built
// once, then immutable and safe for all threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shunt::rules {

class PathTrie {
 public:
  // An entry that only the text `text` finds, or one that each text beginning with `text` finds.
  // Each is added once.
  void add_exact(std::string_view text, uint32_t value) {
    entries_.push_back({std::string(text), value, true});
  }
  void add_prefix(std::string_view text, uint32_t value) {
    entries_.push_back({std::string(text), value, false});
  }
  // Ends the adding.
  void compile();

  // Calls visit(value) for the prefixes of `text`, shortest first, then for `text` itself.
  template <class Visit>
  void find(std::string_view text, Visit visit) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Entry {
    std::string text;
    uint32_t value;
    bool exact;
  };
  struct Node {
    uint32_t label = 0;  // Where its text beyond the parent's begins in labels_.
    uint32_t label_size = 0;
    uint32_t child_first =
        0;  // Its children are consecutive, ordered by the first octet of their labels.
    uint32_t child_count = 0;
    uint32_t exact = kNone;
    uint32_t prefix = kNone;
  };

  void fill(uint32_t node, size_t first, size_t last, size_t depth);
  const Node* child(const Node& node, char first) const;

  std::vector<Entry> entries_;  // Empty after compile().
  std::string labels_;
  std::string first_octets_;  // Of each node's label, so that the search for a child stays in one
                              // cache line.
  std::vector<Node> nodes_;
};

inline const PathTrie::Node* PathTrie::child(const Node& node, char first) const {
  const std::string_view octets(first_octets_.data() + node.child_first, node.child_count);
  const size_t at = octets.find(first);
  return at == std::string_view::npos ? nullptr : &nodes_[node.child_first + at];
}

template <class Visit>
void PathTrie::find(std::string_view text, Visit visit) const {
  if (nodes_.empty()) return;
  const Node* node = &nodes_.front();
  size_t depth = 0;
  while (node != nullptr) {
    const std::string_view label(labels_.data() + node->label, node->label_size);
    if (!text.substr(depth).starts_with(label)) return;
    depth += label.size();
    if (node->prefix != kNone) visit(node->prefix);
    if (depth == text.size()) {
      if (node->exact != kNone) visit(node->exact);
      return;
    }
    node = child(*node, text[depth]);
  }
}

}  // namespace shunt::rules
