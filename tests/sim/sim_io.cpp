// The simulated loop: operations and their completion, time, and the checks. The calls that do not
// wait are in sim_calls.cpp.
#include "sim/sim_io.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace shunt::sim {

using io::Op;
using io::OpKind;
using io::RecvOp;

namespace {

// Steps without an end in sight after which a run counts as endless.
constexpr int kStepsMax = 1'000'000;

constexpr uint32_t kAlwaysReported = POLLERR | POLLHUP;

}  // namespace

SimIo::SimIo(const SimOptions& options) : options_(options), random_(options.seed) {}

SimIo::~SimIo() = default;

// --- The world ---

SimPeer& SimIo::connect(Fd listener) {
  const uint16_t port = next_port_++;
  return connect(listener, SocketAddress(IpAddress::from_v4(0xc6336401), port));  // 198.51.100.1
}

SimPeer& SimIo::connect(Fd listener, const SocketAddress& from) {
  Descriptor& descriptor = get(listener, Kind::kListener, "connect of a client");
  SimPeer& peer = new_peer(from, descriptor.address);
  descriptor.queue.push_back(&peer);
  return peer;
}

void SimIo::serve(const SocketAddress& address, std::function<void(SimPeer&)> on_connect) {
  std::erase_if(origins_, [&](const auto& entry) { return entry.first == address; });
  origins_.push_back({address, {Origin::Answer::kServe, std::move(on_connect)}});
}

void SimIo::refuse(const SocketAddress& address) {
  std::erase_if(origins_, [&](const auto& entry) { return entry.first == address; });
}

void SimIo::black_hole(const SocketAddress& address) {
  refuse(address);
  origins_.push_back({address, {Origin::Answer::kNever, {}}});
}

void SimIo::fail_accept(int error, int count) {
  accept_failures_ = {error, count};
}

void SimIo::fail_connect(int error, int count) {
  connect_failures_ = {error, count};
}

std::optional<int> SimIo::Failures::take() {
  if (count == 0) return std::nullopt;
  --count;
  return error;
}

// --- Operations ---

void SimIo::recv(RecvOp& op, Fd fd) {
  connected(fd, "recv");
  if (op.buffer) violation("recv with an operation that still holds a buffer");
  for (const Operation& other : operations_)
    if (other.fd == fd && other.kind == OpKind::kRecv)
      violation(fmt::format("two receives on descriptor {}", fd));
  begin(op, OpKind::kRecv, fd);
}

void SimIo::poll(Op& op, Fd fd, uint32_t events) {
  get(fd, "poll");
  begin(op, OpKind::kPoll, fd).events = events;
}

void SimIo::accept(Op& op, Fd listener) {
  get(listener, Kind::kListener, "accept");
  begin(op, OpKind::kAccept, listener);
}

void SimIo::connect(Op& op, Fd fd, const SocketAddress& address) {
  if (get(fd, Kind::kSocket, "connect").peer != nullptr)
    violation(fmt::format("connect on descriptor {}, which is connected", fd));
  Operation& operation = begin(op, OpKind::kConnect, fd);
  operation.address = address;
  operation.lent = &address;
  operation.ready = now_;
  if (options_.latency_max > Duration{0})
    operation.ready += Duration(random_.below(static_cast<uint64_t>(options_.latency_max.count())));
}

void SimIo::post(Op& op, Fd fd, int32_t result) {
  get(fd, "post");
  begin(op, OpKind::kPost, fd).posted = result;
  op.arrived = true;
}

void SimIo::cancel(Op& op) {
  if (!op.submitted) return;
  Operation* operation = find(&op);
  if (operation == nullptr) violation("cancel of an operation that says submitted and is not");
  operation->cancelled = op.cancelled = true;
}

SimIo::Operation& SimIo::begin(Op& op, OpKind kind, Fd fd) {
  if (op.submitted || find(&op) != nullptr) violation("an operation is submitted twice");
  if (op.on_done == nullptr) violation("an operation without a callback is submitted");
  op.submitted = true;
  op.arrived = false;
  op.cancelled = false;
  op.kind = kind;
  op.fd = fd;
  operations_.push_back({.op = &op, .on_done = op.on_done, .kind = kind, .fd = fd});
  return operations_.back();
}

SimIo::Operation* SimIo::find(const Op* op) {
  const auto found = std::ranges::find(operations_, op, &Operation::op);
  return found == operations_.end() ? nullptr : &*found;
}

