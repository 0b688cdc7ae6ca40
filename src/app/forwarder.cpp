// The loop: wait, then forward until nothing more is there, then what time asks for.
#include "app/forwarder.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/assert.h"
#include "core/log.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 100ms;
constexpr auto kRetry = 1ms;    // What a link did not take is offered again so soon.
constexpr Duration kKeep = 1s;  // Servers' neighbours are looked at so often, to stay known.
constexpr Duration kAsk = 5s;   // A link that cannot be opened is not asked for all the time.
constexpr int kRoundsMost = 16;
constexpr Duration kPausesMost = 1ms;  // At least so often whoever else calls is heard.
constexpr size_t kFirstLink = 2;       // Of what is waited for.

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

// Another name, address or port is another server.
bool same_server(const l4::RealServerSpec& a, const l4::RealServerSpec& b) {
  return a.name == b.name && a.address == b.address && a.port == b.port;
}

}  // namespace

Forwarder::Forwarder(const l4::DirectorSpec& spec, int asks, Instant now)
    : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      asks_(asks),
      network_(now),
      director_(spec, network_, network_, now) {
  SHUNT_ASSERT(wake_ >= 0);
}

Forwarder::~Forwarder() {
  stop();
  ::close(wake_);
}

void Forwarder::tell_also(Forwarder& other) {
  network_.set_listeners(*this);
  to_tell_.push_back(&other.told_);
}

void Forwarder::tell(uint16_t link, std::span<const uint8_t> frame) {
  for (NeighbourRelay* relay : to_tell_) relay->write(link, frame);
}

void Forwarder::start(std::optional<uint32_t> cpu) {
  SHUNT_ASSERT(!thread_.joinable());
  thread_ = std::thread(&Forwarder::run, this);
  if (!cpu) return;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (*cpu < CPU_SETSIZE) CPU_SET(*cpu, &cpus);
  const int error = ::pthread_setaffinity_np(thread_.native_handle(), sizeof cpus, &cpus);
  if (error != 0)
    log::warning("global.cpu_affinity: this process may not use CPU {}: {}", *cpu,
                 std::strerror(error));
}

void Forwarder::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  ::eventfd_write(wake_, 1);
  thread_.join();
}

void Forwarder::ask_to_rest() {
  if (!thread_.joinable()) return;
  const std::lock_guard guard(lock_);
  SHUNT_ASSERT(!asked_to_rest_);
  asked_to_rest_ = true;
  ::eventfd_write(wake_, 1);
}

void Forwarder::await_rest() {
  if (!thread_.joinable()) return;
  std::unique_lock guard(lock_);
  changed_.wait(guard, [this] { return resting_; });
}

void Forwarder::resume() {
  if (!thread_.joinable()) return;
  std::unique_lock guard(lock_);
  asked_to_rest_ = false;
  changed_.notify_all();
  // So that the next one who asks does not take this rest for his.
  changed_.wait(guard, [this] { return !resting_; });
}

bool Forwarder::look(const Look& look) {
  if (!thread_.joinable()) return false;
  std::unique_lock guard(lock_);
  SHUNT_ASSERT(look_ == nullptr);
  look_ = &look;
  ::eventfd_write(wake_, 1);
  changed_.wait(guard, [this] { return look_ == nullptr; });
  return true;
}

void Forwarder::rest() {
  eventfd_t count = 0;
  ::eventfd_read(wake_, &count);
  std::unique_lock guard(lock_);
  if (look_ != nullptr) {
    (*look_)(director_, network_);
    look_ = nullptr;
    changed_.notify_all();
  }
  if (!asked_to_rest_) return;
  resting_ = true;
  changed_.notify_all();
  changed_.wait(guard, [this] { return !asked_to_rest_; });
  resting_ = false;
  changed_.notify_all();
  watch_links();
}

void Forwarder::run() {
  ::pthread_setname_np(::pthread_self(), "shunt-l4");
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // Pauses are as short as they are meant to be.
  watch_links();
  Duration pause{};
  Instant next_wait{};
  bool more = false;
  while (!stopping_.load(std::memory_order_acquire)) {
    Instant began = clock_now();
    if (pause > Duration{} && !more && began < next_wait) {
      std::this_thread::sleep_for(pause);
    } else {
      wait(more || behind_);
      next_wait = began + kPausesMost;
    }
    began = clock_now();
    const uint64_t before = network_.counters.frames.value();
    more = forward(began);
    const Instant ended = clock_now();
    const uint64_t frames = network_.counters.frames.value() - before;
    pause = gathering_.after(static_cast<uint32_t>(frames), began, ended);
    if (ended >= next_tick_) {
      tick(ended);
    } else if (behind_) {
      behind_ = director_.advance(ended);
    }
  }
}

