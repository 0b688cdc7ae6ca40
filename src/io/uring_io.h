// The event loop on io_uring. One per worker, made and used on the worker's thread alone (the
// kernel ties the ring to the thread that made it).
//
// One turn: (a) give buffers back to the kernel -> (b) one io_uring_enter: submit, wait -> (c)
// collect the completions -> (d) read the clock -> (e) dispatch them -> (f) fire the timers.
// Completions go first, so that after a long pause what has arrived in time is not taken for timed
// out; while more of them are there than one turn dispatches, timers wait, for a bounded number of
// turns.
//
// The process must ignore SIGPIPE: splice to a connection that was reset raises it.
#pragma once

#include <memory>
#include <vector>

#include "core/result.h"
#include "io/buffer_ring.h"
#include "io/io.h"
#include "io/probe.h"

struct io_uring;
struct io_uring_sqe;

namespace shunt::io {

struct UringOptions {
  BufferRing::Options buffers;
};

// Counted since the start; for metrics and tests.
struct UringCounters {
  uint64_t turns = 0;
  uint64_t completions = 0;
  uint64_t shortages = 0;  // Receives that found no posted buffer, and were tried again.
  uint64_t overflows = 0;  // Times the completion queue was full.
};

class UringIo final : public Io {
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

  // One turn of the loop. Waits until something completes, a timer is due or `longest` is over.
  void run_once(Duration longest);

  size_t in_flight() const { return in_flight_; }             // Operations submitted.
  uint32_t buffers_held() const { return buffers_->held(); }  // Received and not released.
  const UringCounters& counters() const { return counters_; }

  Instant now() const override { return now_; }
  void recv(RecvOp& op, Fd fd) override;
  void poll(Op& op, Fd fd, uint32_t events) override;
  void accept(Op& op, Fd listener) override;
  void connect(Op& op, Fd fd, const SocketAddress& address) override;
  void post(Op& op, Fd fd, int32_t result) override;
  void cancel(Op& op) override;

  Fd open_socket(const SocketAddress& peer) override;
  SocketAddress peer_address(Fd fd) override;
  SocketAddress local_address(Fd fd) override;
  int64_t recv_now(Fd fd, void* data, size_t size, bool peek) override;
  int64_t send_now(Fd fd, std::span<const iovec> parts, bool more) override;
  int open_pipe(Fd (&ends)[2]) override;
  int64_t splice_in(Fd socket, Fd pipe, size_t size) override;
  int64_t splice_out(Fd pipe, Fd socket, size_t size, bool more) override;
  void shutdown_write(Fd fd) override;
  void close(Fd fd) override;
  void close_reset(Fd fd) override;

  Buffer take_buffer() override;
  void release(Buffer& buffer) override;
  void arm(Timer& timer, Instant deadline) override;
  void cancel(Timer& timer) override;

 private:
  struct Completion {
    Op* op;
    int32_t result;
    uint32_t flags;
  };

  void begin(Op& op, OpKind kind, Fd fd);
  io_uring_sqe& take_sqe(Op* op);
  void queue_recv(RecvOp& op);
  void queue_accept(Op& op);
  void submit();

  void serve_parked();
  Duration time_to_wait(Duration longest) const;
  void enter(Duration wait);
  void collect_posted();
  void collect();
  void dispatch();
  void fire_timers();
  void complete(Completion completion);
  bool finish_recv(RecvOp& op, Completion& completion);
  bool accept_goes_on(Op& op, const Completion& completion);

  std::unique_ptr<io_uring> ring_;
  std::unique_ptr<BufferRing> buffers_;
  Instant now_;
  TimerWheel wheel_;
  std::vector<Completion> ready_;  // Collected and not dispatched: those from ready_begin_ on.
  size_t ready_begin_ = 0;
  std::vector<Completion> posted_;  // For the next turn.
  unsigned timers_held_ = 0;        // Turns in a row in which timers waited for the dispatch.
  std::vector<RecvOp*> parked_;     // Receives that wait for a buffer, longest first.
  size_t in_flight_ = 0;
  bool submitting_ = false;  // No callback may run while it is set.
  UringCounters counters_;
};

}  // namespace shunt::io
