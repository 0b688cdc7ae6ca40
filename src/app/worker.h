// One worker: a thread with its event loop, its sessions and its counters. What workers share is
// the snapshot, the server sets in it and the access log's sink. Everything here is for the main
// thread; the thread's own state is in worker.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "app/listen_sockets.h"
#include "core/metrics.h"
#include "core/result.h"
#include "io/loop_choice.h"
#include "io/mailbox.h"
#include "proxy/access_log.h"
#include "proxy/queue.h"
#include "proxy/service.h"

namespace shunt::app {

struct WorkerOptions {
  uint32_t index = 0;
  std::optional<uint32_t> cpu;  // Pinned to it if given.
  io::LoopChoice loop;
  proxy::ServiceLimits limits;
  int finished_event = -1;  // An eventfd that gets 1 added when the thread has finished.
};

// What a worker serves from now on; a reload sends the next one.
struct Assignment {
  std::shared_ptr<const proxy::Snapshot> snapshot;
  config::AccessLogFormat log_format = config::AccessLogFormat::kJson;
  std::vector<ListenChange> listen_changes;
};

class Worker final : public proxy::Wakeup {
  struct Private {
    explicit Private() = default;
  };

 public:
  // Starts the thread and waits until its loop runs. The error: no loop, no descriptors, no such
  // CPU. `sink` and the eventfd must outlive the worker. On an error the sockets of `first` stay
  // the caller's.
  static Result<std::unique_ptr<Worker>> start(const WorkerOptions& options,
                                               proxy::AccessLogSink& sink, Assignment first);
  Worker(Private, const WorkerOptions& options, proxy::AccessLogSink& sink);  // For start().
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // Requires finished(); joins the thread.

  // None of these waits. Requires can_take(), and not after drain() or stop().
  void assign(Assignment next);
  // Retires the listeners, then ends when the last request in flight has.
  void drain();
  // Ends now.
  void stop();

  // Requests that wait here for a server look again. Any thread.
  void wake() override;

  // Whether every assignment has been taken.
  bool settled() const { return generation() == assigned_; }
  // False for a worker that is stuck: it has left so many assignments lying.
  bool can_take() const { return assigned_ - generation() < kAssignmentsMost; }

  bool finished() const { return finished_.load(std::memory_order_acquire); }
  // Of the snapshot that new requests use.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  // Listening sockets that are closing: their addresses are still in use.
  size_t listeners_leaving() const { return listeners_leaving_.load(std::memory_order_relaxed); }
  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  const Metrics& metrics() const { return metrics_; }

 private:
  class Loop;
  static constexpr uint64_t kAssignmentsMost = 32;

  void post(int32_t kind, void* payload);
  void run(Assignment first, std::promise<Result<void>> started);

  const WorkerOptions options_;
  proxy::AccessLogSink& sink_;
  std::unique_ptr<io::Mailbox> mailbox_;

  // The main thread's: what has been posted.
  uint64_t assigned_ = 0;  // The last generation.
  bool draining_ = false;
  bool stopping_ = false;

  // Written by the worker's thread, read by any.
  Metrics metrics_;
  std::atomic<bool> ringing_{false};  // A wake-up is on its way.
  std::atomic<bool> finished_{false};
  std::atomic<uint64_t> generation_{0};
  std::atomic<size_t> listeners_leaving_{0};
  std::atomic<uint32_t> connections_{0};

  std::thread thread_;
};

}  // namespace shunt::app
