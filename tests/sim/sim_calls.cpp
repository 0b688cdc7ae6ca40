// The calls of SimIo that do not wait, its descriptors and pipes.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/sim_io.h"

namespace shunt::sim {

Fd SimIo::listen(const SocketAddress& address) {
  return add({.kind = Kind::kListener, .address = address});
}

Fd SimIo::open_socket(const SocketAddress&) {
  return add({.kind = Kind::kSocket});
}

SocketAddress SimIo::peer_address(Fd fd) {
  const SimPeer* peer = get(fd, Kind::kSocket, "peer_address").peer;
  return peer == nullptr || peer->dead_ ? SocketAddress() : peer->address_;
}

SocketAddress SimIo::local_address(Fd fd) {
  const Descriptor& descriptor = get(fd, "local_address");
  if (descriptor.kind == Kind::kListener) return descriptor.address;
  return descriptor.peer == nullptr ? SocketAddress() : descriptor.peer->socket_address_;
}

int64_t SimIo::recv_now(Fd fd, void* data, size_t size, bool peek) {
  SimPeer& peer = connected(fd, "recv_now");
  if (random_.chance(options_.would_block)) return -EAGAIN;
  const size_t available = std::min(peer.readable(), size);
  const size_t wanted = available == 0 ? size : some(available, options_.short_read);
  const int64_t result = peer.socket_recv(static_cast<char*>(data), wanted, peek);
  trace(fmt::format("recv_now on {}: {}", fd, result));
  return result;
}

int64_t SimIo::send_now(Fd fd, std::span<const iovec> parts, bool) {
  SimPeer& peer = connected(fd, "send_now");
  if (random_.chance(options_.would_block)) return -EAGAIN;
  std::string bytes;
  for (const iovec& part : parts)
    bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
  if (bytes.empty()) violation("send_now of nothing");
  const size_t fits = std::min(bytes.size(), peer.room());
  if (fits > 0) bytes.resize(some(fits, options_.short_write));
  const int64_t result = peer.socket_send(bytes);
  trace(fmt::format("send_now on {}: {}", fd, result));
  return result;
}

int SimIo::open_pipe(Fd (&ends)[2]) {
  if (descriptors_.size() + 2 > options_.descriptors_max) return -EMFILE;
  const auto pipe = std::make_shared<PipeState>();
  ends[0] = add({.kind = Kind::kPipeRead, .pipe = pipe});
  ends[1] = add({.kind = Kind::kPipeWrite, .pipe = pipe});
  return 0;
}

int64_t SimIo::splice_in(Fd socket, Fd pipe, size_t size) {
  SimPeer& peer = connected(socket, "splice_in");
  PipeState& state = *get(pipe, Kind::kPipeWrite, "splice_in").pipe;
  if (random_.chance(options_.would_block)) return -EAGAIN;
  if (!state.read_open) return -EPIPE;
  const size_t room = std::min(options_.pipe_size - state.bytes.size(), size);
  if (room == 0) return -EAGAIN;
  const size_t available = std::min(peer.readable(), room);
  if (available == 0) return peer.socket_recv(nullptr, 0, false);
  std::string bytes(some(available, options_.short_read), '\0');
  const int64_t result = peer.socket_recv(bytes.data(), bytes.size(), false);
  state.bytes += bytes;
  trace(fmt::format("splice_in from {}: {}", socket, result));
  return result;
}

int64_t SimIo::splice_out(Fd pipe, Fd socket, size_t size, bool) {
  PipeState& state = *get(pipe, Kind::kPipeRead, "splice_out").pipe;
  SimPeer& peer = connected(socket, "splice_out");
  if (random_.chance(options_.would_block)) return -EAGAIN;
  if (state.bytes.empty()) return state.write_open ? -EAGAIN : 0;
  size_t count = std::min(state.bytes.size(), size);
  const size_t fits = std::min(count, peer.room());
  if (fits > 0) count = some(fits, options_.short_write);
  const int64_t result = peer.socket_send(std::string_view(state.bytes).substr(0, count));
  if (result > 0) state.bytes.erase(0, static_cast<size_t>(result));
  trace(fmt::format("splice_out to {}: {}", socket, result));
  return result;
}

uint64_t SimIo::unacknowledged(Fd fd) {
  const Descriptor& descriptor = get(fd, Kind::kSocket, "unacknowledged");
  return descriptor.peer != nullptr ? descriptor.peer->outgoing_size_ : 0;
}

bool SimIo::is_writable(Fd fd) {
  return connected(fd, "is_writable").room() > 0;
}

// As kernels without kTLS do.
int SimIo::encrypt_sends(Fd fd, std::span<const char>) {
  connected(fd, "encrypt_sends");
  return -ENOENT;
}

int64_t SimIo::send_record(Fd fd, uint8_t, std::span<const char>) {
  violation(fmt::format("send_record on descriptor {}, which is plain", fd));
}

void SimIo::shutdown_write(Fd fd) {
  Descriptor& descriptor = get(fd, Kind::kSocket, "shutdown_write");
  if (descriptor.peer != nullptr) descriptor.peer->socket_shutdown();
}

void SimIo::close(Fd fd) {
  close_descriptor(fd, false, "close");
}

void SimIo::close_reset(Fd fd) {
  close_descriptor(fd, true, "close_reset");
}

void SimIo::close_descriptor(Fd fd, bool with_reset, const char* call) {
  Descriptor& descriptor = get(fd, call);
  if (std::ranges::find(operations_, fd, &Operation::fd) != operations_.end())
    violation(fmt::format("{} of descriptor {} with an operation in flight", call, fd));
  trace(fmt::format("{} of {}", call, fd));
  if (descriptor.peer != nullptr) descriptor.peer->socket_close(with_reset);
  for (SimPeer* waiting : descriptor.queue) {
    waiting->open_socket();
    waiting->socket_close(true);
  }
  if (descriptor.kind == Kind::kPipeRead) descriptor.pipe->read_open = false;
  if (descriptor.kind == Kind::kPipeWrite) descriptor.pipe->write_open = false;
  descriptors_.erase(fd);
}

io::Buffer SimIo::take_buffer() {
  return buffers_.size() < options_.buffers_max ? new_buffer() : io::Buffer{};
}

void SimIo::release(io::Buffer& buffer) {
  const auto found = buffers_.find(buffer.id);
  if (found == buffers_.end() || found->second.get() != buffer.data)
    violation("release of a buffer that is not held");
  buffers_.erase(found);
  buffer = {};
}

void SimIo::arm(Timer& timer, Instant deadline) {
  wheel_.arm(timer, deadline);
}

void SimIo::cancel(Timer& timer) {
  wheel_.cancel(timer);
}

// --- Descriptors ---

// The lowest free number, as the kernel does it, so that a stale number soon means somebody else.
Fd SimIo::add(Descriptor descriptor) {
  if (descriptors_.size() >= options_.descriptors_max) return -EMFILE;
  Fd fd = 3;
  while (descriptors_.contains(fd)) ++fd;
  descriptors_.emplace(fd, std::move(descriptor));
  return fd;
}

const SimIo::Descriptor* SimIo::look_up(Fd fd) const {
  const auto found = descriptors_.find(fd);
  return found == descriptors_.end() ? nullptr : &found->second;
}

SimIo::Descriptor& SimIo::get(Fd fd, const char* call) {
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end())
    violation(fmt::format("{} on descriptor {}, which is not open", call, fd));
  return found->second;
}

SimIo::Descriptor& SimIo::get(Fd fd, Kind kind, const char* call) {
  Descriptor& descriptor = get(fd, call);
  if (descriptor.kind != kind)
    violation(fmt::format("{} on descriptor {}, which is of another kind", call, fd));
  return descriptor;
}

SimPeer& SimIo::connected(Fd fd, const char* call) {
  Descriptor& descriptor = get(fd, Kind::kSocket, call);
  if (descriptor.peer == nullptr)
    violation(fmt::format("{} on descriptor {}, which is not connected", call, fd));
  return *descriptor.peer;
}

SimPeer& SimIo::new_peer(const SocketAddress& address, const SocketAddress& socket_address) {
  peers_.push_back(std::make_unique<SimPeer>(options_, random_, now_, address, socket_address));
  return *peers_.back();
}

const SimIo::Origin* SimIo::origin_at(const SocketAddress& address) const {
  const auto found = std::ranges::find(origins_, address, &std::pair<SocketAddress, Origin>::first);
  return found == origins_.end() ? nullptr : &found->second;
}

size_t SimIo::some(size_t available, double chance_of_less) {
  return random_.chance(chance_of_less) ? random_.some_of(available) : available;
}

}  // namespace shunt::sim
