// The hashes against values of other implementations: what they decide must not change between
// versions or machines.
#include "core/hash.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt {
namespace {

BOOST_AUTO_TEST_SUITE(hash)

// Values of CPython 3.11, whose hash of bytes is SipHash-1-3 with both keys 0 under
// PYTHONHASHSEED=0.
BOOST_AUTO_TEST_CASE(siphash_agrees_with_cpython) {
  const struct {
    const char* data;
    uint64_t expected;
  } cases[] = {
      {"a", 4644417185603328019u},
      {"1234567", 11762668945129975425u},
      {"12345678", 3785724242978802311u},
      {"123456789", 1133797698992234447u},
      {"/img/logo.png?v=1&size=large", 483257091503605321u},
  };
  for (const auto& [data, expected] : cases) BOOST_TEST(siphash_1_3(data, 0, 0) == expected, data);
}

BOOST_AUTO_TEST_CASE(siphash_depends_on_both_keys_and_the_length) {
  const uint64_t base = siphash_1_3("x", 1, 2);
  BOOST_TEST(base != siphash_1_3("x", 3, 2));
  BOOST_TEST(base != siphash_1_3("x", 1, 3));
  BOOST_TEST(base != siphash_1_3(std::string_view("x\0", 2), 1, 2));
  BOOST_TEST(siphash_1_3("", 1, 2) != siphash_1_3(std::string_view("\0", 1), 1, 2));
}

// 0x61C88647 is 2^32 divided by the golden ratio squared; its top bits are hash_32(1, bits).
BOOST_AUTO_TEST_CASE(hash_32_takes_the_top_bits_of_the_product) {
  static_assert(hash_32(1, 32) == 0x61C88647u);
  static_assert(hash_32(1, 8) == 0x61u);
  static_assert(hash_32(2, 4) == 0xCu);
  BOOST_TEST(hash_32(0x0a000001u, 10) == (0x0a000001u * 0x61C88647u) >> 22);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
