// Many literals searched at once without regard to case (Aho and Corasick's automaton as a dense
// table): one load per octet of text, whatever the number of literals, and no lock or allocation.
// Built once, then immutable and safe for all threads.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shunt::rules {

class LiteralSearch {
 public:
  // Reports `literal` (lower case, not empty) as `id`. Each literal is added once.
  void add(std::string_view literal, uint32_t id);
  // Ends the adding.
  void compile();
  // Calls visit(id) for each place where a literal ends; more than once for a literal that is there
  // repeatedly.
  template <class Visit>
  void search(std::string_view text, Visit visit) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kHasEnd = uint32_t{1} << 31;  // In next_: a literal ends in that state.

  struct Entry {
    std::string literal;
    uint32_t id;
  };
  struct State {
    uint32_t id = kNone;  // The literal that ends here.
    uint32_t shorter =
        kNone;  // The state of the longest literal that is a proper suffix of this state's text.
  };

  void number_classes();
  void build_trie();
  void link_failures();
  void mark_ends();
  uint32_t& next(uint32_t state, uint32_t octet_class) {
    return next_[state * classes_ + octet_class];
  }

  std::vector<Entry> entries_;
  uint32_t classes_ = 1;  // Octets in no literal are all class 0.
  std::array<uint8_t, 256> octet_class_{};
  std::vector<State> states_;
  std::vector<uint32_t> next_;  // states_.size() rows of classes_ columns.
};

template <class Visit>
void LiteralSearch::search(std::string_view text, Visit visit) const {
  if (entries_.empty()) return;
  uint32_t state = 0;
  for (const char c : text) {
    const uint32_t to = next_[state * classes_ + octet_class_[static_cast<uint8_t>(c)]];
    state = to & ~kHasEnd;
    if ((to & kHasEnd) == 0) continue;
    uint32_t end = states_[state].id != kNone ? state : states_[state].shorter;
    for (; end != kNone; end = states_[end].shorter) visit(states_[end].id);
  }
}

}  // namespace shunt::rules
