// Durations and sizes, parsed in whole numbers only, so that "0.1s" is exactly 100 ms.
// Pure: any thread.
#include "core/units.h"

#include <fmt/format.h>

#include <array>
#include <optional>

namespace shunt {
namespace {

struct Unit {
  std::string_view name;
  uint64_t scale;
};

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::array kDurationUnits = {
    Unit{"d", 86'400 * kNsPerSecond}, Unit{"h", 3'600 * kNsPerSecond}, Unit{"m", 60 * kNsPerSecond},
    Unit{"s", kNsPerSecond},          Unit{"ms", 1'000'000},           Unit{"us", 1'000},
};
constexpr std::array kSizeUnits = {
    Unit{"GiB", 1ull << 30},
    Unit{"MiB", 1ull << 20},
    Unit{"KiB", 1ull << 10},
    Unit{"GB", 1'000'000'000},
    Unit{"MB", 1'000'000},
    Unit{"KB", 1'000},
    Unit{"B", 1},
};
constexpr uint64_t kDurationMax = 3650 * 86'400 * kNsPerSecond;
constexpr uint64_t kSizeMax = 1ull << 53;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

template <size_t N>
std::optional<uint64_t> scale_of(const std::array<Unit, N>& units, std::string_view name) {
  for (const Unit& unit : units)
    if (unit.name == name) return unit.scale;
  return {};
}

// Takes the digits that `text` starts with; nothing if there are none or they exceed `maximum`.
std::optional<uint64_t> take_whole(std::string_view& text, uint64_t maximum) {
  if (text.empty() || !is_digit(text.front())) return {};
  uint64_t value = 0;
  while (!text.empty() && is_digit(text.front())) {
    value = value * 10 + static_cast<uint64_t>(text.front() - '0');
    if (value > maximum) return {};
    text.remove_prefix(1);
  }
  return value;
}

// Takes ".digits" if `text` starts with it and returns that part of `scale`, exactly or not at all.
std::optional<uint64_t> take_fraction(std::string_view& text, uint64_t scale) {
  if (!text.starts_with('.')) return 0;
  text.remove_prefix(1);
  if (text.empty() || !is_digit(text.front())) return {};
  uint64_t value = 0;
  while (!text.empty() && is_digit(text.front())) {
    const auto digit = static_cast<uint64_t>(text.front() - '0');
    if (digit * scale % 10 != 0) return {};
    scale /= 10;
    value += digit * scale;
    text.remove_prefix(1);
  }
  return value;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto expected = [text] {
    return fail(fmt::format(
        "\"{}\" is not a duration: expected a number with us, ms, s, m, h or d, such as \"250ms\"",
        text));
  };
  const size_t unit_start = text.find_first_not_of("0123456789.");
  if (unit_start == std::string_view::npos || unit_start == 0) return expected();
  const auto scale = scale_of(kDurationUnits, text.substr(unit_start));
  if (!scale) return expected();

  std::string_view number = text.substr(0, unit_start);
  if (!is_digit(number.front())) return expected();
  const auto too_long = [text] {
    return fail(fmt::format("\"{}\" is longer than 3650d, the longest duration", text));
  };
  const auto whole = take_whole(number, kDurationMax / *scale);
  if (!whole) return too_long();
  std::string_view rest = number;
  const auto fraction = take_fraction(rest, *scale);
  if (!fraction && rest.find('.') == std::string_view::npos && !rest.empty())
    return fail(fmt::format("\"{}\" is finer than a nanosecond", text));
  if (!fraction || !rest.empty()) return expected();
  const uint64_t total = *whole * *scale + *fraction;
  if (total > kDurationMax) return too_long();
  return Duration(static_cast<int64_t>(total));
}

Result<uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const auto whole = take_whole(rest, kSizeMax);
  if (!whole && !text.empty() && is_digit(text.front()))
    return fail(fmt::format("\"{}\" is larger than 2^53 bytes, the largest size", text));
  const auto scale = scale_of(kSizeUnits, rest);
  if (!whole || !scale)
    return fail(
        fmt::format("\"{}\" is not a size: expected a whole number with B, KiB, MiB, GiB, "
                    "KB, MB or GB, such as \"64KiB\"",
                    text));
  if (*whole > kSizeMax / *scale)
    return fail(fmt::format("\"{}\" is larger than 2^53 bytes, the largest size", text));
  return *whole * *scale;
}

Result<Rate> parse_rate(std::string_view text) {
  constexpr uint64_t kCountMax = 1'000'000;
  std::string_view rest = text;
  const auto count = take_whole(rest, kCountMax);
  const bool single = rest.size() == 2 && rest.front() == '/' &&
                      std::string_view("smhd").find(rest.back()) != std::string_view::npos;
  if (!count || *count == 0 || !single)
    return fail(fmt::format(
        "\"{}\" is not a rate: expected 1 to 1000000 per s, m, h or d, such as \"100/s\"", text));
  const uint64_t ns = *scale_of(kDurationUnits, rest.substr(1));
  return Rate{static_cast<uint32_t>(*count), Duration(static_cast<int64_t>(ns))};
}

std::string format_duration(Duration duration) {
  if (duration.count() < 0) return "-" + format_duration(-duration);
  const auto count = static_cast<uint64_t>(duration.count());
  if (count == 0) return "0s";
  for (const Unit& unit : kDurationUnits)
    if (count % unit.scale == 0) return fmt::format("{}{}", count / unit.scale, unit.name);
  std::string text = fmt::format("{}.{:03}", count / 1'000, count % 1'000);
  text.erase(text.find_last_not_of('0') + 1);
  return text + "us";
}

std::string format_size(uint64_t bytes) {
  for (const Unit& unit : kSizeUnits)
    if (bytes > 0 && bytes % unit.scale == 0 && unit.name.find('i') != std::string_view::npos)
      return fmt::format("{}{}", bytes / unit.scale, unit.name);
  return fmt::format("{}B", bytes);
}

}  // namespace shunt
