// The composition root of a running Shunt: sockets, workers, server sets and the log are made here,
// handed to each other by reference, and taken down here. Main thread. It reacts to nothing by
// itself: serve.h reads the signals.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/admin.h"
#include "app/admin_source.h"
#include "app/exit_code.h"
#include "app/forwarding.h"
#include "app/listen_sockets.h"
#include "app/server_names.h"
#include "app/snapshot_build.h"
#include "app/worker.h"
#include "proxy/spread.h"

namespace shunt::app {

struct StartFailure {
  ExitCode code = ExitCode::kWrongInput;
  std::vector<std::string> texts;
};

struct ReloadReport {
  Changes changes;
  size_t sockets_opened = 0;  // Addresses.
  size_t sockets_closed = 0;
};

// The counters of all workers together.
struct Totals {
  uint64_t requests = 0;
  uint64_t accepted = 0;
  uint64_t open = 0;
  uint64_t retries = 0;
  uint64_t mirrored = 0;
  uint64_t mirrors_skipped = 0;
  uint64_t mirrors_failed = 0;
  std::vector<uint64_t> served;  // Client connections by worker; accepted is their sum.
  uint64_t client_idle = 0;
  uint64_t client_evicted = 0;
  uint64_t source_refused = 0;
  uint64_t upstream_evicted = 0;
  std::array<uint64_t, kReasonCount> ended{};
  std::string to_string() const;
};

class Server {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Opens the sockets and the log, drops privileges, starts the workers. `prepared` must be good().
  // The signals must be blocked already (signals.h).
  static std::expected<std::unique_ptr<Server>, StartFailure> start(Prepared prepared);
  Server(Private, const config::Config& config);  // For start().
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // Stops what still runs, and waits for it.

  // Serves `prepared`, which must be good(), from now on; requests in flight finish on what they
  // began with. The errors: a socket or the log could not be opened, a worker is stuck, or the
  // server is draining; then nothing has changed. Logs the keys that need a restart.
  std::expected<ReloadReport, std::vector<std::string>> reload(Prepared prepared);
  Result<void> reopen_log();

  // New connections are refused, requests in flight are answered, and layer 4 goes on until none of
  // its connections is open; finished() follows. Nothing tells of the end of layer 4's.
  void drain();
  // Connections are cut; finished() follows at once.
  void stop();
  bool draining() const { return ending_ && !stopping_; }
  bool finished() const;
  bool wait_finished(Duration longest) const;
  bool has_layer4() const { return forwarding_ != nullptr; }
  // Becomes readable when a worker has finished.
  int finished_event() const { return finished_event_; }
  // Becomes readable when on_names() has something to do: servers by name are looked up.
  int names_event() const { return names_->event(); }
  void on_names();

  const config::Config& config() const { return current_->config; }
  uint64_t generation() const { return current_->generation; }
  size_t workers() const { return workers_.size(); }
  Totals totals() const;

 private:
  std::expected<ListenSockets::Plan, StartFailure> open(const config::Config& config);
  Result<void> become(const std::string& user);
  std::expected<void, StartFailure> start_workers(ListenSockets::Plan sockets, Prepared prepared);
  void log_start() const;
  bool all_settled() const;
  void wait_until_taken(int longest_ms) const;
  Result<void> learn_names(const config::Config& config);
  void unlearn_names();
  Result<void> reload_layer4(const config::Config& config);
  Result<std::optional<AdminSocket>> open_admin(const config::Global& global) const;
  void change_admin(const config::Global& global, std::optional<AdminSocket> opened);
  Forwarding::Options layer4_options() const;

  // Constant after start().
  const config::Global started_with_;
  const uint32_t worker_count_;
  const int finished_event_;
  uint64_t descriptors_ = 0;
  io::LoopChoice loop_;

  ListenSockets sockets_;
  std::unique_ptr<ServerNames> names_;  // Never null after start().
  ServerSets server_sets_;
  std::unique_ptr<proxy::AccessLogSink> log_sink_;
  std::shared_ptr<const proxy::Snapshot> current_;
  std::unique_ptr<proxy::Spread> spread_;
  std::unique_ptr<KeyCounts> sources_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Forwarding> forwarding_;  // From the first [[service]] on.
  AdminSource admin_source_;
  std::optional<AdminSocket> admin_socket_;  // Until the thread has it.
  std::unique_ptr<Admin> admin_;             // With global.admin.
  bool ending_ = false;
  bool stopping_ = false;
};

// One worker per CPU that the process may use, unless the configuration says otherwise.
uint32_t worker_count(const config::Global& global);

// "2 listeners, 5 rules, 3 pools, 9 servers"; for the log and `shunt check`.
std::string describe(const config::Config& config);

}  // namespace shunt::app
