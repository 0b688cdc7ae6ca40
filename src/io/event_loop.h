// What the two event loops over the real kernel have in common: the turn as their owner sees it,
// the clock and the timers, and the calls that do not wait. UringIo and EpollIo add how operations
// are submitted and how their completions are found. One per worker, on its thread alone.
//
// The process must ignore SIGPIPE: splice to a connection that was reset raises it.
#pragma once

#include <memory>

#include "core/result.h"
#include "core/timer_wheel.h"
#include "io/buffer_slabs.h"
#include "io/io.h"
#include "io/loop_choice.h"

namespace shunt::io {

// Completions dispatched in one turn, so that timers and new arrivals have their turn under load.
inline constexpr size_t kDispatchMax = 512;

class EventLoop : public Io {
 public:
  // The loop that was chosen (loop_choice.h). The error: out of memory or descriptors.
  static Result<std::unique_ptr<EventLoop>> create(const LoopChoice& choice,
                                                   const BufferOptions& buffers);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // One turn of the loop: collects what has completed, dispatches it, fires timers. Waits until
  // something completes, a timer is due or `longest` is over.
  virtual void run_once(Duration longest) = 0;

  size_t in_flight() const { return in_flight_; }  // Operations submitted.
  virtual uint32_t buffers_held() const = 0;       // Received and not released.

  Instant now() const final { return now_; }
  void arm(Timer& timer, Instant deadline) final;
  using Io::cancel;
  void cancel(Timer& timer) final;

  Fd open_socket(const SocketAddress& peer) override;
  SocketAddress peer_address(Fd fd) override;
  SocketAddress local_address(Fd fd) override;
  int64_t recv_now(Fd fd, void* data, size_t size, bool peek) override;
  int64_t send_now(Fd fd, std::span<const iovec> parts, bool more) override;
  int open_pipe(Fd (&ends)[2]) override;
  int64_t splice_in(Fd socket, Fd pipe, size_t size) override;
  int64_t splice_out(Fd pipe, Fd socket, size_t size, bool more) override;
  uint64_t unacknowledged(Fd fd) override;
  bool is_writable(Fd fd) override;
  int encrypt_sends(Fd fd, std::span<const char> value) final;
  int64_t send_record(Fd fd, uint8_t type, std::span<const char> bytes) override;
  void shutdown_write(Fd fd) override;
  void close(Fd fd) override;
  void close_reset(Fd fd) final;

 protected:
  EventLoop();

  // Marks `op` as submitted.
  void begin(Op& op, OpKind kind, Fd fd);
  // The last completion of `op`.
  void finish(Op& op, int32_t result);
  // `left`: completions that this turn has not dispatched. Timers wait for them, so that what has
  // arrived in time is not taken for timed out, but not for ever.
  void fire_timers(bool left);
  Duration time_to_wait(Duration longest) const;
  void read_clock();
  // Whether an accept that got `result` goes on: a connection that was gone before it could be
  // accepted does not concern the next one.
  static bool concerns_one_connection(int32_t result);

 private:
  Instant now_;
  TimerWheel wheel_;
  unsigned timers_held_ = 0;  // Turns in a row in which timers waited for the dispatch.
  size_t in_flight_ = 0;
};

}  // namespace shunt::io
