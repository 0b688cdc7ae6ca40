// The loop: who waits for what, and what an event makes of it. See the header.
#include "io/epoll_io.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/assert.h"

namespace shunt::io {
namespace {

// The names of poll and epoll for the same events are used as one.
static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR);
static_assert(EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP);

constexpr int kEventsMax = 512;  // Of one epoll_wait.

// Clients accepted before others have their turn; those left over wake the loop again.
constexpr int kAcceptsMax = 128;

constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;
constexpr uint32_t kReadable = EPOLLIN | EPOLLRDHUP;

// Why a connect that did not complete at once has completed: 0 or a negative errno.
int32_t connect_result(Fd fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return -errno;
  return -error;
}

bool is_socket(Fd fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

size_t size_of(std::span<const iovec> parts) {
  size_t total = 0;
  for (const iovec& part : parts) total += part.iov_len;
  return total;
}

}  // namespace

Result<std::unique_ptr<EpollIo>> EpollIo::create(const EpollOptions& options) {
  const Fd epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return fail(fmt::format("epoll: {}", std::strerror(errno)), errno);
  return std::make_unique<EpollIo>(Private(), epoll, options);
}

EpollIo::EpollIo(Private, Fd epoll, const EpollOptions& options)
    : epoll_(epoll), slabs_(options.buffers), events_(std::make_unique<epoll_event[]>(kEventsMax)) {
  ready_.reserve(kEventsMax);
}

EpollIo::~EpollIo() {
  ::close(epoll_);
}

// --- Operations ---

void EpollIo::recv(RecvOp& op, Fd fd) {
  SHUNT_ASSERT(!op.buffer);
  begin(op, OpKind::kRecv, fd);
  descriptor(fd).use = Use::kConnection;
  wait(op, kReadable);
}

void EpollIo::poll(Op& op, Fd fd, uint32_t events) {
  begin(op, OpKind::kPoll, fd);
  Descriptor& polled = descriptor(fd);
  if (polled.use == Use::kUnknown) polled.use = is_socket(fd) ? Use::kConnection : Use::kOther;
  const uint32_t asked = events | kAlways;
  // What an edge told may have been used up by a call that did not have to wait. Asking costs less
  // than a completion that is none.
  if ((polled.ready & asked) != 0) {
    pollfd state{.fd = fd, .events = static_cast<int16_t>(events), .revents = 0};
    ::poll(&state, 1, 0);
    polled.ready = (polled.ready & ~asked) | static_cast<uint16_t>(state.revents);
  }
  wait(op, events);
}

// Level-triggered, so that clients left in the queue wake the loop again. A unix socket's queue is
// shared by all workers: one of them is woken.
void EpollIo::accept(Op& op, Fd listener) {
  begin(op, OpKind::kAccept, listener);
  SHUNT_ASSERT(descriptor(listener).use != Use::kConnection);
  descriptor(listener).use = Use::kOther;
  wait(op, EPOLLIN | EPOLLEXCLUSIVE);
}

// The socket is registered only now: one that is not connecting yet would report a hang-up.
void EpollIo::connect(Op& op, Fd fd, const SocketAddress& address) {
  begin(op, OpKind::kConnect, fd);
  descriptor(fd).use = Use::kConnection;
  if (::connect(fd, address.data(), address.size()) == 0) return complete_later(op, 0);
  if (errno != EINPROGRESS && errno != EINTR) return complete_later(op, -errno);
  // The receive that follows waits for nothing else then.
  const int error = watch(descriptor(fd), fd, kReadable | EPOLLOUT);
  if (error < 0) return complete_later(op, error);
  wait(op, EPOLLOUT);
}

void EpollIo::post(Op& op, Fd fd, int32_t result) {
  begin(op, OpKind::kPost, fd);
  complete_later(op, result);
}

void EpollIo::cancel(Op& op) {
  if (!op.submitted || std::exchange(op.cancelled, true)) return;
  if (op.linked() && !op.arrived) {
    Descriptor& waited_for = descriptor(op.fd);
    IntrusiveList<Op, ByDescriptor>::remove(op);
    if (waited_for.waiting.empty()) narrow(waited_for, op.fd);
    return complete_later(op, -ECANCELED);
  }
  // A shortage of buffers with very many that wait for one is rare enough for a search.
  const auto parked = op.kind == OpKind::kRecv ? std::ranges::find(parked_, &op) : parked_.end();
  if (parked == parked_.end()) return;  // It completes in this turn or the next.
  parked_.erase(parked);
  ready_.push_back({&op, -ECANCELED});
}

EpollIo::Descriptor& EpollIo::descriptor(Fd fd) {
  const auto index = static_cast<size_t>(fd);
  if (index >= descriptors_.size()) descriptors_.resize(index + 1);
  return descriptors_[index];
}

// What is known of the number is not true of the descriptor that has it from now on: it was made
// just now, or is closed. The kernel forgets a registration with the last descriptor of a socket,
// and that of a connection has no other.
void EpollIo::forget(Fd fd) {
  Descriptor& forgotten = descriptor(fd);
  SHUNT_ASSERT(forgotten.waiting.empty());
  forgotten.interest = 0;
  forgotten.ready = 0;
  forgotten.use = Use::kUnknown;
}

void EpollIo::wait(Op& op, uint32_t events) {
  op.events = events | kAlways;
  Descriptor& waited_for = descriptor(op.fd);
  const uint32_t ready = waited_for.ready & op.events;
  if (ready != 0) return complete_later(op, static_cast<int32_t>(ready));
  const int error = watch(waited_for, op.fd, events);
  if (error < 0) return complete_later(op, error);
  waited_for.waiting.push_back(op);
}

void EpollIo::complete_later(Op& op, int32_t result) {
  op.arrived = true;
  ready_.push_back({&op, result});
}

// --- Registration ---

int EpollIo::watch(Descriptor& descriptor, Fd fd, uint32_t events) {
  const uint32_t wanted = descriptor.interest | events | kAlways;
  return wanted == descriptor.interest ? 0 : control(descriptor, fd, wanted);
}

// A level-triggered registration for more than is waited for would wake the loop for nothing.
void EpollIo::narrow(Descriptor& descriptor, Fd fd) {
  if (descriptor.use == Use::kConnection || descriptor.interest == 0) return;
  uint32_t wanted = 0;
  descriptor.waiting.each([&wanted](const Op& op) { wanted |= op.events; });
  if (wanted != descriptor.interest) control(descriptor, fd, wanted);
}

// Registers for `events`, none of which ends the registration. 0 or a negative errno.
int EpollIo::control(Descriptor& descriptor, Fd fd, uint32_t events) {
  ++counters_.registrations;
  int call = EPOLL_CTL_MOD;
  if (descriptor.interest == 0) call = EPOLL_CTL_ADD;
  if (events == 0) call = EPOLL_CTL_DEL;
  epoll_event event{};
  event.events = descriptor.use == Use::kConnection ? events | EPOLLET : events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_, call, fd, &event) != 0) return -errno;
  descriptor.interest = events;
  return 0;
}

