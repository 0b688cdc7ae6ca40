// Where access log lines go: a buffer per worker, and one sink that all of them share. The sink
// writes whole lines under its lock and gives up what the kernel does not take: a log that is full
// must not stop the traffic it describes.
#include "proxy/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/assert.h"

namespace shunt::proxy {
namespace {

constexpr size_t kFlushSize = 32 * 1024;
// How long a write waits for a non-blocking pipe's reader before the lines are dropped.
constexpr int kPipePatienceMs = 100;
constexpr mode_t kFileMode = 0640;

// Opens what `path` names. The descriptor is our own even for stdout, so that dup2 onto it leaves
// stdout alone.
Result<int> open_path(const std::string& path) {
  int fd = -1;
  if (path == "stdout") {
    fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  } else {
    const char* name = path == "off" ? "/dev/null" : path.c_str();
    fd = ::open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kFileMode);
  }
  if (fd >= 0) return fd;
  const int error = errno;
  return fail(fmt::format("access log \"{}\": {}", path, std::strerror(error)), error);
}

}  // namespace

AccessLogSink::AccessLogSink(std::string path, int fd, bool enabled)
    : enabled_(enabled), path_(std::move(path)), fd_(fd) {}

Result<std::unique_ptr<AccessLogSink>> AccessLogSink::open(const std::string& path) {
  const Result<int> fd = open_path(path);
  if (!fd) return std::unexpected(fd.error());
  return std::unique_ptr<AccessLogSink>(new AccessLogSink(path, *fd, path != "off"));
}

AccessLogSink::~AccessLogSink() {
  ::close(fd_);
}

Result<void> AccessLogSink::reopen() {
  const std::lock_guard lock(mutex_);
  const Result<int> fresh = open_path(path_);
  if (!fresh) return std::unexpected(fresh.error());
  const int moved = ::dup3(*fresh, fd_, O_CLOEXEC);
  SHUNT_ASSERT(moved == fd_);
  ::close(*fresh);
  torn_ = false;
  return {};
}

void AccessLogSink::take_over(AccessLogSink& other) {
  const std::scoped_lock lock(mutex_, other.mutex_);
  const int moved = ::dup3(other.fd_, fd_, O_CLOEXEC);
  SHUNT_ASSERT(moved == fd_);
  path_ = other.path_;
  torn_ = false;
  enabled_.store(other.enabled(), std::memory_order_relaxed);
}

void AccessLogSink::write(std::string_view lines) {
  if (lines.empty()) return;
  SHUNT_ASSERT(lines.back() == '\n');
  const std::lock_guard lock(mutex_);
  int error = 0;
  // A line that an earlier write left unfinished must not swallow the first one of this write.
  if (std::string_view line_end = "\n"; torn_) error = put(line_end);
  if (error == 0) error = put(lines);
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
  bool waited = false;
  while (!lines.empty()) {
    const ssize_t written = ::write(fd_, lines.data(), lines.size());
    if (written > 0) {
      torn_ = lines[static_cast<size_t>(written) - 1] != '\n';
      lines.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    const int error = written < 0 ? errno : ENOSPC;
    if (error == EINTR) continue;
    if (error != EAGAIN || waited) return error;
    waited = true;
    pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
    ::poll(&room, 1, kPipePatienceMs);
  }
  return 0;
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
