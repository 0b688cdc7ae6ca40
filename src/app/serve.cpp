// The main thread's loop: it sleeps until a signal comes, a worker has finished, names are to be
// looked up, or the time to drain is over.
#include "app/serve.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "app/review.h"
#include "core/log.h"
#include "core/units.h"

namespace shunt::app {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// What is cut off comes back from the kernel at once; a worker that takes longer than this is
// stuck.
constexpr Duration kStopLongest = 5s;
constexpr int kLook = 100;  // Milliseconds.

class Serving {
 public:
  Serving(Server& server, Signals& signals, const std::filesystem::path& config_path)
      : server_(server), signals_(signals), config_path_(config_path) {}

  void run() {
    while (!server_.finished()) {
      wait();
      while (const auto signal = signals_.take()) on_signal(*signal);
      if (Clock::now() >= deadline_) on_deadline();
    }
    log::info("stopped: {}", server_.totals().to_string());
  }

 private:
  void wait() {
    std::array<pollfd, 3> events = {{
        {.fd = signals_.fd(), .events = POLLIN, .revents = 0},
        {.fd = server_.finished_event(), .events = POLLIN, .revents = 0},
        {.fd = server_.names_event(), .events = POLLIN, .revents = 0},
    }};
    // Connections of layer 4 end without a word.
    int timeout_ms = server_.draining() && server_.has_layer4() ? kLook : -1;
    if (deadline_ != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
      const auto most = timeout_ms < 0 ? INT32_MAX : timeout_ms;
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, most));
    }
    ::poll(events.data(), events.size(), timeout_ms);
    if (events[2].revents != 0) server_.on_names();
    uint64_t count = 0;
    // Read only so that it does not wake us again: finished() is what counts.
    if (events[1].revents != 0) [[maybe_unused]]
      const auto read = ::read(events[1].fd, &count, sizeof count);
  }

  void on_signal(int signal) {
    switch (signal) {
      case SIGHUP:
        reload_from(server_, config_path_);
        return;
      case SIGUSR1:
        reopen_log();
        return;
      case SIGUSR2:
        log::warning("USR2: replacing the binary is not available in this version");
        return;
      case SIGQUIT:
        log::info("QUIT: draining; what is in flight goes on until it ends");
        server_.drain();
        return;
      case SIGTERM:
        if (told_to_end_) return stop("TERM again");
        return drain_for(server_.config().global.drain_timeout);
      case SIGINT:
        return stop("INT");
      default:
        return;
    }
  }

  void reopen_log() {
    const Result<void> reopened = server_.reopen_log();
    if (reopened) return log::info("USR1: access log reopened");
    log::error("USR1: {}; the old file stays in use", reopened.error().text);
  }

  void drain_for(Duration longest) {
    log::info("TERM: draining for at most {}", format_duration(longest));
    told_to_end_ = true;
    deadline_ = Clock::now() + longest;
    server_.drain();
  }

  void stop(std::string_view why) {
    if (stopping_) return;  // The deadline does not move.
    log::info("{}: stopping now", why);
    told_to_end_ = true;
    stopping_ = true;
    deadline_ = Clock::now() + kStopLongest;
    server_.stop();
  }

  void on_deadline() {
    if (!stopping_) return stop("drain_timeout is over");
    log::error("a worker has not stopped within {}; giving up on it",
               format_duration(kStopLongest));
    std::abort();
  }

  Server& server_;
  Signals& signals_;
  const std::filesystem::path& config_path_;
  bool told_to_end_ = false;  // By TERM or INT.
  bool stopping_ = false;
  Clock::time_point deadline_ = Clock::time_point::max();
};

}  // namespace

void serve(Server& server, Signals& signals, const std::filesystem::path& config_path) {
  Serving(server, signals, config_path).run();
}

bool reload_from(Server& server, const std::filesystem::path& path) {
  Prepared prepared = review_file(path, RunsOn::kAnyHost).prepared;
  const std::string problems = prepared.diagnostics.to_string();
  if (!prepared.good()) {
    log::error("reload of {} refused, generation {} stays:\n{}", path.string(), server.generation(),
               problems);
    return false;
  }
  if (!problems.empty()) log::warning("reload of {}:\n{}", path.string(), problems);
  const auto report = server.reload(std::move(prepared));
  if (!report) {
    log::error("reload of {} refused, generation {} stays:\n{}", path.string(), server.generation(),
               fmt::join(report.error(), "\n"));
    return false;
  }
  const Changes& changes = report->changes;
  log::info(
      "reload: generation {}: {} (pools: {} added, {} removed; servers: {} added, {} removed, "
      "{} edited; schedulers: {} changed; addresses: {} opened, {} closed)",
      server.generation(), describe(server.config()), changes.pools_added, changes.pools_removed,
      changes.servers_added, changes.servers_removed, changes.servers_edited,
      changes.schedulers_changed, report->sockets_opened, report->sockets_closed);
  log::info("totals: {}", server.totals().to_string());
  return true;
}

}  // namespace shunt::app