void EpollIo::used_up(Fd fd, uint32_t events) {
  const auto index = static_cast<size_t>(fd);
  if (index < descriptors_.size()) descriptors_[index].ready &= ~events;
}

// --- The turn ---

void EpollIo::run_once(Duration longest) {
  ++counters_.turns;
  serve_parked();
  collect(ready_.empty() ? time_to_wait(longest) : Duration::zero());
  read_clock();
  const bool left = ready_.size() > kDispatchMax;
  dispatch();
  fire_timers(left);
}

// As many receives as there are buffers; the others keep waiting.
void EpollIo::serve_parked() {
  const size_t count = std::min<size_t>(parked_.size(), slabs_.left());
  for (size_t i = 0; i < count; ++i) ready_.push_back({parked_[i], EPOLLIN});
  parked_.erase(parked_.begin(), parked_.begin() + static_cast<ptrdiff_t>(count));
}

void EpollIo::collect(Duration wait) {
  const auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  collecting_ = true;
  const int count = ::epoll_wait(epoll_, events_.get(), kEventsMax,
                                 static_cast<int>(std::min<int64_t>(wait_ms, INT32_MAX)));
  SHUNT_ASSERT(count >= 0 || errno == EINTR);
  for (size_t i = 0; std::cmp_less(i, count); ++i) {
    on_events(events_[i].data.fd, events_[i].events);
  }
  collecting_ = false;
}

void EpollIo::on_events(Fd fd, uint32_t events) {
  Descriptor& changed = descriptor(fd);
  if (changed.use == Use::kConnection) changed.ready |= events;
  changed.waiting.each([this, events](Op& op) {
    const uint32_t there = events & op.events;
    if (there == 0 || op.arrived) return;
    // An accept stays where it is: more clients may be waiting than it takes at a time.
    if (op.kind != OpKind::kAccept) IntrusiveList<Op, ByDescriptor>::remove(op);
    complete_later(op, static_cast<int32_t>(there));
  });
  narrow(changed, fd);
}

// What callbacks start is for the next turn, even if it could complete at once.
void EpollIo::dispatch() {
  const size_t count = std::min(ready_.size(), kDispatchMax);
  for (size_t i = 0; i < count; ++i) {
    const Completion next = ready_[i];  // A copy: callbacks may grow ready_.
    complete(next);
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(count));
}

