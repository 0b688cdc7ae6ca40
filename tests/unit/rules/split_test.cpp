// Splits: shares follow the weights, a key stays where it is, and a changed weight moves only what
// it must.
#include "rules/split.h"

#include <array>
#include <boost/test/unit_test.hpp>

namespace shunt::rules {
namespace {

constexpr uint32_t kKeys = 20000;

Split split_of(uint32_t first, uint32_t second, uint32_t third) {
  Split split;
  split.add("first", 0, first);
  split.add("second", 1, second);
  split.add("third", 2, third);
  return split;
}

std::array<uint32_t, 3> count(const Split& split) {
  std::array<uint32_t, 3> counts{};
  for (uint64_t key = 0; key < kKeys; ++key) ++counts[split.choose(key)];
  return counts;
}

BOOST_AUTO_TEST_SUITE(split_test)

BOOST_AUTO_TEST_CASE(shares_follow_the_weights) {
  const auto counts = count(split_of(1, 3, 6));
  // Four standard deviations of a binomial count.
  BOOST_TEST(std::abs(static_cast<int>(counts[0]) - 2000) < 170);
  BOOST_TEST(std::abs(static_cast<int>(counts[1]) - 6000) < 260);
  BOOST_TEST(std::abs(static_cast<int>(counts[2]) - 12000) < 280);
}

BOOST_AUTO_TEST_CASE(a_weight_of_zero_gets_nothing) {
  const auto counts = count(split_of(0, 1, 0));
  BOOST_TEST(counts[1] == kKeys);
}

BOOST_AUTO_TEST_CASE(keys_move_only_to_the_pool_that_grows) {
  const Split before = split_of(1, 3, 6);
  const Split after = split_of(2, 3, 6);
  uint32_t moved = 0;
  for (uint64_t key = 0; key < kKeys; ++key) {
    const uint32_t was = before.choose(key);
    const uint32_t is = after.choose(key);
    if (was == is) continue;
    ++moved;
    BOOST_TEST(is == 0u);
  }
  // From 1/10 to 2/11 of them.
  BOOST_TEST(moved > 1300u);
  BOOST_TEST(moved < 2000u);
}

BOOST_AUTO_TEST_CASE(the_order_in_the_file_does_not_matter) {
  Split other;
  other.add("third", 2, 6);
  other.add("first", 0, 1);
  other.add("second", 1, 3);
  const Split split = split_of(1, 3, 6);
  for (uint64_t key = 0; key < 1000; ++key) BOOST_TEST(other.choose(key) == split.choose(key));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::rules
