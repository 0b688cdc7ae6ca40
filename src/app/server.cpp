// Starts and stops what a running Shunt is made of. See server.h; what changes while it runs is in
// reload.cpp.
#include "app/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <random>

#include "app/descriptor_limit.h"
#include "app/privileges.h"
#include "core/assert.h"
#include "core/log.h"
#include "io/tls_kernel.h"

namespace shunt::app {
namespace {

std::unexpected<StartFailure> start_failure(ExitCode code, Error error) {
  return std::unexpected(StartFailure{.code = code, .texts = {std::move(error.text)}});
}

// What is refused for want of a right is not the configuration's fault.
ExitCode code_of(int sys) {
  return sys == EACCES || sys == EPERM ? ExitCode::kMissingFeature : ExitCode::kWrongInput;
}

std::unexpected<StartFailure> start_failure(const Error& error) {
  return start_failure(code_of(error.sys), error);
}

uint32_t cpus_usable() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return static_cast<uint32_t>(std::max(CPU_COUNT(&cpus), 1));
}

// "web on 127.0.0.1:80 and [::1]:80, admin on …"
std::string describe_listeners(const config::Config& config) {
  std::vector<std::string> parts;
  for (const config::Listener& listener : config.listeners) {
    std::vector<std::string> addresses;
    for (const SocketAddress& address : listener.bind) addresses.push_back(address.to_string());
    parts.push_back(fmt::format("{} on {}", listener.name, fmt::join(addresses, " and ")));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Sources that are counted at a time, at most; in 16 MiB.
constexpr uint64_t kSourcesMost = 1'000'000;

std::string counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

bool may_use_kernel_tls(const config::Config& config) {
  const auto to_servers = [](const config::Pool& pool) {
    return std::ranges::any_of(pool.servers, [](const config::Server& one) { return !!one.tls; });
  };
  const auto to_clients = [](const config::Listener& listener) { return !!listener.tls; };
  return config.global.ktls == config::KernelTls::kAuto &&
         (std::ranges::any_of(config.listeners, to_clients) ||
          std::ranges::any_of(config.pools, to_servers));
}

}  // namespace

uint32_t worker_count(const config::Global& global) {
  return global.workers > 0 ? global.workers : cpus_usable();
}

std::string describe(const config::Config& config) {
  size_t servers = 0;
  for (const config::Pool& pool : config.pools) servers += pool.servers.size();
  std::string text = fmt::format("{}, {}, {}, {}", counted(config.listeners.size(), "listener"),
                                 counted(config.rules.size(), "rule"),
                                 counted(config.pools.size(), "pool"), counted(servers, "server"));
  if (!config.services.empty())
    text += fmt::format(", {} of layer 4", counted(config.services.size(), "service"));
  return text;
}

std::expected<std::unique_ptr<Server>, StartFailure> Server::start(Prepared prepared) {
  SHUNT_ASSERT(prepared.good());
  auto server = std::make_unique<Server>(Private(), prepared.config());
  auto sockets = server->open(prepared.config());
  if (!sockets) return std::unexpected(std::move(sockets).error());
  auto started = server->start_workers(std::move(*sockets), std::move(prepared));
  if (!started) return std::unexpected(std::move(started).error());
  server->log_start();
  return server;
}

Server::Server(Private, const config::Config& config)
    : started_with_(config.global),
      worker_count_(worker_count(config.global)),
      finished_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      sockets_(worker_count_) {
  SHUNT_ASSERT(finished_event_ >= 0);
}

Server::~Server() {
  admin_.reset();  // It looks at everything else.
  for (const auto& worker : workers_) worker->stop();
  workers_.clear();
  ::close(finished_event_);
}

// Everything that may need root comes first, the end of root after it, and the test of what the
// rest may do last.
std::expected<ListenSockets::Plan, StartFailure> Server::open(const config::Config& config) {
  descriptors_ = raise_descriptor_limit();
  auto sockets = sockets_.plan(config, /*expect_unused=*/true);
  if (!sockets) {
    StartFailure failure{.code = code_of(sockets.error().front().sys), .texts = {}};
    for (Error& error : sockets.error()) failure.texts.push_back(std::move(error.text));
    return std::unexpected(std::move(failure));
  }
  if (!config.services.empty()) {
    auto forwarding = Forwarding::open(layer4_options(), plan_layer4(config));
    if (!forwarding) return start_failure(forwarding.error());
    forwarding_ = std::move(*forwarding);
  }
  auto admin = open_admin(config.global);
  if (!admin) return start_failure(admin.error());
  admin_socket_ = std::move(*admin);
  auto sink = proxy::AccessLogSink::open(config.global.access_log);
  if (!sink) return start_failure(sink.error());
  log_sink_ = std::move(*sink);
  // Asked before rights are given up, so that the kernel may load what it takes.
  if (may_use_kernel_tls(config)) static_cast<void>(io::kernel_tls());
  auto dropped = become(config.global.user);
  if (!dropped) return start_failure(dropped.error());

  auto loop = io::choose_loop(config.global.event_loop);
  if (!loop) return start_failure(ExitCode::kMissingFeature, std::move(loop).error());
  loop_ = std::move(*loop);
  if (!loop_.refused.empty()) log::info("event_loop = \"auto\": epoll, because {}", loop_.refused);
  auto names = ServerNames::create();
  if (!names) return start_failure(names.error());
  names_ = std::move(*names);
  if (auto learnt = learn_names(config); !learnt) return start_failure(learnt.error());
  return std::move(*sockets);
}

// The CPUs behind those of the workers, if there are more.
Forwarding::Options Server::layer4_options() const {
  const config::Global& global = started_with_;
  Forwarding::Options options{
      .threads = global.layer4_threads != 0 ? global.layer4_threads : worker_count_,
      .limits = {.connections = global.layer4_connections,
                 .new_connections = global.layer4_new_connections},
      .cpus = global.cpu_affinity};
  const size_t count = options.cpus.size();
  if (count > 0)
    std::ranges::rotate(options.cpus,
                        options.cpus.begin() + static_cast<ptrdiff_t>(worker_count_ % count));
  return options;
}

// From here on the process is `user`, whose the access log becomes so that USR1 can open it again.
Result<void> Server::become(const std::string& user) {
  if (user.empty()) return {};
  const Result<Identity> identity = look_up_user(user);
  if (!identity) return std::unexpected(identity.error());
  const Result<void> given = log_sink_->give_to(identity->user);
  if (!given) log::warning("{}; USR1 may not be able to open it again", given.error().text);
  return drop_privileges(*identity, /*keep_network=*/forwarding_ != nullptr);
}

std::expected<void, StartFailure> Server::start_workers(ListenSockets::Plan sockets,
                                                        Prepared prepared) {
  const config::Global& global = prepared.config().global;
  const std::vector<uint32_t> cpus = global.cpu_affinity;
  const config::AccessLogFormat log_format = global.access_log_format;
  const ConnectionBudget budget = connection_budget(
      global.max_connections, descriptors_, worker_count_, static_cast<uint32_t>(sockets.opened()));
  if (budget.beyond_limit)
    log::warning("global.max_connections = {} is more than {} file descriptors are good for",
                 global.max_connections, descriptors_);

  auto spread = proxy::Spread::create(worker_count_, budget.per_worker);
  if (!spread) return start_failure(spread.error());
  spread_ = std::move(*spread);
  const uint64_t connections = uint64_t{budget.per_worker} * worker_count_;
  std::random_device random;
  sources_ = std::make_unique<KeyCounts>(
      static_cast<uint32_t>(std::min<uint64_t>(connections, kSourcesMost)),
      uint64_t{random()} << 32 | random());

  Changes changes;
  current_ = server_sets_.apply(std::move(prepared), changes, names_.get());
  std::vector<std::vector<ListenChange>> listen = sockets_.commit(std::move(sockets));
  for (uint32_t i = 0; i < worker_count_; ++i) {
    WorkerOptions options{.index = i,
                          .cpu = {},
                          .loop = loop_,
                          .limits = {.connections_max = budget.per_worker,
                                     .spread = worker_count_ > 1 ? spread_.get() : nullptr,
                                     .worker = i,
                                     .sources = sources_.get()},
                          .finished_event = finished_event_};
    if (!cpus.empty()) options.cpu = cpus[i % cpus.size()];
    auto worker = Worker::start(
        options, *log_sink_,
        {.snapshot = current_, .log_format = log_format, .listen_changes = std::move(listen[i])});
    // The process ends, and the kernel closes the sockets of the workers that never were.
    if (!worker) return start_failure(worker.error());
    workers_.push_back(std::move(*worker));
  }
  if (forwarding_ != nullptr) forwarding_->start();
  change_admin(config().global, std::move(admin_socket_));
  return {};
}

void Server::log_start() const {
  log::info("shunt {} started: {}, {}", SHUNT_VERSION, counted(worker_count_, "worker"),
            loop_.to_string());
  const std::string listeners = describe_listeners(config());
  if (may_use_kernel_tls(config())) {
    const io::KernelTls& kernel = io::kernel_tls();
    log::info("ktls = \"auto\": {}{}",
              kernel.available ? "the kernel encrypts large bodies" : "off, because ",
              kernel.reason);
  }
  log::info("generation {}: {}{}{}", generation(), describe(config()),
            listeners.empty() ? "" : ": ", listeners);
}

void Server::drain() {
  if (ending_) return;
  ending_ = true;
  for (const auto& worker : workers_) worker->drain();
}

void Server::stop() {
  ending_ = true;
  stopping_ = true;
  for (const auto& worker : workers_) worker->stop();
}

bool Server::finished() const {
  return std::ranges::all_of(workers_, [](const auto& worker) { return worker->finished(); }) &&
         (stopping_ || forwarding_ == nullptr || forwarding_->active_connections() == 0);
}

bool Server::wait_finished(Duration longest) const {
  // One eventfd counts for all workers; it stays readable once the first has finished.
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + longest;
  while (!finished() && Clock::now() < deadline) {
    uint64_t count = 0;
    if (::read(finished_event_, &count, sizeof count) == sizeof count) continue;
    pollfd event{.fd = finished_event_, .events = POLLIN, .revents = 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    ::poll(&event, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
  }
  return finished();
}

Totals Server::totals() const {
  Totals totals;
  for (const auto& worker : workers_) {
    const Metrics& metrics = worker->metrics();
    totals.requests += metrics.requests.value();
    totals.served.push_back(metrics.connections_accepted.value());
    totals.accepted += totals.served.back();
    totals.open += worker->connections();
    totals.client_idle += metrics.client_idle.value();
    totals.client_evicted += metrics.client_evicted.value();
    totals.source_refused += metrics.source_refused.value();
    totals.upstream_evicted += metrics.upstream_evicted.value();
    totals.retries += metrics.retries.value();
    totals.mirrored += metrics.mirrored.value();
    totals.mirrors_skipped += metrics.mirrors_skipped.value();
    totals.mirrors_failed += metrics.mirrors_failed.value();
    for (size_t i = 0; i < totals.ended.size(); ++i) totals.ended[i] += metrics.ended[i].value();
  }
  return totals;
}

std::string Totals::to_string() const {
  std::string out = fmt::format("{}, {} ({} open), {} retried", counted(requests, "request"),
                                counted(accepted, "connection"), open, retries);
  if (served.size() > 1) out += fmt::format("; connections by worker: {}", fmt::join(served, " "));
  if (mirrored + mirrors_skipped > 0)
    out += fmt::format(", {} mirrored ({} of them failed), {} not mirrored", mirrored,
                       mirrors_failed, mirrors_skipped);
  const auto add = [&out](uint64_t count, std::string_view what) {
    if (count > 0) out += fmt::format("; {} {}", what, count);
  };
  add(client_idle, "client_idle_timeout");
  add(client_evicted, "client_evicted");
  add(source_refused, "source_refused");
  add(upstream_evicted, "upstream_evicted");
  std::string_view separator = "; ended: ";
  for (size_t i = 0; i < ended.size(); ++i) {
    if (ended[i] == 0) continue;
    out += fmt::format("{}{} {}", separator, kReasons[i].name, ended[i]);
    separator = ", ";
  }
  return out;
}

}  // namespace shunt::app
