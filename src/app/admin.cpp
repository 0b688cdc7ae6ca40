// The thread's loop: new connections, those that are open, and the ticks of the rates.
#include "app/admin.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "app/admin_connection.h"
#include "core/assert.h"
#include "io/listener.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr size_t kConnectionsMost = 16;
constexpr int kBacklog = 16;
constexpr uint32_t kOwnerOnly = 0600;
constexpr Duration kStreamPause = 50ms;  // How late what a stream has may be.
constexpr Duration kLongestSleep = 1s;   // Deadlines are looked at so often.

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Result<AdminSocket> AdminSocket::open(const SocketAddress& address) {
  const auto fd = io::open_listener(
      address, {.backlog = kBacklog, .share_port = false, .unix_mode = kOwnerOnly});
  if (!fd) return fail("global.admin: " + fd.error().text, fd.error().sys);
  return AdminSocket(*fd, address);
}

AdminSocket::AdminSocket(int fd, const SocketAddress& address)
    : fd_(fd), address_(address), owner_(::geteuid()) {}

AdminSocket::AdminSocket(AdminSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(other.address_), owner_(other.owner_) {}

// The other one closes what this one had.
AdminSocket& AdminSocket::operator=(AdminSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(address_, other.address_);
  std::swap(owner_, other.owner_);
  return *this;
}

AdminSocket::~AdminSocket() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (address_.family() != AF_UNIX || is_abstract()) return;
  ::unlink(reinterpret_cast<const sockaddr_un*>(address_.data())->sun_path);
}

bool AdminSocket::is_abstract() const {
  return address_.family() == AF_UNIX &&
         reinterpret_cast<const sockaddr_un*>(address_.data())->sun_path[0] == '\0';
}

bool AdminSocket::is_welcome(int fd) const {
  if (!is_abstract()) return true;  // The file's mode has let him in.
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == owner_ || peer.uid == 0);
}

Admin::Admin(AdminSocket socket, AdminSource& source)
    : socket_(std::move(socket)),
      source_(source),
      loopback_(is_loopback(socket_.address())),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  SHUNT_ASSERT(wake_ >= 0);
  thread_ = std::thread(&Admin::run, this);
}

Admin::~Admin() {
  stopping_.store(true, std::memory_order_release);
  ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(wake_);
}

void Admin::run() {
  ::pthread_setname_np(::pthread_self(), "shunt-admin");
  while (!stopping_.load(std::memory_order_acquire)) {
    wait();
    const Instant now = clock_now();
    if (now < next_tick_) continue;
    source_.tick();
    next_tick_ = now + RateEstimator::kPeriod;
  }
  connections_.clear();
}

bool Admin::has_idle_stream() const {
  return std::ranges::any_of(connections_, [](const auto& one) { return one->idle(); });
}

void Admin::wait() {
  constexpr size_t kOthers = 2;
  std::vector<pollfd> events;
  events.push_back({.fd = wake_, .events = POLLIN, .revents = 0});
  const bool full = connections_.size() >= kConnectionsMost &&
                    std::ranges::none_of(connections_, &Connection::waiting,
                                         [](const auto& one) -> const Connection& { return *one; });
  events.push_back({.fd = full ? -1 : socket_.fd(), .events = POLLIN, .revents = 0});
  for (const auto& connection : connections_)
    events.push_back({.fd = connection->fd(), .events = connection->events(), .revents = 0});
  const Duration until_tick = std::max(next_tick_ - clock_now(), Duration{});
  const Duration longest = std::min(until_tick, has_idle_stream() ? kStreamPause : kLongestSleep);
  ::poll(events.data(), events.size(),
         static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(longest).count()));

  const Instant now = clock_now();
  for (size_t i = 0; i < connections_.size(); ++i)
    if (!connections_[i]->advance(events[kOthers + i].revents, now)) connections_[i].reset();
  std::erase(connections_, nullptr);
  if (events[1].revents != 0 && make_room()) accept(now);
}

// Whoever has said nothing for the longest goes for who comes next; answers that are under way do
// not: then those who come wait in the kernel's queue.
bool Admin::make_room() {
  if (connections_.size() < kConnectionsMost) return true;
  const auto silent =
      std::ranges::find_if(connections_, [](const auto& one) { return one->waiting(); });
  if (silent == connections_.end()) return false;
  connections_.erase(silent);
  return true;
}

void Admin::accept(Instant now) {
  const int fd = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    connections_.push_back(
        std::make_unique<Connection>(fd, source_, loopback_, socket_.is_welcome(fd), now));
    return;
  }
  // Out of descriptors: the next turn would be no better.
  if (errno == EMFILE || errno == ENFILE) ::poll(nullptr, 0, static_cast<int>(kStreamPause / 1ms));
}

}  // namespace shunt::app
