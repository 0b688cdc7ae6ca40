// Regex on RE2, and the literals a pattern needs, as RE2's own prefilter finds them. Pure, any
// thread.
#include "rules/regex.h"

#include <re2/filtered_re2.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "rules/regex_options.h"

namespace shunt::rules {
namespace {

class Re2Regex final : public Regex {
 public:
  Re2Regex(std::string_view pattern, Groups groups)
      : re2_(re2::StringPiece(pattern.data(), pattern.size()), options_for(groups)) {}

  const re2::RE2& re2() const { return re2_; }

  bool search(std::string_view text) const override {
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), re2_);
  }
  bool capture(std::string_view text, std::span<std::string_view> groups) const override {
    std::array<re2::StringPiece, kCapturesMax> found;
    const size_t count =
        std::min({groups.size(), found.size(), static_cast<size_t>(group_count()) + 1});
    std::ranges::fill(groups, std::string_view());
    const re2::StringPiece piece(text.data(), text.size());
    if (!re2_.Match(piece, 0, text.size(), re2::RE2::UNANCHORED, found.data(),
                    static_cast<int>(count)))
      return false;
    for (size_t i = 0; i < count; ++i) groups[i] = {found[i].data(), found[i].size()};
    return true;
  }
  uint32_t group_count() const override {
    return static_cast<uint32_t>(re2_.NumberOfCapturingGroups());
  }
  uint32_t group(std::string_view name) const override {
    const auto& names = re2_.NamedCapturingGroups();
    const auto found = names.find(std::string(name));
    return found == names.end() ? 0 : static_cast<uint32_t>(found->second);
  }
  const std::string& pattern() const override { return re2_.pattern(); }

 private:
  static re2::RE2::Options options_for(Groups groups) {
    re2::RE2::Options options = regex_options();
    options.set_never_capture(groups == Groups::kIgnored);
    return options;
  }

  re2::RE2 re2_;
};

// What all of `literals` begin with, or end in, if that says enough.
std::optional<std::string> common_affix(const std::vector<std::string>& literals) {
  constexpr size_t kAffixMin = 3;
  std::string_view prefix = literals.front();
  std::string_view suffix = literals.front();
  for (const std::string_view literal : literals) {
    const auto differ = std::ranges::mismatch(prefix, literal).in1;
    prefix = prefix.substr(0, static_cast<size_t>(differ - prefix.begin()));
    while (!literal.ends_with(suffix)) suffix.remove_prefix(1);
  }
  const std::string_view affix =
      std::max(prefix, suffix, [](auto a, auto b) { return a.size() < b.size(); });
  if (affix.size() < kAffixMin) return std::nullopt;
  return std::string(affix);
}

}  // namespace

Result<std::unique_ptr<const Regex>> Regex::parse(std::string_view pattern, Groups groups) {
  auto regex = std::make_unique<const Re2Regex>(pattern, groups);
  if (!regex->re2().ok()) return fail(regex->re2().error());
  return regex;
}

std::vector<std::vector<std::string>> required_literals(std::string_view pattern) {
  constexpr int kLiteralMin = 2;  // Bytes; shorter ones are in nearly every path.
  constexpr size_t kAlternativeMax = 16;

  re2::FilteredRE2 filter(kLiteralMin);
  int id = 0;
  const re2::StringPiece piece(pattern.data(), pattern.size());
  if (filter.Add(piece, regex_options(), &id) != re2::RE2::NoError) return {};
  std::vector<std::string> literals;
  filter.Compile(&literals);
  std::vector<int> potential;
  filter.AllPotentials({}, &potential);
  if (literals.empty() || !potential.empty()) return {};

  // A literal without which the pattern is out even if all others are there is needed by itself.
  std::vector<std::vector<std::string>> result;
  for (size_t left_out = 0; left_out < literals.size(); ++left_out) {
    std::vector<int> present;
    for (size_t i = 0; i < literals.size(); ++i) {
      if (i != left_out) present.push_back(static_cast<int>(i));
    }
    filter.AllPotentials(present, &potential);
    if (potential.empty()) result.push_back({literals[left_out]});
  }
  // The condition is a monotone formula that the empty set does not fulfil, so it needs one of all.
  if (!result.empty()) return result;
  if (auto affix = common_affix(literals)) return {{std::move(*affix)}};
  if (literals.size() <= kAlternativeMax) result.push_back(std::move(literals));
  return result;
}

}  // namespace shunt::rules
