// The event loop on epoll, for kernels and containers that refuse io_uring. One per worker, used on
// its thread alone.
//
// One turn: (a) receives that wait for a buffer and get one -> (b) one epoll_wait -> (c) collect:
// which operations can complete -> (d) read the clock -> (e) dispatch: carry each out, tell its
// owner -> (f) fire the timers, as UringIo does.
//
// A connection is registered once, edge-triggered, with the first operation on it, and stays so
// until this loop closes it: nothing is asked of epoll for one receive. What an edge told is
// remembered until a call would have had to wait. Other descriptors (listeners, an eventfd) may be
// read or closed behind the loop's back: they are registered, level-triggered, while an operation
// waits.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "io/buffer_slabs.h"
#include "io/event_loop.h"

struct epoll_event;  // NOLINT(readability-identifier-naming): the kernel's.

namespace shunt::io {

struct EpollOptions {
  BufferOptions buffers;
};

// Counted since the start; for metrics and tests.
struct EpollCounters {
  uint64_t turns = 0;
  uint64_t completions = 0;
  uint64_t shortages = 0;      // Receives that found no buffer, and waited for one.
  uint64_t registrations = 0;  // Calls of epoll_ctl.
};

class EpollIo final : public EventLoop {
  struct Private {
    explicit Private() = default;
  };

 public:
  // The error: out of descriptors or memory.
  static Result<std::unique_ptr<EpollIo>> create(const EpollOptions& options = {});
  EpollIo(Private, Fd epoll, const EpollOptions& options);  // For create().
  EpollIo(const EpollIo&) = delete;
  EpollIo& operator=(const EpollIo&) = delete;
  ~EpollIo() override;

  void run_once(Duration longest) override;
  uint32_t buffers_held() const override { return slabs_.taken(); }
  const EpollCounters& counters() const { return counters_; }

  void recv(RecvOp& op, Fd fd) override;
  void poll(Op& op, Fd fd, uint32_t events) override;
  void accept(Op& op, Fd listener) override;
  void connect(Op& op, Fd fd, const SocketAddress& address) override;
  void post(Op& op, Fd fd, int32_t result) override;
  using EventLoop::cancel;
  void cancel(Op& op) override;

  Fd open_socket(const SocketAddress& peer) override;
  int64_t recv_now(Fd fd, void* data, size_t size, bool peek) override;
  int64_t send_now(Fd fd, std::span<const iovec> parts, bool more) override;
  int64_t splice_in(Fd socket, Fd pipe, size_t size) override;
  int64_t splice_out(Fd pipe, Fd socket, size_t size, bool more) override;
  bool is_writable(Fd fd) override;
  int64_t send_record(Fd fd, uint8_t type, std::span<const char> bytes) override;
  void close(Fd fd) override;
  Buffer take_buffer() override;
  void release(Buffer& buffer) override;

 private:
  enum class Use : uint8_t { kUnknown, kConnection, kOther };
  struct Descriptor {
    IntrusiveList<Op, ByDescriptor> waiting;
    uint32_t interest = 0;  // The events it is registered for; 0: it is not.
    uint32_t ready = 0;     // Of a connection: what edges have told and no call has used up.
    Use use = Use::kUnknown;
  };
  struct Completion {
    Op* op;
    int32_t result;  // The events that are there, or a negative errno.
  };

  Descriptor& descriptor(Fd fd);
  void forget(Fd fd);
  void wait(Op& op, uint32_t events);
  void complete_later(Op& op, int32_t result);
  int watch(Descriptor& descriptor, Fd fd, uint32_t events);
  void narrow(Descriptor& descriptor, Fd fd);
  int control(Descriptor& descriptor, Fd fd, uint32_t events);
  void used_up(Fd fd, uint32_t events);

  void serve_parked();
  void collect(Duration wait);
  void on_events(Fd fd, uint32_t events);
  void dispatch();
  void complete(const Completion& completion);
  void complete_recv(RecvOp& op);
  void complete_accept(Op& op);
  void end_accept(Op& op, int32_t result);

  const Fd epoll_;
  BufferSlabs slabs_;
  std::unique_ptr<epoll_event[]> events_;  // Of one epoll_wait.
  std::deque<Descriptor> descriptors_;     // By their number. Grows, and moves none.
  std::vector<Completion> ready_;          // Collected and not dispatched.
  std::vector<RecvOp*> parked_;            // Receives that wait for a buffer, longest first.
  bool collecting_ = false;                // No callback may run while it is set.
  EpollCounters counters_;
};

}  // namespace shunt::io
