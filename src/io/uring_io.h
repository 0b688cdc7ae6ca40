// The event loop on io_uring. One per worker, made and used on the worker's thread alone (the
// kernel ties the ring to the thread that made it).
//
// One turn: (a) give buffers back to the kernel -> (b) one io_uring_enter: submit, wait -> (c)
// collect the completions -> (d) read the clock -> (e) dispatch them -> (f) fire the timers.
// Completions go first, so that after a long pause what has arrived in time is not taken for timed
// out; while more of them are there than one turn dispatches, timers wait, for a bounded number of
// turns.
#pragma once

#include <memory>
#include <vector>

#include "core/result.h"
#include "io/buffer_ring.h"
#include "io/event_loop.h"
#include "io/probe.h"

struct io_uring;
struct io_uring_sqe;

namespace shunt::io {

struct UringOptions {
  BufferOptions buffers;
};

// Counted since the start; for metrics and tests.
struct UringCounters {
  uint64_t turns = 0;
  uint64_t completions = 0;
  uint64_t shortages = 0;  // Receives that found no posted buffer, and were tried again.
  uint64_t overflows = 0;  // Times the completion queue was full.
};

class UringIo final : public EventLoop {
  struct Private {
    explicit Private() = default;
  };

 public:
  // `features` as probe() found them. The error: out of memory or descriptors.
  static Result<std::unique_ptr<UringIo>> create(const Features& features,
                                                 const UringOptions& options = {});
  UringIo(Private, std::unique_ptr<io_uring> ring);  // For create().
  UringIo(const UringIo&) = delete;
  UringIo& operator=(const UringIo&) = delete;
  ~UringIo() override;

  void run_once(Duration longest) override;
  uint32_t buffers_held() const override { return buffers_->held(); }
  const UringCounters& counters() const { return counters_; }

  void recv(RecvOp& op, Fd fd) override;
  void poll(Op& op, Fd fd, uint32_t events) override;
  void accept(Op& op, Fd listener) override;
  void connect(Op& op, Fd fd, const SocketAddress& address) override;
  void post(Op& op, Fd fd, int32_t result) override;
  using EventLoop::cancel;
  void cancel(Op& op) override;
  int64_t recv_now(Fd fd, void* data, size_t size, bool peek) override;
  Buffer take_buffer() override;
  void release(Buffer& buffer) override;

 private:
  struct Completion {
    Op* op;
    int32_t result;
    uint32_t flags;
  };

  io_uring_sqe& take_sqe(Op* op);
  void queue_recv(RecvOp& op);
  void queue_accept(Op& op);
  void submit();

  void serve_parked();
  void enter(Duration wait);
  void collect_posted();
  void collect();
  void dispatch();
  void complete(Completion completion);
  bool finish_recv(RecvOp& op, Completion& completion);
  bool accept_goes_on(Op& op, const Completion& completion);

  std::unique_ptr<io_uring> ring_;
  std::unique_ptr<BufferRing> buffers_;
  std::vector<Completion> ready_;  // Collected and not dispatched: those from ready_begin_ on.
  size_t ready_begin_ = 0;
  std::vector<Completion> posted_;  // For the next turn.
  std::vector<RecvOp*> parked_;     // Receives that wait for a buffer, longest first.
  bool submitting_ = false;         // No callback may run while it is set.
  UringCounters counters_;
};

}  // namespace shunt::io
