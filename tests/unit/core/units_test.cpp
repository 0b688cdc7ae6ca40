// Durations and sizes: exact values, and what is refused with which words.
#include "core/units.h"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>

namespace shunt {
namespace {

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(units)

BOOST_AUTO_TEST_CASE(durations) {
  const struct {
    const char* text;
    Duration expected;
  } cases[] = {
      {"0s", 0s},        {"250ms", 250ms}, {"10s", 10s},          {"1.5s", 1500ms}, {"0.1s", 100ms},
      {"3us", 3us},      {"0.001us", 1ns}, {"2m", 120s},          {"36h", 36h},     {"7d", 168h},
      {"3650d", 87600h}, {"0.5h", 30min},  {"1.250000s", 1250ms},
  };
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_duration(text);
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), text);
    BOOST_TEST(parsed->count() == expected.count(), text);
  }
}

BOOST_AUTO_TEST_CASE(refused_durations) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"", "is not a duration"},
      {"10", "is not a duration"},
      {"s", "is not a duration"},
      {"-1s", "is not a duration"},
      {"+1s", "is not a duration"},
      {"1 s", "is not a duration"},
      {" 1s", "is not a duration"},
      {"1S", "is not a duration"},
      {"1sec", "is not a duration"},
      {"1e3s", "is not a duration"},
      {".5s", "is not a duration"},
      {"1.s", "is not a duration"},
      {"1.2.3s", "is not a duration"},
      {"1m30s", "is not a duration"},
      {"0.0001us", "finer than"},
      {"3651d", "longer than"},
      {"99999999999999999999999s", "longer than"},
  };
  for (const auto& [text, error] : cases) {
    const auto parsed = parse_duration(text);
    BOOST_REQUIRE_MESSAGE(!parsed.has_value(), text);
    BOOST_TEST(parsed.error().text.find(error) != std::string::npos, parsed.error().text);
  }
}

BOOST_AUTO_TEST_CASE(sizes) {
  const struct {
    const char* text;
    uint64_t expected;
  } cases[] = {
      {"0B", 0},
      {"1B", 1},
      {"64KiB", 65536},
      {"10MiB", 10485760},
      {"2GiB", 1ull << 31},
      {"1KB", 1000},
      {"3MB", 3'000'000},
      {"4GB", 4'000'000'000},
      {"8388608GiB", 1ull << 53},
  };
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_size(text);
    BOOST_REQUIRE_MESSAGE(parsed.has_value(), text);
    BOOST_TEST(*parsed == expected, text);
  }
}

BOOST_AUTO_TEST_CASE(refused_sizes) {
  for (const char* text : {"", "64", "KiB", "64kib", "64K", "1.5KiB", "-1B", "64 KiB", "1TiB",
                           "8388609GiB", "99999999999999999999B"})
    BOOST_TEST(!parse_size(text).has_value(), text);
  BOOST_TEST(parse_size("8388609GiB").error().text.find("larger than 2^53") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(printed_forms_are_short_and_exact) {
  BOOST_TEST(format_duration(0s) == "0s");
  BOOST_TEST(format_duration(1500ms) == "1500ms");
  BOOST_TEST(format_duration(10s) == "10s");
  BOOST_TEST(format_duration(90s) == "90s");
  BOOST_TEST(format_duration(120s) == "2m");
  BOOST_TEST(format_duration(48h) == "2d");
  BOOST_TEST(format_duration(1ns) == "0.001us");
  BOOST_TEST(format_duration(-5ms) == "-5ms");
  BOOST_TEST(format_size(0) == "0B");
  BOOST_TEST(format_size(1000) == "1000B");
  BOOST_TEST(format_size(65536) == "64KiB");
  for (const Duration value : {Duration(1), Duration(999), Duration(1'500'000), Duration(3600s)})
    BOOST_TEST(parse_duration(format_duration(value))->count() == value.count());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt
