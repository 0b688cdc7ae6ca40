// Construction of the radix tree from the sorted entries: siblings get consecutive places, then
// each is filled in turn.
#include "rules/path_trie.h"

#include <algorithm>
#include <cstddef>

#include "core/assert.h"

namespace shunt::rules {

void PathTrie::compile() {
  SHUNT_ASSERT(nodes_.empty());
  if (entries_.empty()) return;
  // Octets compare unsigned, as std::string does.
  std::ranges::sort(entries_, {}, &Entry::text);
  nodes_.emplace_back();
  first_octets_.push_back('\0');
  fill(0, 0, entries_.size(), 0);
  entries_.clear();
  entries_.shrink_to_fit();
}

// Makes `node`, whose parent's text is `depth` octets long, the root of entries_[first, last).
void PathTrie::fill(uint32_t node, size_t first, size_t last, size_t depth) {
  // The entries are sorted, so what the first and the last share all share.
  const std::string_view low = entries_[first].text;
  const std::string_view high = entries_[last - 1].text;
  const auto [differ, unused] =
      std::mismatch(low.begin() + static_cast<ptrdiff_t>(depth), low.end(),
                    high.begin() + static_cast<ptrdiff_t>(depth), high.end());
  const size_t end = static_cast<size_t>(differ - low.begin());
  nodes_[node].label = static_cast<uint32_t>(labels_.size());
  nodes_[node].label_size = static_cast<uint32_t>(end - depth);
  labels_.append(low.substr(depth, end - depth));

  for (; first < last && entries_[first].text.size() == end; ++first) {
    uint32_t& slot = entries_[first].exact ? nodes_[node].exact : nodes_[node].prefix;
    SHUNT_ASSERT(slot == kNone);
    slot = entries_[first].value;
  }
  if (first == last) return;

  std::vector<size_t> starts;
  for (size_t i = first; i < last; ++i) {
    if (i == first || entries_[i].text[end] != entries_[i - 1].text[end]) starts.push_back(i);
  }
  const auto child_first = static_cast<uint32_t>(nodes_.size());
  nodes_[node].child_first = child_first;
  nodes_[node].child_count = static_cast<uint32_t>(starts.size());
  nodes_.resize(nodes_.size() + starts.size());
  for (const size_t start : starts) first_octets_.push_back(entries_[start].text[end]);
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t stop = i + 1 < starts.size() ? starts[i + 1] : last;
    fill(child_first + static_cast<uint32_t>(i), starts[i], stop, end);
  }
}

}  // namespace shunt::rules
