// The worker's thread: builds its loop (the kernel ties a ring to the thread that made it), serves,
// and takes everything down again in the order in which nothing is in use any more.
#include "app/worker.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "app/worker_listeners.h"
#include "core/assert.h"
#include "core/log.h"
#include "io/event_loop.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHousekeeping = 1s;  // The access log is never older than this.
constexpr Duration kTurnLongest = 1s;
constexpr Duration kLostLogReport = 60s;

// Kinds of mailbox messages. Only kAssign has a payload, an Assignment that the receiver owns.
constexpr int32_t kAssign = 1;
constexpr int32_t kDrain = 2;
constexpr int32_t kStop = 3;
constexpr int32_t kWake = 4;
constexpr size_t kMailboxSize = 64;

Result<void> pin_to(uint32_t cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (cpu < CPU_SETSIZE) CPU_SET(cpu, &cpus);
  const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof cpus, &cpus);
  if (error == 0) return {};
  return fail(fmt::format("global.cpu_affinity: this process may not use CPU {}: {}", cpu,
                          std::strerror(error)),
              error);
}

// An exchange holds up to three receive buffers (its request, what is pipelined behind it, the
// answer), an idle server connection none: with this many, the exchanges of all connections at once
// cannot keep each other waiting for one.
io::BufferOptions buffer_options(const proxy::ServiceLimits& limits) {
  const uint64_t wanted = uint64_t{limits.connections_max} * 3 + io::BufferSlabs::kSlab;
  io::BufferOptions options;
  options.buffers_max =
      static_cast<uint32_t>(std::min<uint64_t>(wanted, io::BufferSlabs::kBuffersLimit));
  return options;
}

}  // namespace

// Lives on the worker's thread, from its start to its end. Members are destroyed in the reverse
// order of their use.
class Worker::Loop {
 public:
  Loop(Worker& worker, std::unique_ptr<io::EventLoop> io)
      : worker_(worker),
        io_(std::move(io)),
        log_(worker.sink_, config::AccessLogFormat::kJson),
        service_(
            proxy::Service::create(*io_, worker.metrics_, log_, worker.options_.limits, &worker_)),
        listeners_(*io_, *service_) {
    bind<&Loop::on_housekeeping>(housekeeping_, *this);
  }

  void begin(const Assignment& first) {
    worker_.mailbox_->listen(*io_, &Loop::on_message, this);
    io_->arm(housekeeping_, io_->now() + kHousekeeping);
    take(first);
  }

  void run() {
    while (!over()) turn();
    io_->cancel(housekeeping_);
    worker_.mailbox_->stop();
    while (worker_.mailbox_->listening()) turn();
    log_.flush();
    publish();
  }

 private:
  enum class Phase : uint8_t {
    kServing,
    kRetiring,  // Draining: the listeners let in who has begun to connect.
    kDraining,  // The service answers what it has.
    kStopping,
  };

  void turn() {
    io_->run_once(kTurnLongest);
    if (phase_ == Phase::kRetiring && listeners_.empty()) {
      phase_ = Phase::kDraining;
      service_->drain();
    }
    publish();
  }

  bool over() const { return phase_ != Phase::kServing && listeners_.empty() && service_->idle(); }

  void publish() {
    worker_.listeners_leaving_.store(listeners_.leaving(), std::memory_order_relaxed);
    worker_.connections_.store(service_->connections(), std::memory_order_relaxed);
  }

  void take(const Assignment& assignment) {
    // First the snapshot: indexes in the changes are those of its listeners.
    service_->use(assignment.snapshot);
    log_.set_format(assignment.log_format);
    for (const ListenChange& change : assignment.listen_changes) listeners_.apply(change);
    // Who sees the generation sees the sockets that leave with it.
    publish();
    worker_.generation_.store(assignment.snapshot->generation, std::memory_order_release);
  }

  static void on_message(void* owner, const io::Message& message) {
    static_cast<Loop*>(owner)->on_message(message);
  }

  void on_message(const io::Message& message) {
    switch (message.kind) {
      case kAssign: {
        const std::unique_ptr<Assignment> next(static_cast<Assignment*>(message.payload));
        SHUNT_ASSERT(phase_ == Phase::kServing);
        take(*next);
        return;
      }
      case kDrain:
        if (phase_ != Phase::kServing) return;
        phase_ = Phase::kRetiring;
        listeners_.retire_all();
        return;
      case kStop:
        if (phase_ == Phase::kStopping) return;
        phase_ = Phase::kStopping;
        listeners_.close_all();
        service_->stop();
        return;
      case kWake:
        worker_.ringing_.store(false);
        service_->on_wake();
        return;
      default:
        SHUNT_ASSERT(false);
    }
  }

