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

  void add(const Regex& regex) override {
    SHUNT_ASSERT(!compiled_);
    const int index = set_.Add(regex.pattern(), nullptr);
    SHUNT_ASSERT(index == static_cast<int>(regexes_.size()));  // It parsed before.
    regexes_.push_back(&regex);
  }

  void compile() override {
    SHUNT_ASSERT(!compiled_);
    compiled_ = true;
    has_automaton_ = set_.Compile();
  }

  void search(std::string_view text, Hits& hits) const override {
    SHUNT_ASSERT(compiled_);
    hits.regexes.clear();
    if (regexes_.empty()) return;
    if (has_automaton_ && search_automaton(text, hits)) return;
    for (const Regex* regex : regexes_) {
      if (regex->search(text)) hits.regexes.push_back(regex);
    }
  }

 private:
  // False if RE2 could not tell.
  bool search_automaton(std::string_view text, Hits& hits) const {
    re2::RE2::Set::ErrorInfo error{re2::RE2::Set::kNoError};
    const bool found = set_.Match({text.data(), text.size()}, &hits.indexes, &error);
    if (!found) return error.kind == re2::RE2::Set::kNoError;
    for (const int index : hits.indexes)
      hits.regexes.push_back(regexes_[static_cast<size_t>(index)]);
    return true;
  }

  re2::RE2::Set set_;
  std::vector<const Regex*> regexes_;
  bool compiled_ = false;
  bool has_automaton_ = false;
};

}  // namespace

std::unique_ptr<RegexSet> RegexSet::create(int64_t memory_max) {
  return std::make_unique<Re2RegexSet>(memory_max);
}

}  // namespace shunt::rules