// An owner freed too early shows here, at the latest under a sanitizer.
void SimIo::check_operations() const {
  for (const Operation& operation : operations_) {
    const Op& op = *operation.op;
    if (!op.submitted || op.on_done != operation.on_done || op.fd != operation.fd)
      violation(fmt::format("an operation on descriptor {} was freed or changed in flight",
                            operation.fd));
    if (operation.lent != nullptr && !(*operation.lent == operation.address))
      violation("the address of a connect was freed or changed in flight");
  }
}

// --- Running ---

bool SimIo::step() {
  if (stepping_) violation("the loop is run from one of its callbacks");
  stepping_ = true;
  const bool moved = move_network();
  const bool completed = complete_operations();
  const Instant timer = wheel_.next();
  wheel_.advance(now_);
  check_operations();
  stepping_ = false;
  return moved || completed || timer <= now_;
}

bool SimIo::move_network() {
  std::vector<SimPeer*> movable;
  for (const auto& peer : peers_)
    if (peer->can_move()) movable.push_back(peer.get());
  random_.shuffle(movable);
  for (SimPeer* peer : movable)
    if (!random_.chance(options_.delay)) peer->move();
  return !movable.empty();
}

// As the kernel's loop does it: results are collected first, some of which wait for another turn,
// and callbacks run afterwards.
bool SimIo::complete_operations() {
  check_operations();
  const size_t waiting = ready_.size();
  const bool possible = std::ranges::any_of(operations_, [this](const Operation& operation) {
    return !operation.result && can_complete(operation);
  });
  collect();
  for (size_t left = ready_.size(); left > 0; --left) {
    if (random_.chance(options_.delay)) break;
    Op* op = ready_.front();
    ready_.pop_front();
    dispatch(op);
  }
  return possible || waiting > 0;
}

void SimIo::collect() {
  std::vector<Op*> able;
  for (const Operation& operation : operations_)
    if (!operation.result && can_complete(operation)) able.push_back(operation.op);
  random_.shuffle(able);
  for (Op* op : able) {
    if (random_.chance(options_.delay)) continue;
    Operation& operation = *find(op);
    if (!can_complete(operation)) continue;  // Another took what it waited for.
    bool more = false;
    const int32_t result = finish(operation, more);
    trace(fmt::format("operation {} on {} completes with {}{}", static_cast<int>(operation.kind),
                      operation.fd, result, more ? ", more" : ""));
    operation.result = result;
    operation.more = more;
    op->arrived = true;
    ready_.push_back(op);
  }
}

void SimIo::dispatch(Op* op) {
  Operation* operation = find(op);
  if (operation == nullptr) violation("an operation was forgotten before its callback");
  const int32_t result = *std::exchange(operation->result, std::nullopt);
  const bool more = operation->more;
  if (!more) operations_.erase(operations_.begin() + (operation - operations_.data()));
  op->submitted = more;
  op->arrived = false;
  op->on_done(*op, result);
}

bool SimIo::can_complete(const Operation& operation) const {
  if (operation.cancelled) return true;
  const Descriptor* descriptor = look_up(operation.fd);
  switch (operation.kind) {
    case OpKind::kRecv:
      return buffers_.size() < options_.buffers_max &&
             (descriptor->peer->socket_events() & POLLIN) != 0;
    case OpKind::kPoll:
      return poll_events(operation) != 0;
    case OpKind::kAccept:
      return !descriptor->queue.empty();
    case OpKind::kConnect: {
      const Origin* origin = origin_at(operation.address);
      const bool answers = origin == nullptr || origin->answer != Origin::Answer::kNever;
      return operation.ready <= now_ && (answers || connect_failures_.count > 0);
    }
    case OpKind::kPost:
      return true;
    case OpKind::kNone:
      break;
  }
  violation("an operation of no kind");
}

int32_t SimIo::finish(Operation& operation, bool& more) {
  // A cancel may come too late: then the operation has its own result.
  if (std::exchange(operation.cancelled, false)) {
    if (random_.chance(0.5) || !can_complete(operation)) return -ECANCELED;
    operation.cancelled = true;
  }
  switch (operation.kind) {
    case OpKind::kRecv:
      return finish_recv(operation);
    case OpKind::kPoll:
      return static_cast<int32_t>(poll_events(operation));
    case OpKind::kAccept:
      return finish_accept(operation, more);
    case OpKind::kConnect:
      return finish_connect(operation);
    case OpKind::kPost:
      return operation.posted;
    case OpKind::kNone:
      break;
  }
  violation("an operation of no kind");
}