void EpollIo::complete(const Completion& completion) {
  SHUNT_ASSERT(!collecting_);
  Op& op = *completion.op;
  SHUNT_ASSERT(op.submitted);
  SHUNT_ASSERT(op.arrived);
  ++counters_.completions;
  switch (op.kind) {
    case OpKind::kRecv:
      if (completion.result >= 0) return complete_recv(static_cast<RecvOp&>(op));
      break;
    case OpKind::kAccept:
      if (completion.result >= 0) return complete_accept(op);
      break;
    case OpKind::kConnect:
      if (completion.result > 0) return finish(op, connect_result(op.fd));
      break;
    case OpKind::kPoll:
    case OpKind::kPost:
      break;
    case OpKind::kNone:
      SHUNT_ASSERT(false);
  }
  finish(op, completion.result);
}

// The bytes are taken out of the socket only now, so that they go from the cache to their owner.
void EpollIo::complete_recv(RecvOp& op) {
  if (op.cancelled) return finish(op, -ECANCELED);
  const auto id = slabs_.take();
  if (!id) {
    ++counters_.shortages;
    parked_.push_back(&op);
    return;
  }
  Buffer buffer = slabs_.buffer(*id, 0);
  const int64_t received = EventLoop::recv_now(op.fd, buffer.data, buffer.capacity, false);
  if (received > 0) {
    buffer.size = static_cast<uint32_t>(received);
    op.buffer = buffer;
    // All that was there: what comes from now on makes another edge. An end of the stream, which is
    // remembered by another event, may have made its edge already.
    if (buffer.size < buffer.capacity) used_up(op.fd, EPOLLIN);
    return finish(op, static_cast<int32_t>(received));
  }
  slabs_.put(*id);
  if (received != -EAGAIN) return finish(op, static_cast<int32_t>(received));
  op.arrived = false;
  used_up(op.fd, kReadable | kAlways);
  wait(op, kReadable);
}

void EpollIo::complete_accept(Op& op) {
  for (int i = 0; i < kAcceptsMax && !op.cancelled; ++i) {
    const Fd fd = ::accept4(op.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      forget(fd);
      op.on_done(op, fd);
      continue;
    }
    const int error = -errno;
    if (error == -EAGAIN) break;
    if (!concerns_one_connection(error)) return end_accept(op, error);
  }
  if (op.cancelled) return end_accept(op, -ECANCELED);
  op.arrived = false;
}

void EpollIo::end_accept(Op& op, int32_t result) {
  Descriptor& listener = descriptor(op.fd);
  IntrusiveList<Op, ByDescriptor>::remove(op);
  narrow(listener, op.fd);
  finish(op, result);
}

// --- Calls ---

Fd EpollIo::open_socket(const SocketAddress& peer) {
  const Fd fd = EventLoop::open_socket(peer);
  if (fd >= 0) forget(fd);
  return fd;
}

// As in complete_recv(), less than asked for is all that was there.
int64_t EpollIo::recv_now(Fd fd, void* data, size_t size, bool peek) {
  const int64_t result = EventLoop::recv_now(fd, data, size, peek);
  const bool drained = result > 0 && !peek && static_cast<size_t>(result) < size;
  if (result == -EAGAIN || drained) used_up(fd, EPOLLIN);
  return result;
}

// A send that was cut short has found no room for the rest.
int64_t EpollIo::send_now(Fd fd, std::span<const iovec> parts, bool more) {
  const int64_t result = EventLoop::send_now(fd, parts, more);
  if (result == -EAGAIN || (result >= 0 && static_cast<size_t>(result) < size_of(parts)))
    used_up(fd, EPOLLOUT);
  return result;
}

int64_t EpollIo::splice_in(Fd socket, Fd pipe, size_t size) {
  const int64_t result = EventLoop::splice_in(socket, pipe, size);
  if (result == -EAGAIN) used_up(socket, EPOLLIN);
  return result;
}

int64_t EpollIo::splice_out(Fd pipe, Fd socket, size_t size, bool more) {
  const int64_t result = EventLoop::splice_out(pipe, socket, size, more);
  if (result == -EAGAIN) used_up(socket, EPOLLOUT);
  return result;
}

bool EpollIo::is_writable(Fd fd) {
  const bool writable = EventLoop::is_writable(fd);
  if (!writable) used_up(fd, EPOLLOUT);
  return writable;
}

int64_t EpollIo::send_record(Fd fd, uint8_t type, std::span<const char> bytes) {
  const int64_t result = EventLoop::send_record(fd, type, bytes);
  if (result == -EAGAIN) used_up(fd, EPOLLOUT);
  return result;
}

void EpollIo::close(Fd fd) {
  SHUNT_ASSERT(fd >= 0);
  forget(fd);
  EventLoop::close(fd);
}

Buffer EpollIo::take_buffer() {
  const auto id = slabs_.take();
  return id ? slabs_.buffer(*id, 0) : Buffer{};
}

void EpollIo::release(Buffer& buffer) {
  SHUNT_ASSERT(buffer);
  slabs_.put(buffer.id);
  buffer = {};
}

}  // namespace shunt::io
