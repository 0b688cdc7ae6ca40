// RegexSet on RE2::Set, falling back to the patterns one by one when RE2 runs out of its memory
// budget.
#include "rules/regex_set.h"

#include <re2/set.h>

#include "core/assert.h"
#include "rules/regex_options.h"

namespace shunt::rules {
namespace {

re2::RE2::Options set_options(int64_t memory_max) {
  re2::RE2::Options options = regex_options();
  options.set_max_mem(memory_max);
  return options;
}

class Re2RegexSet final : public RegexSet {
 public:
  explicit Re2RegexSet(int64_t memory_max) : set_(set_options(memory_max), re2::RE2::UNANCHORED) {}

  void add(const Regex& regex, uint32_t id) override {
    SHUNT_ASSERT(!compiled_);
    const int index = set_.Add(regex.pattern(), nullptr);
    SHUNT_ASSERT(index == static_cast<int>(entries_.size()));  // It parsed before.
    entries_.push_back({&regex, static_cast<int>(id)});
  }

  void compile() override {
    SHUNT_ASSERT(!compiled_);
    compiled_ = true;
    has_automaton_ = set_.Compile();
  }

  void search(std::string_view text, std::vector<int>& hits) const override {
    SHUNT_ASSERT(compiled_);
    hits.clear();
    if (entries_.empty()) return;
    re2::RE2::Set::ErrorInfo error{re2::RE2::Set::kNoError};
    const re2::StringPiece piece(text.data(), text.size());
    if (has_automaton_ &&
        (set_.Match(piece, &hits, &error) || error.kind == re2::RE2::Set::kNoError)) {
      for (int& hit : hits) hit = entries_[static_cast<size_t>(hit)].id;
      return;
    }
    hits.clear();
    for (const Entry& entry : entries_) {
      if (entry.regex->search(text)) hits.push_back(entry.id);
    }
  }

 private:
  struct Entry {
    const Regex* regex;
    int id;
  };

  re2::RE2::Set set_;
  std::vector<Entry> entries_;
  bool compiled_ = false;
  bool has_automaton_ = false;
};

}  // namespace

std::unique_ptr<RegexSet> RegexSet::create(int64_t memory_max) {
  return std::make_unique<Re2RegexSet>(memory_max);
}

}  // namespace shunt::rules