int32_t SimIo::finish_recv(Operation& operation) {
  SimPeer& peer = *look_up(operation.fd)->peer;
  const size_t available = std::min<size_t>(peer.readable(), options_.recv_size);
  if (available == 0) return static_cast<int32_t>(peer.socket_recv(nullptr, 0, false));
  const size_t size = some(available, options_.short_read);
  io::Buffer buffer = new_buffer();
  const int64_t result = peer.socket_recv(buffer.data, size, false);
  buffer.size = static_cast<uint32_t>(result);
  static_cast<RecvOp*>(operation.op)->buffer = buffer;
  return static_cast<int32_t>(result);
}

io::Buffer SimIo::new_buffer() {
  auto memory = std::make_unique<char[]>(options_.recv_size);
  const io::Buffer buffer{.data = memory.get(), .capacity = options_.recv_size, .id = next_buffer_};
  buffers_.emplace(next_buffer_++, std::move(memory));
  return buffer;
}

int32_t SimIo::finish_accept(Operation& operation, bool& more) {
  if (const auto error = accept_failures_.take()) return -*error;
  const Fd fd = add({.kind = Kind::kSocket});
  if (fd < 0) return fd;
  std::deque<SimPeer*>& queue = descriptors_.at(operation.fd).queue;
  SimPeer* peer = queue.front();
  queue.pop_front();
  peer->open_socket();
  descriptors_.at(fd).peer = peer;
  more = true;
  return fd;
}

int32_t SimIo::finish_connect(Operation& operation) {
  if (const auto error = connect_failures_.take()) return -*error;
  const Origin* origin = origin_at(operation.address);
  if (origin == nullptr) return -ECONNREFUSED;
  const SocketAddress local(IpAddress::from_v4(0x7f000001), next_port_++);
  SimPeer& peer = new_peer(operation.address, local);
  peer.open_socket();
  descriptors_.at(operation.fd).peer = &peer;
  if (origin->on_connect) origin->on_connect(peer);
  return 0;
}

uint32_t SimIo::poll_events(const Operation& operation) const {
  const Descriptor& descriptor = *look_up(operation.fd);
  if (descriptor.peer != nullptr)
    return descriptor.peer->socket_events() & (operation.events | kAlwaysReported);
  if (descriptor.kind == Kind::kListener)
    return descriptor.queue.empty() ? 0 : POLLIN & operation.events;
  return 0;
}

// --- Time ---

Instant SimIo::next_event() const {
  Instant soonest = kNever;
  for (const auto& peer : peers_) soonest = std::min(soonest, peer->next_move());
  for (const Operation& operation : operations_)
    if (operation.kind == OpKind::kConnect && operation.ready > now_)
      soonest = std::min(soonest, operation.ready);
  return soonest;
}

void SimIo::jump_to(Instant time) {
  now_ = std::max(now_, time);
}

void SimIo::settle() {
  for (int steps = 0;; ++steps) {
    if (steps == kStepsMax) violation("the simulation does not settle");
    if (step()) continue;
    const Instant next = next_event();
    if (next == kNever) return;
    jump_to(std::min(next, wheel_.next()));
  }
}

void SimIo::run_for(Duration span) {
  const Instant end = now_ + span;
  run_until([&] { return now_ >= end; }, span);
}

bool SimIo::run_until(const std::function<bool()>& condition, Duration longest) {
  const Instant end = now_ + longest;
  for (int steps = 0; !condition(); ++steps) {
    if (steps == kStepsMax) violation("the simulation does not come to an end");
    if (step()) continue;
    const Instant next = std::min(next_event(), wheel_.next());
    if (now_ >= end) return false;
    jump_to(std::min(next, end));
  }
  return true;
}

// --- Checks ---

void SimIo::check_clean() const {
  if (!operations_.empty())
    violation(
        fmt::format("{} operations are in flight at the end, the first of kind {} on "
                    "descriptor {}",
                    operations_.size(), static_cast<int>(operations_[0].kind), operations_[0].fd));
  if (wheel_.next() != kNever) violation("a timer is armed at the end");
  if (!buffers_.empty())
    violation(fmt::format("{} receive buffers were not released", buffers_.size()));
  if (!descriptors_.empty())
    violation(fmt::format("{} descriptors are open at the end, the first is {}",
                          descriptors_.size(), descriptors_.begin()->first));
}

void SimIo::violation(const std::string& text) const {
  throw ContractViolation(
      fmt::format("{} (seed {}, at {} us)", text, options_.seed, to_us(now_.time_since_epoch())));
}

void SimIo::trace(const std::string& text) const {
  if (options_.trace) fmt::print(stderr, "{:>10} us  {}\n", to_us(now_.time_since_epoch()), text);
}

}  // namespace shunt::sim
