// The process log on standard error. A line is one write(2), so that lines of threads never mix;
// texts may hold bytes of a client, so control characters are made visible and a line break starts
// a line that is marked as such. Thread-safe; what writers share is under one lock, in which nobody
// waits for anything.
#include "core/log.h"

#include <fmt/chrono.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <ctime>
#include <mutex>
#include <string>

namespace shunt::log {
namespace {

std::atomic<Level> current_level{Level::kInfo};
std::atomic<uint64_t> lines_dropped{0};

// Standard error as the writers share it.
struct Output {
  std::mutex mutex;
  uint64_t dropped_told = 0;
  bool mid_line = false;  // The end of the last line did not go out.
};
Output output;

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

// Bytes that went out; less than all if the rest would have had to wait. Standard error is shared
// with others, who may not expect it to become non-blocking: so a socket is told for each call, and
// anything else is asked first. What a pipe that is writable takes without waiting is PIPE_BUF.
size_t write_now(std::string_view bytes) {
  struct stat what{};
  if (::fstat(STDERR_FILENO, &what) == 0 && S_ISSOCK(what.st_mode)) {
    const ssize_t sent =
        ::send(STDERR_FILENO, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  size_t done = 0;
  while (done < bytes.size()) {
    pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) break;
    const size_t size = std::min<size_t>(bytes.size() - done, PIPE_BUF);
    const ssize_t written = ::write(STDERR_FILENO, bytes.data() + done, size);
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  return done;
}

void put(std::string_view line) {
  const std::lock_guard lock(output.mutex);
  const uint64_t dropped = lines_dropped.load(std::memory_order_relaxed);
  std::string first;
  if (output.mid_line) first += '\n';
  if (dropped != output.dropped_told)
    first += fmt::format("{}{} lines of this log were dropped: nobody read them\n",
                         prefix_of(Level::kWarning), dropped - output.dropped_told);
  if (!first.empty()) {
    const size_t written = write_now(first);
    if (written < first.size()) {
      output.mid_line = output.mid_line || written > 0;
      lines_dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    output.mid_line = false;
    output.dropped_told = dropped;
  }
  const size_t written = write_now(line);
  if (written == line.size()) return;
  output.mid_line = written > 0;
  lines_dropped.fetch_add(1, std::memory_order_relaxed);
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
  put(line);
}

uint64_t dropped() {
  return lines_dropped.load(std::memory_order_relaxed);
}

}  // namespace shunt::log
