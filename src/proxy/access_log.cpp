// Where access log lines go: a buffer per worker, and one sink that all of them share. The sink
// writes whole lines under its lock and gives up what the kernel does not take: a log that is full,
// or a pipe that nobody empties, must not stop the traffic it describes.
#include "proxy/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <optional>
#include <utility>

#include "core/assert.h"
#include "core/wall_clock.h"

namespace shunt::proxy {
namespace {

constexpr size_t kFlushSize = 32 * 1024;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a write waits for a reader that kept up so far, before lines are dropped.
constexpr milliseconds kPatience(100);
// How long a change of place waits for a write under way.
constexpr milliseconds kWriteLongest(250);
constexpr mode_t kFileMode = 0640;

// A pipe or terminal behind our stdout may be shared with whoever started us, who expects that it
// blocks. Opened anew it is a file description of our own, and O_NONBLOCK is ours alone. Without
// the right to (a pipe of root's, after its rights are gone) it stays the shared one.
int open_stdout() {
  struct stat status{};
  if (::fstat(STDOUT_FILENO, &status) == 0 &&
      (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
    const int own =
        ::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_APPEND | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) return own;
  }
  return ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

std::string_view advice(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return " (the user that Shunt runs as must own the file, or may create it in its directory)";
    case ENXIO:
      return " (start the FIFO's reader first)";
    default:
      return "";
  }
}

// Opens what `path` names. The descriptor is our own even for stdout, so that dup2 onto it leaves
// stdout alone. O_NONBLOCK is for FIFOs; files do not know it.
Result<int> open_path(const std::string& path) {
  int fd = -1;
  if (path == "stdout") {
    fd = open_stdout();
  } else {
    const char* name = path == "off" ? "/dev/null" : path.c_str();
    fd = ::open(name, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, kFileMode);
  }
  if (fd >= 0) return fd;
  const int error = errno;
  return fail(fmt::format("access log \"{}\": {}{}", path, std::strerror(error), advice(error)),
              error);
}

bool has_room(int fd, milliseconds longest) {
  pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&room, 1, static_cast<int>(longest.count())) > 0;
}

}  // namespace

AccessLogSink::AccessLogSink(std::string path, int fd, bool enabled)
    : path_(std::move(path)), enabled_(enabled), fd_(fd), place_(place_of(fd)) {}

Result<std::unique_ptr<AccessLogSink>> AccessLogSink::open(const std::string& path) {
  const Result<int> fd = open_path(path);
  if (!fd) return std::unexpected(fd.error());
  return std::unique_ptr<AccessLogSink>(new AccessLogSink(path, *fd, path != "off"));
}

AccessLogSink::~AccessLogSink() {
  for (const int fd : {next_fd_.load(), fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

AccessLogSink::Place AccessLogSink::place_of(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || S_ISREG(status.st_mode)) return Place::kPlain;
  if (S_ISSOCK(status.st_mode)) return Place::kSocket;
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 ? Place::kPlain : Place::kShared;
}

Result<void> AccessLogSink::reopen() {
  if (path_ == "stdout") return {};  // Not ours to open anew.
  const Result<int> fresh = open_path(path_);
  if (!fresh) return std::unexpected(fresh.error());
  change_to(*fresh);
  return {};
}

void AccessLogSink::take_over(AccessLogSink& other) {
  path_ = other.path_;
  change_to(std::exchange(other.fd_, -1));
  enabled_.store(other.enabled(), std::memory_order_relaxed);
}

Result<void> AccessLogSink::give_to(uint32_t user) {
  struct stat file{};
  struct stat named{};
  if (path_ == "stdout" || ::geteuid() != 0 || user == 0) return {};
  if (::fstat(fd_, &file) != 0 || !S_ISREG(file.st_mode) || file.st_uid != 0) return {};
  const bool is_the_name = ::lstat(path_.c_str(), &named) == 0 && named.st_dev == file.st_dev &&
                           named.st_ino == file.st_ino;
  if (!is_the_name || file.st_nlink != 1) return {};
  if (::fchown(fd_, user, static_cast<gid_t>(-1)) == 0) return {};
  const int error = errno;
  return fail(
      fmt::format("access log \"{}\": chown to user {}: {}", path_, user, std::strerror(error)),
      error);
}

void AccessLogSink::change_to(int fd) {
  const int skipped = next_fd_.exchange(fd);
  if (skipped >= 0) ::close(skipped);
  // Until a time of the wall clock: ThreadSanitizer of GCC 12 does not know the call that waits for
  // one of the steady clock.
  const std::chrono::sys_time<milliseconds> now{milliseconds(wall_clock_ms())};
  const std::unique_lock lock(mutex_, now + kWriteLongest);
  if (lock.owns_lock()) change_over();
}

// Requires mutex_.
void AccessLogSink::change_over() {
  if (next_fd_.load(std::memory_order_relaxed) < 0) return;
  const int next = next_fd_.exchange(-1);
  const int moved = ::dup3(next, fd_, O_CLOEXEC);
  SHUNT_ASSERT(moved == fd_);
  ::close(next);
  place_ = place_of(fd_);
  torn_ = false;
  stuck_ = false;
}

void AccessLogSink::write(std::string_view lines) {
  if (lines.empty()) return;
  SHUNT_ASSERT(lines.back() == '\n');
  const std::lock_guard lock(mutex_);
  change_over();
  int error = 0;
  // A line that an earlier write left unfinished must not swallow the first one of this write.
  if (std::string_view line_end = "\n"; torn_) error = put(line_end);
  if (error == 0) error = put(lines);
  stuck_ = error == EAGAIN;
  if (error == 0) return;
  lost_.lines += static_cast<uint64_t>(std::ranges::count(lines, '\n'));
  lost_.sys = error;
}

AccessLogSink::Lost AccessLogSink::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

// Requires mutex_. Takes from `lines` what has been written; the errno if something is left.
int AccessLogSink::put(std::string_view& lines) {
  std::optional<Clock::time_point> deadline;
  while (!lines.empty()) {
    int error = 0;
    if (put_some(lines, error) || error == EINTR) continue;
    if (error != EAGAIN || stuck_) return error;
    if (!deadline) deadline = Clock::now() + kPatience;
    const auto left = std::chrono::ceil<milliseconds>(*deadline - Clock::now());
    if (left.count() <= 0 || !has_room(fd_, left)) return error;
  }
  return 0;
}

// Requires mutex_. One write that does not block.
bool AccessLogSink::put_some(std::string_view& lines, int& error) {
  ssize_t written = -1;
  errno = EAGAIN;
  if (place_ == Place::kSocket) {
    written = ::send(fd_, lines.data(), lines.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } else if (place_ == Place::kPlain) {
    written = ::write(fd_, lines.data(), lines.size());
  } else if (has_room(fd_, milliseconds(0))) {
    // A pipe that is ready takes PIPE_BUF bytes.
    written = ::write(fd_, lines.data(), std::min<size_t>(lines.size(), PIPE_BUF));
  }
  error = written < 0 ? errno : ENOSPC;
  if (written <= 0) return false;
  torn_ = lines[static_cast<size_t>(written) - 1] != '\n';
  lines.remove_prefix(static_cast<size_t>(written));
  return true;
}

void AccessLog::write(const AccessRecord& record) {
  if (!enabled()) return;
  if (format_ == config::AccessLogFormat::kJson) {
    format_json(buffer_, record);
  } else {
    format_combined(buffer_, record);
  }
  if (buffer_.size() >= kFlushSize) flush();
}

void AccessLog::flush() {
  sink_.write(buffer_);
  buffer_.clear();
}

}  // namespace shunt::proxy
