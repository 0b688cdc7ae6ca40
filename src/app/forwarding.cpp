// The thread's loop and the plans. See forwarding.h.
#include "app/forwarding.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>

#include "app/host_check.h"
#include "core/assert.h"
#include "core/log.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 100ms;
constexpr Duration kKeep = 1s;        // Servers' neighbours are looked at so often, to stay known.
constexpr Duration kRefresh = 200ms;  // Changes of the network come in swarms.
constexpr int kRoundsMost = 16;

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// Another name, address or port is another server.
bool same_server(const l4::RealServerSpec& a, const l4::RealServerSpec& b) {
  return a.name == b.name && a.address == b.address && a.port == b.port;
}

bool same_way(const l4::RealServerSpec& a, const l4::RealServerSpec& b) {
  return a.method == b.method && a.tunnel == b.tunnel && a.tunnel_port == b.tunnel_port;
}

std::vector<l4::ServedAddress> addresses_of(const Layer4Plan& plan) {
  std::vector<l4::ServedAddress> all;
  for (const ServicePlan& service : plan.services) {
    for (const l4::VirtualRange& range : service.spec.ranges) {
      l4::ServedAddress one{service.interface, range.addresses.network};
      if (std::ranges::find(all, one) == all.end()) all.push_back(std::move(one));
    }
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<Forwarding>> Forwarding::open(const Layer4Plan& plan) {
  auto forwarding = std::make_unique<Forwarding>(Private());
  auto changes = io::NetworkChanges::open();
  if (!changes) return std::unexpected(changes.error());
  forwarding->changes_ = std::move(*changes);
  SHUNT_TRY(forwarding->apply(plan, clock_now()));
  return forwarding;
}

Forwarding::Forwarding(Private)
    : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      network_(clock_now()),
      director_({.seed = random_seed()}, network_, network_, clock_now()) {
  SHUNT_ASSERT(wake_ >= 0);
}

Forwarding::~Forwarding() {
  stop();
  ::close(wake_);
}

void Forwarding::start() {
  SHUNT_ASSERT(!thread_.joinable());
  thread_ = std::thread(&Forwarding::run, this);
}

void Forwarding::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  ::eventfd_write(wake_, 1);
  thread_.join();
  log::info("layer 4 stopped: {}", summary());
}

Result<void> Forwarding::reload(Layer4Plan plan) {
  auto job = std::make_unique<Job>(Job{.plan = std::move(plan), .done = {}});
  std::future<Result<void>> done = job->done.get_future();
  {
    const std::lock_guard guard(lock_);
    SHUNT_ASSERT(job_ == nullptr);
    job_ = std::move(job);
  }
  ::eventfd_write(wake_, 1);
  return done.get();
}

void Forwarding::take_job() {
  eventfd_t count = 0;
  ::eventfd_read(wake_, &count);
  std::unique_ptr<Job> job;
  {
    const std::lock_guard guard(lock_);
    job = std::move(job_);
  }
  if (job != nullptr) job->done.set_value(apply(job->plan, clock_now()));
}

void Forwarding::run() {
  ::pthread_setname_np(::pthread_self(), "shunt-l4");
  bool more = false;
  while (!stopping_.load(std::memory_order_acquire)) {
    wait(more);
    for (int round = 0; round < kRoundsMost; ++round) {
      const Instant now = clock_now();
      more = false;
      for (size_t link = 0; link < network_.links(); ++link)
        more |= network_.pump(link, director_, now);
      network_.flush();
      if (!more) break;
    }
    const Instant now = clock_now();
    if (now >= next_tick_) tick(now);
  }
}

// Until frames, a plan, or changes of the network come, or the next tick is due.
void Forwarding::wait(bool more) {
  constexpr size_t kOthers = 2;
  std::vector<pollfd> events;
  events.reserve(kOthers + network_.links());
  events.push_back({.fd = wake_, .events = POLLIN, .revents = 0});
  events.push_back({.fd = changes_->fd(), .events = POLLIN, .revents = 0});
  for (size_t link = 0; link < network_.links(); ++link)
    events.push_back({.fd = network_.fd(link), .events = POLLIN, .revents = 0});
  const auto longest = std::chrono::duration_cast<std::chrono::milliseconds>(kTick);
  ::poll(events.data(), events.size(), more ? 0 : static_cast<int>(longest.count()));
  for (size_t link = 0; link < network_.links(); ++link)
    if ((events[kOthers + link].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
      network_.clear_error(link);
  if (events[1].revents != 0) changed_ |= changes_->take();
  if (events[0].revents != 0) take_job();
}

void Forwarding::tick(Instant now) {
  next_tick_ = now + kTick;
  if (changed_ && now >= next_refresh_) {
    changed_ = false;
    next_refresh_ = now + kRefresh;
    const auto refreshed = network_.refresh(now);
    if (!refreshed) log::warning("layer 4: {}", refreshed.error().text);
  }
  director_.advance(now);
  network_.advance(now);
  if (now >= next_keep_) {
    next_keep_ = now + kKeep;
    network_.read_statistics();
    for (const auto& [name, state] : services_) {
      if (state.service == nullptr) continue;
      for (const l4::RealServer* server : state.service->listed())
        network_.hop_to(server->spec.address);
    }
  }
  network_.flush();
}

Result<void> Forwarding::open_links(const Layer4Plan& plan) {
  const auto link = [&](const std::string& name, const std::string& why) -> Result<void> {
    if (network_.has_link(name)) return {};
    const auto interface = io::find_interface(name);
    if (!interface) return fail(fmt::format("{}: {}", why, interface.error().text));
    if (!interface->up)
      log::warning("{}: interface {} is down: `ip link set {} up`", why, name, name);
    const auto opened = network_.open_link(*interface);
    if (!opened) return fail(fmt::format("{}: {}", why, opened.error().text), opened.error().sys);
    return {};
  };
  for (const ServicePlan& service : plan.services) {
    SHUNT_TRY(link(service.interface, fmt::format("service \"{}\"", service.spec.name)));
    for (const l4::RealServerSpec& server : service.real) {
      const std::string why =
          fmt::format("service \"{}\", server \"{}\"", service.spec.name, server.name);
      const std::string name = network_.interface_to(server.address);
      if (name.empty())
        return fail(
            fmt::format("{}: there is no route to {}; `ip route add` one, on an interface "
                        "of this host",
                        why, server.address.to_string()));
      SHUNT_TRY(link(name, why));
    }
  }
  return {};
}

Result<void> Forwarding::apply(const Layer4Plan& plan, Instant now) {
  const auto refreshed = network_.refresh(now);
  if (!refreshed) return refreshed;
  const std::vector<l4::ServedAddress> addresses = addresses_of(plan);
  SHUNT_TRY(check_host(addresses));
  SHUNT_TRY(open_links(plan));

  // From here on nothing can fail.
  for (auto& [name, state] : services_) {
    const bool wanted = std::ranges::any_of(
        plan.services, [&](const ServicePlan& one) { return one.spec.name == name; });
    if (wanted || state.service == nullptr) continue;
    director_.remove_service(*state.service);
    state.service = nullptr;
    const std::string scheduler(state.set->scheduler_name());
    SHUNT_ASSERT(state.set->reconcile({}, scheduler, {}).has_value());
    log::info("layer 4: service {} removed", name);
  }
  for (const ServicePlan& service : plan.services) apply_service(service);
  network_.serve(addresses, now);
  return {};
}

void Forwarding::apply_service(const ServicePlan& plan) {
  ServiceState& state = services_[plan.spec.name];
  if (state.set == nullptr) {
    auto set = sched::ServerSet::create(plan.spec.scheduler, plan.spec.scheduler_flags);
    SHUNT_ASSERT(set.has_value());  // The configuration has been checked.
    state.set = std::move(*set);
  }
  if (state.service == nullptr) {
    state.service = &director_.add_service(plan.spec, *state.set);
  } else {
    director_.edit_service(*state.service, plan.spec);
  }
  state.interface = plan.interface;
  apply_servers(state, plan);
  log::info("layer 4: {}", plan.to_string());
}

// Off the director's list, then the set, then on the list: no packet meets a server that is gone,
// as all of it is between two packets.
void Forwarding::apply_servers(ServiceState& state, const ServicePlan& plan) {
  const std::vector<l4::RealServer*> listed = state.service->listed();
  for (l4::RealServer* server : listed) {
    const auto stays = [&](const l4::RealServerSpec& wanted) {
      return same_server(wanted, server->spec) && same_way(wanted, server->spec);
    };
    if (std::ranges::none_of(plan.real, stays)) director_.remove_server(*server);
  }
  const auto done =
      state.set->reconcile(plan.servers, plan.spec.scheduler, plan.spec.scheduler_flags);
  SHUNT_ASSERT(done.has_value());
  const std::vector<sched::Server*> handles = state.set->servers();
  for (const l4::RealServerSpec& wanted : plan.real) {
    l4::RealServer* known = state.service->find(wanted.name);
    if (known != nullptr) {
      if (known->spec.weight != wanted.weight) state.service->set_weight(*known, wanted.weight);
      continue;
    }
    const auto handle = std::ranges::find_if(
        handles, [&](const sched::Server* one) { return one->spec.name == wanted.name; });
    SHUNT_ASSERT(handle != handles.end());
    director_.add_server(*state.service, wanted, **handle);
  }
}

std::string Forwarding::summary() const {
  uint64_t connections = 0;
  uint64_t packets_in = 0;
  uint64_t packets_out = 0;
  for (const auto& [name, state] : services_) {
    if (state.service == nullptr) continue;
    connections += state.service->traffic.connections.value();
    packets_in += state.service->traffic.packets_in.value();
    packets_out += state.service->traffic.packets_out.value();
  }
  std::string text = fmt::format("{} connections, {} packets from clients, {} from servers",
                                 connections, packets_in, packets_out);
  std::string_view separator = "; dropped: ";
  for (size_t i = 1; i < l4::kDropCount; ++i) {
    const auto reason = static_cast<l4::Drop>(i);
    const uint64_t count = director_.dropped(reason).value();
    if (count == 0) continue;
    text += fmt::format("{}{} {}", separator, l4::info(reason).name, count);
    separator = ", ";
  }
  uint64_t lost = network_.counters.not_sent.value();
  for (size_t link = 0; link < network_.links(); ++link)
    lost += network_.ring_counters(link).receive_dropped.value();
  if (lost > 0) text += fmt::format("; {} lost for want of room in rings", lost);
  return text;
}

}  // namespace shunt::app
