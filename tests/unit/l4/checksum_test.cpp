// The Internet checksum: against a naive sum, and all 16-bit differences (RFC 1624).
#include "l4/checksum.h"

#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

namespace shunt::l4::test {
namespace {

uint16_t naive(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    const uint8_t pair[2] = {bytes[i], i + 1 < bytes.size() ? bytes[i + 1] : uint8_t{0}};
    sum += load_raw16(pair);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checksum)

BOOST_AUTO_TEST_CASE(sums_of_every_length) {
  std::mt19937 random(7);
  for (size_t size = 0; size <= 70; ++size) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    BOOST_TEST(fold(add_bytes(bytes)) == naive(bytes), "of " << size << " bytes");
  }
  const std::vector<uint8_t> ones(65535, 0xff);
  BOOST_TEST(fold(add_bytes(ones)) == naive(ones));
}

// The example of RFC 1071 §3.
BOOST_AUTO_TEST_CASE(known_sum) {
  const std::vector<uint8_t> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  uint8_t raw[2];
  store_raw16(raw, fold(add_bytes(bytes)));
  BOOST_TEST(load_be16(raw) == 0xddf2);
}

// Every old and new word against checksums of the whole: a header of three words, one of which
// changes. 65,536 pairs in a stride that meets the corners.
BOOST_AUTO_TEST_CASE(changes_equal_the_sum_anew) {
  const uint16_t corners[] = {0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff};
  const auto check = [](uint16_t before, uint16_t after, uint16_t other) {
    uint8_t old_bytes[2], new_bytes[2];
    store_raw16(old_bytes, before);
    store_raw16(new_bytes, after);
    const uint16_t was = finish(uint64_t{before} + other + 0x4500);
    ChecksumChange change;
    change.replace(old_bytes, new_bytes, 2);
    const uint16_t now = change.applied(was);
    BOOST_REQUIRE(fold(uint64_t{after} + other + 0x4500 + now) == 0xffff);
    const uint16_t partial = change.applied_to_partial(fold(uint64_t{before} + other + 0x4500));
    const uint16_t wanted = fold(uint64_t{after} + other + 0x4500);
    BOOST_REQUIRE(partial % 0xffff == wanted % 0xffff);
  };
  for (const uint16_t other : corners)
    for (const uint16_t before : corners)
      for (const uint16_t after : corners) check(before, after, other);
  for (uint32_t i = 0; i < 65536; ++i) {
    check(static_cast<uint16_t>(i), static_cast<uint16_t>(i * 40503u >> 3), 0x1234);
    check(static_cast<uint16_t>(i * 40503u), static_cast<uint16_t>(i), 0xedcb);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
