// Both directions of one simulated connection, after Linux's TCP: what a reset destroys, what stays
// readable, and which errno comes when.
#include "sim/sim_peer.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/assert.h"

namespace shunt::sim {

SimOptions SimOptions::from_seed(uint64_t seed) {
  Random random(seed ^ 0x5eed);
  const auto size = [&](size_t smallest, int doublings) {
    return smallest << random.below(static_cast<uint64_t>(doublings) + 1);
  };
  const auto often = [&] { return random.chance(0.3) ? 0.0 : 0.01 * double(random.below(70)); };
  SimOptions options;
  options.seed = seed;
  options.receive_buffer = size(256, 9);
  options.send_buffer = size(256, 9);
  options.pipe_size = size(4096, 6);
  options.buffers_max = size(4, 8);
  options.short_read = often();
  options.short_write = often();
  options.would_block = often() / 2;
  options.delay = often();
  options.latency_max = random.chance(0.3) ? Duration{0} : Duration(random.below(100'000'000));
  return options;
}

SimPeer::SimPeer(const SimOptions& options, Random& random, const Instant& now,
                 SocketAddress address, SocketAddress socket_address)
    : options_(options),
      random_(random),
      now_(now),
      address_(std::move(address)),
      socket_address_(std::move(socket_address)) {}

// --- The script ---

void SimPeer::send(std::string_view bytes) {
  SHUNT_ASSERT(!finished_);
  if (dead_ || bytes.empty()) return;
  outbox_.push_back({std::string(bytes), arrival_time()});
}

void SimPeer::finish() {
  finished_ = true;
}

void SimPeer::reset() {
  finished_ = true;
  if (!dead_) kill(false, true);
}

void SimPeer::close() {
  finish();
  deaf_ = true;
}

void SimPeer::slow_down(size_t bytes, Duration interval) {
  SHUNT_ASSERT(bytes > 0);
  read_max_ = bytes;
  read_interval_ = interval;
}

size_t SimPeer::unsent() const {
  size_t sum = 0;
  for (const Segment& segment : outbox_) sum += segment.bytes.size();
  return sum;
}

// --- The socket's end ---

// What arrived before a reset can still be read; then the error is reported once; then the end.
int64_t SimPeer::socket_recv(char* data, size_t size, bool peek) {
  if (!inbox_.empty()) {
    const size_t count = inbox_.copy(data, size);
    if (!peek) inbox_.erase(0, count);
    return static_cast<int64_t>(count);
  }
  if (socket_error_ != 0) return -std::exchange(socket_error_, 0);
  return dead_ || fin_arrived_ ? 0 : -EAGAIN;
}

int64_t SimPeer::socket_send(std::string_view bytes) {
  if (socket_error_ != 0) return -std::exchange(socket_error_, 0);
  if (dead_ || socket_shut_) return -EPIPE;
  const size_t count = std::min(bytes.size(), room());
  if (count == 0) return -EAGAIN;
  outgoing_.push_back({std::string(bytes.substr(0, count)), arrival_time()});
  outgoing_size_ += count;
  return static_cast<int64_t>(count);
}

void SimPeer::socket_shutdown() {
  socket_shut_ = true;
}

// Closing with unread bytes is a reset too (RFC 9293 section 3.10.4 as Linux has it): the peer
// loses what it has not read yet.
void SimPeer::socket_close(bool with_reset) {
  SHUNT_ASSERT(socket_open_);
  const bool unread = !inbox_.empty();
  socket_open_ = false;
  socket_shut_ = true;
  if (!dead_ && (with_reset || unread)) kill(true, false);
}

uint32_t SimPeer::socket_events() const {
  uint32_t events = 0;
  if (!inbox_.empty() || fin_arrived_ || dead_) events |= POLLIN;
  if (fin_arrived_ || dead_) events |= POLLRDHUP;
  if (room() > 0 || dead_ || socket_shut_) events |= POLLOUT;
  if (socket_error_ != 0) events |= POLLERR;
  if (dead_ || (fin_arrived_ && socket_shut_)) events |= POLLHUP;
  return events;
}

size_t SimPeer::room() const {
  return options_.send_buffer - outgoing_size_;
}

// --- The network between ---

void SimPeer::move() {
  if (can_arrive()) arrive();
  if (can_leave()) leave();
}

bool SimPeer::can_arrive() const {
  if (dead_ || !socket_open_ever_) return false;
  if (outbox_.empty()) return finished_ && !fin_arrived_;
  return outbox_.front().ready <= now_ &&
         (!socket_open_ || inbox_.size() < options_.receive_buffer);
}

void SimPeer::arrive() {
  if (outbox_.empty()) {
    fin_arrived_ = true;
    return;
  }
  if (!socket_open_) return kill(true, false);  // Nobody is there any more.
  std::string& bytes = outbox_.front().bytes;
  size_t count = std::min(bytes.size(), options_.receive_buffer - inbox_.size());
  if (random_.chance(options_.short_read)) count = random_.some_of(count);
  inbox_.append(bytes, 0, count);
  bytes.erase(0, count);
  if (bytes.empty()) outbox_.pop_front();
}

bool SimPeer::can_leave() const {
  if (dead_) return false;
  if (outgoing_.empty()) return socket_shut_ && !saw_end_;
  return outgoing_.front().ready <= now_ && (deaf_ || (reading_ && next_read_ <= now_));
}

void SimPeer::leave() {
  if (outgoing_.empty()) {
    saw_end_ = true;
    return report();
  }
  if (deaf_) return kill(false, true);
  std::string& bytes = outgoing_.front().bytes;
  const size_t count = std::min(bytes.size(), read_max_);
  received_.append(bytes, 0, count);
  bytes.erase(0, count);
  outgoing_size_ -= count;
  if (bytes.empty()) outgoing_.pop_front();
  next_read_ = now_ + read_interval_;
  report();
}

Instant SimPeer::next_move() const {
  if (dead_) return kNever;
  Instant soonest = kNever;
  const bool fits = !socket_open_ || inbox_.size() < options_.receive_buffer;
  if (!outbox_.empty() && socket_open_ever_ && fits) soonest = outbox_.front().ready;
  if (!outgoing_.empty() && (deaf_ || reading_))
    soonest = std::min(soonest, std::max(outgoing_.front().ready, next_read_));
  return soonest;
}

// A reset: bytes on their way are gone; those in the socket's inbox stay.
void SimPeer::kill(bool peer_is_told, bool socket_is_told) {
  dead_ = true;
  outbox_.clear();
  outgoing_.clear();
  outgoing_size_ = 0;
  if (socket_is_told) socket_error_ = fin_arrived_ ? EPIPE : ECONNRESET;
  if (!peer_is_told || deaf_) return;
  saw_reset_ = true;
  report();
}

void SimPeer::report() {
  if (on_event) on_event(*this);
}

// Later than what was sent before it: streams do not overtake themselves.
Instant SimPeer::arrival_time() {
  if (options_.latency_max <= Duration{0}) return now_;
  return now_ + Duration(random_.below(static_cast<uint64_t>(options_.latency_max.count())));
}

}  // namespace shunt::sim