// What there is, for some rounds; true if there may be more.
bool Forwarder::forward(Instant now) {
  for (int round = 0; round < kRoundsMost; ++round) {
    bool more = false;
    for (size_t link = 0; link < network_.links(); ++link)
      more |= network_.pump(link, director_, now);
    backlog_ = !network_.flush();
    if (!more) return false;
    now = clock_now();
  }
  return true;
}

// The links change only while we rest. What is closed has -1, which poll() passes over.
void Forwarder::watch_links() {
  events_.clear();
  events_.push_back({.fd = wake_, .events = POLLIN, .revents = 0});
  events_.push_back({.fd = told_.fd(), .events = POLLIN, .revents = 0});
  for (size_t link = 0; link < network_.links(); ++link)
    events_.push_back({.fd = network_.fd(link), .events = POLLIN, .revents = 0});
}

// Until frames come or can go, somebody wants us to rest, or the next tick is due.
void Forwarder::wait(bool more) {
  const std::chrono::milliseconds most = more ? 0ms : backlog_ ? kRetry : kTick;
  ::poll(events_.data(), events_.size(), static_cast<int>(most.count()));
  for (size_t link = 0; link + kFirstLink < events_.size(); ++link)
    if ((events_[link + kFirstLink].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
      network_.clear_error(link);
  if (events_[1].revents != 0) listen();
  if (events_[0].revents != 0) rest();
}

void Forwarder::listen() {
  const Instant now = clock_now();
  while (const auto heard = told_.read()) network_.hear(heard->link, heard->frame, now);
}

void Forwarder::tick(Instant now) {
  next_tick_ = now + kTick;
  behind_ = director_.advance(now);
  network_.advance(now);
  if (network_.is_missing() && now >= next_ask_) {
    next_ask_ = now + kAsk;
    ::eventfd_write(asks_, 1);
  }
  warn_of_claims(now);
  if (now >= next_keep_) {
    next_keep_ = now + kKeep;
    network_.read_statistics();
    for (const auto& [name, service] : services_)
      for (const l4::RealServer* server : service->listed())
        if (server->method != l4::Method::kLocal) network_.hop_to(server->spec.address);
  }
  backlog_ = !network_.flush();
}

void Forwarder::warn_of_claims(Instant now) {
  const uint64_t claims = network_.neighbours().conflicts.value();
  if (claims == 0) return;
  const l4::Neighbours::Conflict& last = network_.last_conflict();
  if (const auto text = claims_.look(claims, last, network_.name(last.interface), now))
    log::warning("{}", *text);
}

void Forwarder::withdraw_services(const Layer4Plan& plan) {
  for (const ServicePlan& one : plan.services)
    if (const auto known = services_.find(one.spec.name); known != services_.end())
      director_.withdraw_service(*known->second);
}

void Forwarder::take_service(const ServicePlan& plan, sched::ServerSet& set) {
  l4::Service*& service = services_[plan.spec.name];
  if (service == nullptr) {
    service = &director_.add_service(plan.spec, set);
    return;
  }
  director_.edit_service(*service, plan.spec);
  const std::vector<l4::RealServer*> listed = service->listed();
  for (l4::RealServer* server : listed) {
    const auto stays = [&](const l4::RealServerSpec& wanted) {
      return same_server(wanted, server->spec) && l4::same_way(*server, wanted, plan.spec.method);
    };
    if (std::ranges::none_of(plan.real, stays)) director_.remove_server(*server);
  }
}

void Forwarder::list_servers(const ServicePlan& plan) {
  l4::Service& service = *services_.find(plan.spec.name)->second;
  const std::vector<sched::Server*> handles = service.set().servers();
  for (const l4::RealServerSpec& wanted : plan.real) {
    l4::RealServer* known = service.find(wanted.name);
    if (known != nullptr) {
      if (known->spec.weight != wanted.weight) service.set_weight(*known, wanted.weight);
      known->spec.tunnel_checksum = wanted.tunnel_checksum;
      continue;
    }
    const auto handle = std::ranges::find_if(
        handles, [&](const sched::Server* one) { return one->spec.name == wanted.name; });
    SHUNT_ASSERT(handle != handles.end());
    director_.add_server(service, wanted, **handle);
  }
}

void Forwarder::remove_service(std::string_view name) {
  const auto at = services_.find(name);
  SHUNT_ASSERT(at != services_.end());
  director_.remove_service(*at->second);
  services_.erase(at);
}

}  // namespace shunt::app
