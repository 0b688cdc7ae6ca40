// The process log: one line per event to standard error, thread-safe, levels. Nobody is ever kept
// waiting by it: lines that standard error does not take at once (a pipe whose reader is stuck) are
// dropped, and their number is told by the next line that goes out. Not the access log.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

namespace shunt::log {

enum class Level : int { kDebug, kInfo, kWarning, kError };

void set_level(Level level);
Level level();
// `2026-01-31T12:00:00.123Z level text`, one write(2) per line (of a pipe's 4 KiB at most).
void write(Level level, std::string_view text);
uint64_t dropped();  // Lines so far.

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kDebug)
    write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kInfo)
    write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kWarning)
    write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace shunt::log
