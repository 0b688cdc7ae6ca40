// The loop: operations in, completions out. The calls that do not wait are in event_loop.cpp.
#include "io/uring_io.h"

#include <fmt/format.h>
#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/assert.h"

namespace shunt::io {
namespace {

constexpr unsigned kSubmissions = 512;
// Multishot accepts complete many times for one submission, so the completion queue is the larger;
// one that overflows still loses nothing, but costs.
constexpr unsigned kCompletions = 8192;

// Submissions that a dispatch may pile up before they are handed to the kernel: connects among them
// should not wait for the end of a long turn.
constexpr unsigned kSubmitEarly = 128;

// Tries to hand over submissions while the kernel is short of memory, before that counts as the
// end.
constexpr int kSubmitTries = 1000;

// Fired-and-forgotten submissions (cancels) complete with a null user_data, if at all.
constexpr uint64_t user_data(const Op* op) {
  return reinterpret_cast<uintptr_t>(op);
}

// Answers of io_uring_enter after which the loop goes on: time is up, a signal, a completion queue
// that must be emptied first, no memory at the moment.
bool survivable(int result) {
  return result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
         result == -EAGAIN;
}

}  // namespace

Result<std::unique_ptr<UringIo>> UringIo::create(const Features& features,
                                                 const UringOptions& options) {
  io_uring_params params{};
  params.flags = features.setup_flags | IORING_SETUP_CQSIZE;
  params.cq_entries = kCompletions;
  auto ring = std::make_unique<io_uring>();
  const int result = io_uring_queue_init_params(kSubmissions, ring.get(), &params);
  if (result < 0) {
    std::string text = fmt::format("io_uring: {}", std::strerror(-result));
    if (result == -ENOMEM) text += " (raise `ulimit -l` or the container's memory limit)";
    return fail(std::move(text), -result);
  }
  // Spares each enter a look-up of the descriptor; without it everything works just as well.
  io_uring_register_ring_fd(ring.get());

  auto io = std::make_unique<UringIo>(Private(), std::move(ring));
  auto buffers = BufferRing::create(*io->ring_, options.buffers);
  if (!buffers) return std::unexpected(std::move(buffers).error());
  io->buffers_ = std::move(*buffers);
  return io;
}

UringIo::UringIo(Private, std::unique_ptr<io_uring> ring) : ring_(std::move(ring)) {
  ready_.reserve(kCompletions);
}

// Before the buffers, which the kernel may write to until the ring is gone.
UringIo::~UringIo() {
  io_uring_queue_exit(ring_.get());
}

// --- Operations ---

void UringIo::recv(RecvOp& op, Fd fd) {
  SHUNT_ASSERT(!op.buffer);
  begin(op, OpKind::kRecv, fd);
  queue_recv(op);
}

void UringIo::poll(Op& op, Fd fd, uint32_t events) {
  begin(op, OpKind::kPoll, fd);
  io_uring_prep_poll_add(&take_sqe(&op), fd, events);
}

void UringIo::accept(Op& op, Fd listener) {
  begin(op, OpKind::kAccept, listener);
  queue_accept(op);
}

void UringIo::connect(Op& op, Fd fd, const SocketAddress& address) {
  begin(op, OpKind::kConnect, fd);
  io_uring_prep_connect(&take_sqe(&op), fd, address.data(), address.size());
}

void UringIo::post(Op& op, Fd fd, int32_t result) {
  begin(op, OpKind::kPost, fd);
  op.arrived = true;
  posted_.push_back({&op, result, 0});
}

void UringIo::cancel(Op& op) {
  if (!op.submitted || std::exchange(op.cancelled, true)) return;
  if (op.kind == OpKind::kPost) return;  // It completes at once anyway.
  // The kernel does not know a parked receive. A shortage with very many of them is rare enough for
  // a search.
  const auto parked = op.kind == OpKind::kRecv ? std::ranges::find(parked_, &op) : parked_.end();
  if (parked != parked_.end()) {
    parked_.erase(parked);
    ready_.push_back({&op, -ECANCELED, 0});
    return;
  }
  // If the operation completes first, this finds nothing. It cannot hit a later operation at the
  // same address: submissions are executed in order.
  io_uring_sqe& sqe = take_sqe(nullptr);
  io_uring_prep_cancel64(&sqe, user_data(&op), 0);
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

// A cleared submission for `op`; the preparing call of liburing leaves its user_data alone.
io_uring_sqe& UringIo::take_sqe(Op* op) {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
  if (sqe == nullptr) {
    submit();
    sqe = io_uring_get_sqe(ring_.get());
    SHUNT_ASSERT(sqe != nullptr);
  }
  sqe->user_data = user_data(op);
  return *sqe;
}

// The first attempt waits for data: after a message from the peer was handled, there seldom is any.
void UringIo::queue_recv(RecvOp& op) {
  io_uring_sqe& sqe = take_sqe(&op);
  io_uring_prep_recv(&sqe, op.fd, nullptr, 0, 0);
  sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
  sqe.flags |= IOSQE_BUFFER_SELECT;
  sqe.buf_group = BufferRing::kGroup;
}

void UringIo::queue_accept(Op& op) {
  io_uring_prep_multishot_accept(&take_sqe(&op), op.fd, nullptr, nullptr,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// Hands over what is queued without waiting. What completes meanwhile is collected, not dispatched.
void UringIo::submit() {
  submitting_ = true;
  for (int tries = 0; io_uring_sq_ready(ring_.get()) > 0; ++tries) {
    const int result = io_uring_submit(ring_.get());
    SHUNT_ASSERT(survivable(result));
    SHUNT_ASSERT(tries < kSubmitTries);
    if (result >= 0) continue;
    collect();
    io_uring_get_events(ring_.get());
  }
  submitting_ = false;
}

// --- The turn ---

void UringIo::run_once(Duration longest) {
  ++counters_.turns;
  serve_parked();
  const bool work_left = ready_begin_ < ready_.size() || !posted_.empty();
  enter(work_left ? Duration::zero() : time_to_wait(longest));
  collect_posted();
  collect();
  read_clock();
  dispatch();
  fire_timers(!ready_.empty());
}

// As many receives as there are buffers; the others keep waiting.
void UringIo::serve_parked() {
  buffers_->refill();
  if (parked_.empty()) return;
  const size_t count = std::min<size_t>(parked_.size(), buffers_->posted());
  for (size_t i = 0; i < count; ++i) queue_recv(*parked_[i]);
  parked_.erase(parked_.begin(), parked_.begin() + static_cast<ptrdiff_t>(count));
}

void UringIo::enter(Duration wait) {
  int result;
  if (wait == Duration::zero() || io_uring_cq_ready(ring_.get()) > 0) {
    result = io_uring_submit_and_get_events(ring_.get());
  } else {
    __kernel_timespec timeout{.tv_sec = wait.count() / 1'000'000'000,
                              .tv_nsec = wait.count() % 1'000'000'000};
    io_uring_cqe* ignored = nullptr;
    result = io_uring_submit_and_wait_timeout(ring_.get(), &ignored, 1, &timeout, nullptr);
  }
  SHUNT_ASSERT(survivable(result));
}

void UringIo::collect_posted() {
  ready_.insert(ready_.end(), posted_.begin(), posted_.end());
  posted_.clear();
}

void UringIo::collect() {
  counters_.overflows += io_uring_cq_has_overflow(ring_.get()) ? 1 : 0;
  unsigned head;
  unsigned count = 0;
  io_uring_cqe* cqe;
  io_uring_for_each_cqe(ring_.get(), head, cqe) {
    ++count;
    if (cqe->flags & IORING_CQE_F_BUFFER) buffers_->on_consumed();
    if (cqe->user_data == 0) continue;
    Op* op = static_cast<Op*>(io_uring_cqe_get_data(cqe));
    op->arrived = true;
    ready_.push_back({op, cqe->res, cqe->flags});
  }
  io_uring_cq_advance(ring_.get(), count);
}

void UringIo::dispatch() {
  for (size_t left = kDispatchMax; left > 0 && ready_begin_ < ready_.size(); --left) {
    complete(ready_[ready_begin_++]);
    if (io_uring_sq_ready(ring_.get()) >= kSubmitEarly) submit();
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(ready_begin_));
  ready_begin_ = 0;
}

// By value: a callback may grow ready_.
void UringIo::complete(Completion completion) {
  SHUNT_ASSERT(!submitting_);
  Op& op = *completion.op;
  SHUNT_ASSERT(op.submitted);
  ++counters_.completions;
  bool more = false;
  if (op.kind == OpKind::kRecv) {
    if (!finish_recv(static_cast<RecvOp&>(op), completion)) return;
  } else if (op.kind == OpKind::kAccept) {
    more = accept_goes_on(op, completion);
    if (more && completion.result < 0) return;
  }
  if (!more) return finish(op, completion.result);
  op.arrived = false;
  op.on_done(op, completion.result);
}

// Whether `op` is done; if not, it waits for a buffer.
bool UringIo::finish_recv(RecvOp& op, Completion& completion) {
  if (completion.flags & IORING_CQE_F_BUFFER) {
    const uint32_t id = completion.flags >> IORING_CQE_BUFFER_SHIFT;
    if (completion.result > 0) {
      op.buffer = buffers_->take(id, static_cast<uint32_t>(completion.result));
    } else {
      buffers_->put(id);
    }
    return true;
  }
  SHUNT_ASSERT(completion.result <= 0);
  if (completion.result != -ENOBUFS) return true;
  ++counters_.shortages;
  buffers_->on_shortage();
  if (op.cancelled) {
    completion.result = -ECANCELED;
    return true;
  }
  parked_.push_back(&op);
  return false;
}

// The kernel ends a multishot accept on any error, and when the completion queue overflows. Only
// what concerns the listener itself is for its owner.
bool UringIo::accept_goes_on(Op& op, const Completion& completion) {
  if (completion.flags & IORING_CQE_F_MORE) return true;
  if (op.cancelled || !concerns_one_connection(completion.result)) return false;
  queue_accept(op);
  return true;
}

// --- Calls ---

int64_t UringIo::recv_now(Fd fd, void* data, size_t size, bool peek) {
  const int64_t result = EventLoop::recv_now(fd, data, size, peek);
  // Without deferred task work (kernels before 6.1) any system call may let a submitted receive
  // take bytes out of the socket; who looks whether there are any finds its operation `arrived`.
  if (peek) collect();
  return result;
}

Buffer UringIo::take_buffer() {
  return buffers_->take_unused();
}

void UringIo::release(Buffer& buffer) {
  SHUNT_ASSERT(buffer);
  buffers_->put(buffer.id);
  buffer = {};
}

}  // namespace shunt::io
