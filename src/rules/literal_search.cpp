// Construction of the automaton: a trie of the literals, then failure links breadth first, folded
// into the table.
#include "rules/literal_search.h"

#include "core/assert.h"
#include "rules/text.h"

namespace shunt::rules {

void LiteralSearch::add(std::string_view literal, uint32_t id) {
  SHUNT_ASSERT(states_.empty());
  SHUNT_ASSERT(!literal.empty());
  entries_.push_back({std::string(literal), id});
}

void LiteralSearch::compile() {
  SHUNT_ASSERT(states_.empty());
  if (entries_.empty()) return;
  number_classes();
  build_trie();
  link_failures();
  mark_ends();
}

void LiteralSearch::number_classes() {
  for (const Entry& entry : entries_) {
    for (const char c : entry.literal) {
      uint8_t& octet_class = octet_class_[static_cast<uint8_t>(c)];
      if (octet_class == 0) octet_class = static_cast<uint8_t>(classes_++);
    }
  }
  // 256 octets less 26 capitals and class 0 always fit. Capitals share the class of their
  // lower-case letter.
  for (char c = 'A'; c <= 'Z'; ++c) {
    octet_class_[static_cast<uint8_t>(c)] = octet_class_[static_cast<uint8_t>(ascii_lower(c))];
  }
}

void LiteralSearch::build_trie() {
  states_.emplace_back();
  next_.assign(classes_, kNone);
  for (const Entry& entry : entries_) {
    uint32_t state = 0;
    for (const char c : entry.literal) {
      const uint32_t octet_class = octet_class_[static_cast<uint8_t>(c)];
      if (next(state, octet_class) == kNone) {
        next(state, octet_class) = static_cast<uint32_t>(states_.size());
        states_.emplace_back();
        next_.resize(next_.size() + classes_, kNone);
      }
      state = next(state, octet_class);
      SHUNT_ASSERT(state < kHasEnd);
    }
    SHUNT_ASSERT(states_[state].id == kNone);
    states_[state].id = entry.id;
  }
}

void LiteralSearch::link_failures() {
  std::vector<uint32_t> failure(states_.size(), 0);
  std::vector<uint32_t> queue;
  queue.reserve(states_.size());
  for (uint32_t c = 0; c < classes_; ++c) {
    uint32_t& child = next(0, c);
    if (child == kNone)
      child = 0;
    else
      queue.push_back(child);
  }
  for (size_t head = 0; head < queue.size(); ++head) {
    const uint32_t state = queue[head];
    const uint32_t suffix = failure[state];
    states_[state].shorter = states_[suffix].id != kNone ? suffix : states_[suffix].shorter;
    for (uint32_t c = 0; c < classes_; ++c) {
      uint32_t& child = next(state, c);
      if (child == kNone) {
        child = next(suffix, c);
      } else {
        failure[child] = next(suffix, c);
        queue.push_back(child);
      }
    }
  }
}

// Spares the search a look at the state, most of which end nothing.
void LiteralSearch::mark_ends() {
  for (uint32_t& to : next_) {
    if (states_[to].id != kNone || states_[to].shorter != kNone) to |= kHasEnd;
  }
}

}  // namespace shunt::rules
