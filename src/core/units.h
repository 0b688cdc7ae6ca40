// Durations and sizes as the configuration writes them: "250ms", "10s", "64KiB".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/instant.h"
#include "core/result.h"

namespace shunt {

// A whole or decimal number with one of us, ms, s, m, h, d. Not negative; at most 10 years.
Result<Duration> parse_duration(std::string_view text);
// A whole number with B, KiB, MiB, GiB (powers of 1024) or KB, MB, GB (powers of 1000). At most
// 2^53.
Result<uint64_t> parse_size(std::string_view text);

// "100/s": a whole number from 1 to 1,000,000 per s, m, h or d.
struct Rate {
  uint32_t count = 1;
  Duration per{};
};
Result<Rate> parse_rate(std::string_view text);

std::string format_duration(Duration duration);  // The shortest exact form: "1500ms", "10s", "0s".
std::string format_size(uint64_t bytes);

}  // namespace shunt
