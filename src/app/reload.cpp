// What changes while a server runs: the configuration, and the access log's file. A reload first
// does everything that can fail, and then what cannot. See server.h.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "app/server.h"
#include "core/assert.h"
#include "core/log.h"

namespace shunt::app {
namespace {

// Keys that are looked at once, at the start: what counts is what this process started with,
// however many reloads ago that was.
void warn_of_restart(const config::Global& running, const config::Global& wanted) {
  const auto check = [](bool differs, std::string_view key) {
    if (differs) log::warning("reload: global.{} has changed and takes effect with a restart", key);
  };
  check(running.workers != wanted.workers, "workers");
  check(running.cpu_affinity != wanted.cpu_affinity, "cpu_affinity");
  check(running.user != wanted.user, "user");
  check(running.event_loop != wanted.event_loop, "event_loop");
  check(running.max_connections != wanted.max_connections, "max_connections");
  check(running.layer4_threads != wanted.layer4_threads, "layer4_threads");
  check(running.layer4_connections != wanted.layer4_connections, "layer4_connections");
  check(running.layer4_new_connections != wanted.layer4_new_connections, "layer4_new_connections");
}

// A worker takes its assignment within a turn of its loop; one that is stuck must not stop us.
constexpr int kTakeLongestMs = 1000;

}  // namespace

std::expected<ReloadReport, std::vector<std::string>> Server::reload(Prepared prepared) {
  SHUNT_ASSERT(prepared.good());
  if (ending_) return std::unexpected(std::vector<std::string>{"the server is draining"});

  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i]->can_take()) continue;
    return std::unexpected(std::vector{fmt::format(
        "worker {} is stuck: it is still at generation {}", i, workers_[i]->generation())});
  }
  // A socket that is still closing, or has yet to, is ours, not a second instance's.
  const bool settled = all_settled();
  const bool leaving = std::ranges::any_of(
      workers_, [](const auto& worker) { return worker->listeners_leaving() > 0; });
  auto sockets = sockets_.plan(prepared.config(), /*expect_unused=*/settled && !leaving);
  std::vector<std::string> errors;
  if (!sockets) {
    for (Error& error : sockets.error()) errors.push_back(std::move(error.text));
  }
  const config::Global before = config().global;
  const config::Global after = prepared.config().global;
  std::unique_ptr<proxy::AccessLogSink> next_log;
  if (before.access_log != after.access_log) {
    auto opened = proxy::AccessLogSink::open(after.access_log);
    if (opened) {
      next_log = std::move(*opened);
    } else {
      errors.push_back(std::move(opened).error().text);
    }
  }
  auto admin = open_admin(after);
  if (!admin) errors.push_back(admin.error().text);
  if (!errors.empty()) return std::unexpected(std::move(errors));

  if (const auto learnt = learn_names(prepared.config()); !learnt)
    return std::unexpected(std::vector{learnt.error().text});
  if (const auto layer4 = reload_layer4(prepared.config()); !layer4) {
    unlearn_names();
    return std::unexpected(std::vector{layer4.error().text});
  }

  // From here on nothing can fail.
  warn_of_restart(started_with_, after);
  ReloadReport report{
      .changes = {}, .sockets_opened = sockets->opened(), .sockets_closed = sockets->closed()};
  current_ = server_sets_.apply(std::move(prepared), report.changes, names_.get());
  names_->keep_only(config());
  std::vector<std::vector<ListenChange>> listen = sockets_.commit(std::move(*sockets));
  if (next_log) log_sink_->take_over(*next_log);
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->assign({.snapshot = current_,
                         .log_format = after.access_log_format,
                         .listen_changes = std::move(listen[i])});
  }
  change_admin(after, std::move(*admin));
  // A worker that has kept us waiting once does not twice.
  wait_until_taken(settled ? kTakeLongestMs : 0);
  return report;
}

// A new name has its servers before the first request asks for them, if it can be had in time.
Result<void> Server::learn_names(const config::Config& config) {
  if (auto adopted = names_->adopt(config); !adopted) return adopted;
  names_->wait_for_first(config.resolver.start_wait);
  return {};
}

// A reload has failed after all: back to the settings and names in use.
void Server::unlearn_names() {
  const Result<void> adopted = names_->adopt(config());
  if (!adopted) log::warning("{}; names are asked for as the reload has it", adopted.error().text);
  names_->keep_only(config());
}

// Workers find the new servers in the sets at once; those with waiting requests are told.
void Server::on_names() {
  if (!names_->process() || ending_) return;
  server_sets_.refresh(*current_, names_->take_changed(), *names_);
  for (const auto& worker : workers_) worker->wake();
}

// The last step that can fail: it takes effect at once.
Result<void> Server::reload_layer4(const config::Config& config) {
  if (forwarding_ != nullptr) return forwarding_->reload(plan_layer4(config));
  if (config.services.empty()) return {};
  auto forwarding = Forwarding::open(layer4_options(), plan_layer4(config));
  if (!forwarding) return std::unexpected(forwarding.error());
  forwarding_ = std::move(*forwarding);
  forwarding_->start();
  return {};
}

// A socket, if this configuration wants one that is not open yet.
Result<std::optional<AdminSocket>> Server::open_admin(const config::Global& global) const {
  const bool open = admin_ != nullptr && global.admin && admin_->address() == *global.admin;
  if (!global.admin || open) return std::nullopt;
  auto socket = AdminSocket::open(*global.admin);
  if (!socket) return std::unexpected(socket.error());
  return std::move(*socket);
}

// To what is in force now; `opened` is what open_admin() returned.
void Server::change_admin(const config::Global& global, std::optional<AdminSocket> opened) {
  admin_source_.show(current_, forwarding_.get());
  if (!global.admin || opened) admin_.reset();
  if (!opened) return;
  admin_ = std::make_unique<Admin>(std::move(*opened), admin_source_);
  log::info("admin endpoint on {}", admin_->address().to_string());
}

bool Server::all_settled() const {
  return std::ranges::all_of(workers_, [](const auto& worker) { return worker->settled(); });
}

// So that whoever reads "reload: generation 2" in the log may rely on it.
void Server::wait_until_taken(int longest_ms) const {
  for (int waited_ms = 0; waited_ms < longest_ms; ++waited_ms) {
    if (all_settled()) return;
    ::poll(nullptr, 0, 1);
  }
  if (all_settled()) return;
  log::warning("reload: a worker is busy and takes generation {} later", generation());
}

Result<void> Server::reopen_log() {
  return log_sink_->reopen();
}

}  // namespace shunt::app
