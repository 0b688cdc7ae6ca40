// The process log on standard error. A line is one write(2), so that lines of threads never mix;
// texts may hold bytes of a client, so control characters are made visible and a line break starts
// a line that is marked as such. Thread-safe; the level is the only state.
#include "core/log.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <string>

namespace shunt::log {
namespace {

std::atomic<Level> current_level{Level::kInfo};

std::string_view name_of(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "?";
}

std::string prefix_of(Level level) {
  using namespace std::chrono;
  const auto now = floor<milliseconds>(system_clock::now());
  const auto seconds = floor<std::chrono::seconds>(now);
  const std::time_t time = system_clock::to_time_t(seconds);
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {} ", utc, (now - seconds).count(),
                     name_of(level));
}

}  // namespace

void set_level(Level level) {
  current_level.store(level, std::memory_order_relaxed);
}

Level level() {
  return current_level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::string prefix = prefix_of(level);
  std::string line = prefix;
  line.reserve(prefix.size() + text.size() + 1);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += '\n';
      line += prefix;
      line += "| ";
    } else if (byte < 0x20 && c != '\t') {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  line += '\n';
  // Nobody can be told that the log itself failed.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace shunt::log
