// Two-sample chi-square tests with the quantile after Wilson and Hilferty.
#include "sched/distribution.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

namespace shunt::sched {
namespace {

constexpr double kNormalQuantile = 4.265;  // Of 1 - 1e-5.
constexpr double kExpectedLeast =
    5;  // Rarer categories are pooled: the test needs this many of each.

struct Counts {
  double recorded = 0;
  double replayed = 0;
};
using Table = std::map<std::string, Counts>;

// The chi-square value that a good fit exceeds with the probability that kNormalQuantile stands
// for.
double limit_of(int degrees) {
  const double scale = 2.0 / (9.0 * degrees);
  return degrees * std::pow(1 - scale + kNormalQuantile * std::sqrt(scale), 3);
}

Comparison compare(const Table& table, const char* test) {
  double recorded_total = 0;
  double replayed_total = 0;
  for (const auto& [category, counts] : table) {
    if (counts.replayed == 0) {  // The replay has so many picks that this is no chance.
      return {false, fmt::format("{}: {} is recorded but never replayed", test, category)};
    }
    recorded_total += counts.recorded;
    replayed_total += counts.replayed;
  }
  const double total = recorded_total + replayed_total;
  if (recorded_total == 0) return {};

  double statistic = 0;
  int categories = 0;
  const auto test_category = [&](const Counts& counts) {
    const double both = counts.recorded + counts.replayed;
    const double recorded_expected = both * recorded_total / total;
    const double replayed_expected = both * replayed_total / total;
    statistic += std::pow(counts.recorded - recorded_expected, 2) / recorded_expected;
    statistic += std::pow(counts.replayed - replayed_expected, 2) / replayed_expected;
    ++categories;
  };
  Counts rare;
  for (const auto& [category, counts] : table) {
    const double expected = (counts.recorded + counts.replayed) * recorded_total / total;
    if (expected >= kExpectedLeast) {
      test_category(counts);
    } else {
      rare.recorded += counts.recorded;
      rare.replayed += counts.replayed;
    }
  }
  if (rare.recorded + rare.replayed > 0) test_category(rare);
  if (categories < 2) return {};
  const double limit = limit_of(categories - 1);
  if (statistic <= limit) return {};
  return {false, fmt::format("{}: chi-square {:.1f} over {:.1f} with {} degrees of freedom", test,
                             statistic, limit, categories - 1)};
}

template <class Add>
void each_window(std::span<const std::string> runs, size_t length, Add add) {
  for (const std::string& run : runs) {
    for (size_t begin = 0; begin + length <= run.size(); ++begin) add(run.substr(begin, length));
  }
}

}  // namespace

Comparison compare_runs(std::span<const std::string> recorded,
                        std::span<const std::string> replayed) {
  for (const size_t length : {size_t{1}, size_t{2}}) {
    Table table;
    each_window(recorded, length, [&](const std::string& picks) { ++table[picks].recorded; });
    each_window(replayed, length, [&](const std::string& picks) { ++table[picks].replayed; });
    Comparison result = compare(table, length == 1 ? "picks" : "successions of picks");
    if (!result.alike) return result;
  }
  return {};
}

}  // namespace shunt::sched
