// The comparison of random runs: like sources pass, unlike ones do not, in frequency or in
// succession.
#include "sched/distribution.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

namespace shunt::sched::test {
namespace {

// Runs of `alphabet`'s characters; with the chance `repeat` in 100 a pick repeats the one before.
std::vector<std::string> runs(size_t count, std::string_view alphabet, uint32_t repeat,
                              uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::string> result(count);
  for (std::string& run : result) {
    for (int i = 0; i < 200; ++i) {
      const bool again = !run.empty() && random() % 100 < repeat;
      run += again ? run.back() : alphabet[random() % alphabet.size()];
    }
  }
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(distribution)

BOOST_AUTO_TEST_CASE(comparisons) {
  struct Row {
    const char* description;
    std::vector<std::string> recorded;
    std::vector<std::string> replayed;
    const char* reason;  // The beginning; empty: alike.
  };
  const Row rows[] = {
      {"the same source", runs(6, "1234", 0, 1), runs(300, "1234", 0, 2), ""},
      {"the same uneven source", runs(6, "1223334444", 0, 1), runs(300, "1223334444", 0, 2), ""},
      {"other weights", runs(6, "1122", 0, 1), runs(300, "1222", 0, 2), "picks: chi-square"},
      {"slightly other weights", runs(6, "11111222222", 0, 1), runs(300, "11111122222", 0, 2),
       "picks: chi-square"},
      {"other successions", runs(6, "12", 25, 1), runs(300, "12", 0, 2),
       "successions of picks: chi-square"},
      {"a pick that is never replayed",
       {"1213"},
       runs(300, "12", 0, 2),
       "picks: 3 is recorded but never replayed"},
      {"a pick that is never recorded", runs(6, "12", 0, 1), runs(300, "123", 0, 2),
       "picks: chi-square"},
      {"one server", {"1111"}, {"1111", "1111"}, ""},
      {"always refused", {"----"}, {"----"}, ""},
      {"refused instead", {"----"}, {"1111"}, "picks: - is recorded"},
  };
  for (const Row& row : rows) {
    const Comparison result = compare_runs(row.recorded, row.replayed);
    BOOST_TEST(result.alike == std::string_view(row.reason).empty(),
               row.description << ": " << result.reason);
    BOOST_TEST(result.reason.starts_with(row.reason), row.description << ": " << result.reason);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