  void on_housekeeping() {
    log_.flush();
    if (worker_.options_.index == 0) report_lost_lines();
    io_->arm(housekeeping_, io_->now() + kHousekeeping);
  }

  // One worker speaks for all, and not more than once a minute: the disk is full, and the process
  // log may be on it too.
  void report_lost_lines() {
    const proxy::AccessLogSink::Lost lost = worker_.sink_.lost();
    if (lost.lines == lost_reported_ || io_->now() < lost_report_due_) return;
    log::warning("access log: {} lines dropped: {}", lost.lines - lost_reported_,
                 std::strerror(lost.sys));
    lost_reported_ = lost.lines;
    lost_report_due_ = io_->now() + kLostLogReport;
  }

  Worker& worker_;
  std::unique_ptr<io::EventLoop> io_;
  proxy::AccessLog log_;
  std::unique_ptr<proxy::Service> service_;
  WorkerListeners listeners_;
  Timer housekeeping_;
  Phase phase_ = Phase::kServing;
  uint64_t lost_reported_ = 0;
  Instant lost_report_due_{};
};

Result<std::unique_ptr<Worker>> Worker::start(const WorkerOptions& options,
                                              proxy::AccessLogSink& sink, Assignment first) {
  auto worker = std::make_unique<Worker>(Private(), options, sink);
  Result<std::unique_ptr<io::Mailbox>> mailbox = io::Mailbox::create(kMailboxSize);
  if (!mailbox) {
    worker->finished_ = true;
    return std::unexpected(mailbox.error());
  }
  worker->mailbox_ = std::move(*mailbox);
  worker->assigned_ = first.snapshot->generation;

  std::promise<Result<void>> started;
  std::future<Result<void>> outcome = started.get_future();
  worker->thread_ = std::thread(&Worker::run, worker.get(), std::move(first), std::move(started));
  const Result<void> result = outcome.get();
  if (!result) {
    // The thread ends by itself; its end is what the destructor waits for.
    worker->thread_.join();
    return std::unexpected(result.error());
  }
  return worker;
}

Worker::Worker(Private, const WorkerOptions& options, proxy::AccessLogSink& sink)
    : options_(options), sink_(sink) {}

Worker::~Worker() {
  if (thread_.joinable()) thread_.join();
  SHUNT_ASSERT(finished());
}

void Worker::run(Assignment first, std::promise<Result<void>> started) {
  ::pthread_setname_np(::pthread_self(), fmt::format("shunt-{}", options_.index).c_str());
  const Result<void> pinned = options_.cpu ? pin_to(*options_.cpu) : Result<void>();
  auto io = pinned ? io::EventLoop::create(options_.loop, buffer_options(options_.limits))
                   : std::unexpected(pinned.error());
  if (!io) {
    finished_.store(true, std::memory_order_release);
    started.set_value(std::unexpected(io.error()));
    return;
  }
  {
    Loop loop(*this, std::move(*io));
    loop.begin(first);
    first = {};  // Its snapshot lives as long as its generation, not as this thread.
    started.set_value({});
    loop.run();
  }
  finished_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  const ssize_t written = ::write(options_.finished_event, &one, sizeof one);
  SHUNT_ASSERT(written == sizeof one);
}

void Worker::assign(Assignment next) {
  SHUNT_ASSERT(can_take() && !draining_ && !stopping_);
  assigned_ = next.snapshot->generation;
  post(kAssign, std::make_unique<Assignment>(std::move(next)).release());
}

void Worker::drain() {
  if (std::exchange(draining_, true)) return;
  post(kDrain, nullptr);
}

void Worker::stop() {
  if (std::exchange(stopping_, true)) return;
  post(kStop, nullptr);
}

void Worker::wake() {
  if (!ringing_.exchange(true)) post(kWake, nullptr);
}

// The mailbox has room for all assignments that may lie in it, one drain, one stop and one wake-up:
// waiting for a worker that is stuck would stop the sender too.
void Worker::post(int32_t kind, void* payload) {
  static_assert(kAssignmentsMost + 3 <= kMailboxSize);
  const bool sent = mailbox_->send({.kind = kind, .payload = payload});
  SHUNT_ASSERT(sent);
}

}  // namespace shunt::app
