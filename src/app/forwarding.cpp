// Plans, and what the host changes. See forwarding.h.
#include "app/forwarding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>

#include "app/host_check.h"
#include "app/layer4_shares.h"
#include "core/assert.h"
#include "core/log.h"

namespace shunt::app {
namespace {

constexpr int kRefreshMs = 200;  // Changes of the network come in swarms.

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
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

// The interfaces by which clients come and servers are reached.
std::vector<std::string> links_of(const Layer4Plan& plan, const l4::HostView& view) {
  std::vector<std::string> names;
  for (const ServicePlan& service : plan.services) {
    names.push_back(service.interface);
    for (const l4::RealServerSpec& server : service.real)
      if (const io::NetworkInterface* way = view.towards(server.address))
        names.push_back(way->name);
  }
  return names;
}

bool has_service(const Layer4Plan& plan, std::string_view name) {
  return std::ranges::any_of(plan.services,
                             [&](const ServicePlan& one) { return one.spec.name == name; });
}

}  // namespace

// The forwarders stand still while it lives.
class Forwarding::Rest {
 public:
  explicit Rest(Forwarding& forwarding) : forwarders_(forwarding.forwarders_) {
    for (const auto& forwarder : forwarders_) forwarder->ask_to_rest();
    for (const auto& forwarder : forwarders_) forwarder->await_rest();
  }
  ~Rest() {
    for (const auto& forwarder : forwarders_) forwarder->resume();
  }
  Rest(const Rest&) = delete;
  Rest& operator=(const Rest&) = delete;

 private:
  std::vector<std::unique_ptr<Forwarder>>& forwarders_;
};

Result<std::unique_ptr<Forwarding>> Forwarding::open(const Options& options,
                                                     const Layer4Plan& plan) {
  auto forwarding = std::make_unique<Forwarding>(Private(), options);
  auto changes = io::NetworkChanges::open();
  if (!changes) return std::unexpected(changes.error());
  forwarding->changes_ = std::move(*changes);
  SHUNT_TRY(forwarding->reload(plan));
  return forwarding;
}

Forwarding::Forwarding(Private, const Options& options)
    : cpus_(options.cpus), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  SHUNT_ASSERT(wake_ >= 0);
  SHUNT_ASSERT(options.threads > 0);
  const l4::DirectorSpec spec = share_of(options.connections, options.threads, random_seed());
  for (uint32_t i = 0; i < options.threads; ++i) {
    forwarders_.push_back(std::make_unique<Forwarder>(spec, wake_, clock_now()));
    if (i > 0) forwarders_.front()->tell_also(*forwarders_.back());
  }
}

Forwarding::~Forwarding() {
  stop();
  ::close(wake_);
}

void Forwarding::start() {
  SHUNT_ASSERT(!watch_.joinable());
  for (size_t i = 0; i < forwarders_.size(); ++i) {
    std::optional<uint32_t> cpu;
    if (!cpus_.empty()) cpu = cpus_[i % cpus_.size()];
    forwarders_[i]->start(cpu);
  }
  watch_ = std::thread(&Forwarding::watch, this);
}

void Forwarding::stop() {
  if (!watch_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  ::eventfd_write(wake_, 1);
  watch_.join();
  const std::lock_guard guard(lock_);
  for (const auto& forwarder : forwarders_) forwarder->stop();
  log::info("layer 4 stopped: {}", summary());
}

Result<void> Forwarding::reload(Layer4Plan plan) {
  const std::lock_guard guard(lock_);
  return apply(std::move(plan));
}

bool Forwarding::look(size_t thread, const Forwarder::Look& look) {
  const std::lock_guard guard(lock_);
  return forwarders_[thread]->look(look);
}

void Forwarding::watch() {
  ::pthread_setname_np(::pthread_self(), "shunt-l4-watch");
  std::array<pollfd, 2> events{{{.fd = wake_, .events = POLLIN, .revents = 0},
                                {.fd = changes_->fd(), .events = POLLIN, .revents = 0}}};
  while (!stopping_.load(std::memory_order_acquire)) {
    ::poll(events.data(), events.size(), -1);
    eventfd_t count = 0;
    ::eventfd_read(wake_, &count);
    changes_->take();
    if (stopping_.load(std::memory_order_acquire)) return;
    follow_host();
    ::poll(events.data(), 1, kRefreshMs);
  }
}

void Forwarding::follow_host() {
  const std::lock_guard guard(lock_);
  auto view = l4::HostView::read();
  if (!view) return log::warning("layer 4: {}", view.error().text);
  const Rest rest(*this);
  const Instant now = clock_now();
  adopt(std::move(*view), now);
  const auto opened = open_links(plan_, now);
  open_missing(now);
  for (const auto& forwarder : forwarders_) forwarder->network().receive_only(interest_);
  const std::string trouble = opened ? std::string() : opened.error().text;
  if (!trouble.empty() && trouble != last_trouble_) log::warning("layer 4: {}", trouble);
  last_trouble_ = trouble;
}

Result<void> Forwarding::apply(Layer4Plan plan) {
  const std::vector<l4::ServedAddress> addresses = addresses_of(plan);
  SHUNT_TRY(check_host(addresses));
  auto view = l4::HostView::read();
  if (!view) return std::unexpected(view.error());

  const Rest rest(*this);
  const Instant now = clock_now();
  adopt(std::move(*view), now);
  share_out(plan);
  const std::vector<std::string> before = links();
  const auto opened = open_links(plan, now);
  if (!opened) {
    close_links_but(before);
    return opened;
  }

  // From here on nothing can fail.
  for (const ServicePlan& old : plan_.services) {
    const std::string& name = old.spec.name;
    if (has_service(plan, name)) continue;
    for (const auto& forwarder : forwarders_) forwarder->remove_service(name);
    sched::ServerSet& set = *sets_.at(name);
    SHUNT_ASSERT(set.reconcile({}, std::string(set.scheduler_name()), {}).has_value());
    log::info("layer 4: service {} removed", name);
  }
  for (const ServicePlan& service : plan.services) apply_service(service);
  forwarders_.front()->network().serve(addresses, now);
  for (const auto& forwarder : forwarders_) forwarder->network().receive_only(interest_);
  std::vector<std::string> kept = links_of(plan, *view_);
  if (!plan.services.empty()) kept.insert(kept.end(), reached_.begin(), reached_.end());
  close_links_but(kept);
  plan_ = std::move(plan);
  return {};
}

void Forwarding::adopt(l4::HostView view, Instant now) {
  auto next = std::make_unique<const l4::HostView>(std::move(view));
  for (const auto& forwarder : forwarders_) forwarder->network().adopt(*next, now);
  view_ = std::move(next);
}

// Addresses that no plan has any more do no harm where one fails after this.
void Forwarding::share_out(const Layer4Plan& plan) {
  extend(interest_, plan);
  if (forwarders_.size() == 1 || plan.services.empty()) return;
  const l4::ClientShares wanted = shares_for(plan);
  if (!shares_) {
    shares_ = wanted;
    shares_->key = static_cast<uint32_t>(random_seed());
  }
  if (wanted.prefix_v4 < shares_->prefix_v4 || wanted.prefix_v6 < shares_->prefix_v6)
    log::warning(
        "layer 4: a service's netmask is coarser than the networks by which the threads share "
        "clients since the start: until a restart, clients of one network may go to two servers");
  fanout_ = l4::client_fanout(interest_, *shares_);
  if (fanout_.empty()) {
    log::warning("layer 4: too many virtual addresses for several threads: one forwards all");
    fanout_ = {{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0}};
  }
  forwarders_.front()->network().share(fanout_);
}

// Off the lists, then the set, then on the lists: no packet meets a server that is gone.
void Forwarding::apply_service(const ServicePlan& plan) {
  std::unique_ptr<sched::ServerSet>& set = sets_[plan.spec.name];
  if (set == nullptr) {
    auto made = sched::ServerSet::create(plan.spec.scheduler, plan.spec.scheduler_flags);
    SHUNT_ASSERT(made.has_value());  // The configuration has been checked.
    set = std::move(*made);
  }
  for (const auto& forwarder : forwarders_) forwarder->take_service(plan, *set);
  SHUNT_ASSERT(
      set->reconcile(plan.servers, plan.spec.scheduler, plan.spec.scheduler_flags).has_value());
  for (const auto& forwarder : forwarders_) forwarder->list_servers(plan);
  log::info("layer 4: {}", plan.to_string());
}

// Opens what is missing. The error is the first of them; the others are opened all the same.
Result<void> Forwarding::open_links(const Layer4Plan& plan, Instant now) {
  const auto link = [&](const std::string& name, const std::string& why) -> Result<void> {
    if (has_link(name)) return {};
    const auto interface = io::find_interface(name);
    if (!interface) return fail(fmt::format("{}: {}", why, interface.error().text));
    if (!interface->up)
      log::warning("{}: interface {} is down: `ip link set {} up`", why, name, name);
    const auto opened = open_link(*interface, now);
    if (!opened) return fail(fmt::format("{}: {}", why, opened.error().text), opened.error().sys);
    return {};
  };
  const auto way_to = [&](const IpAddress& address, const std::string& why) -> Result<void> {
    if (const io::NetworkInterface* way = view_->towards(address)) return link(way->name, why);
    return fail(
        fmt::format("{}: there is no route to {}; `ip route add` one, on an interface of this host",
                    why, address.to_string()));
  };
  Result<void> outcome;
  const auto note = [&](Result<void> one) {
    if (outcome && !one) outcome = std::move(one);
  };
  for (const ServicePlan& service : plan.services) {
    const std::string why = fmt::format("service \"{}\"", service.spec.name);
    note(link(service.interface, why));
    for (const l4::RealServerSpec& server : service.real)
      note(way_to(server.address, fmt::format("{}, server \"{}\"", why, server.name)));
  }
  return outcome;
}

// With all forwarders or with none.
Result<void> Forwarding::open_link(const io::NetworkInterface& interface, Instant now) {
  io::Fanout fanout{.group = {}, .program = fanout_};
  for (const auto& forwarder : forwarders_) {
    l4::Network& network = forwarder->network();
    const auto opened = network.open_link(interface, fanout_.empty() ? nullptr : &fanout, now);
    if (!opened) {
      close_link(interface.name);
      return opened;
    }
    fanout.group = network.fanout_group(interface.name);
  }
  return {};
}

// Where clients are reached neither by a service's interface nor by one of its servers'.
void Forwarding::open_missing(Instant now) {
  for (const auto& forwarder : forwarders_) {
    const int index = forwarder->network().take_missing();
    const auto at = std::ranges::find(view_->interfaces, index, &io::NetworkInterface::index);
    if (at == view_->interfaces.end() || has_link(at->name)) continue;
    if (std::ranges::find(refused_, at->name) != refused_.end()) continue;
    const auto opened = open_link(*at, now);
    (opened ? reached_ : refused_).push_back(at->name);
    if (opened) {
      log::info("layer 4: packets go by {} too", at->name);
    } else {
      log::warning("layer 4: packets should go by {}: {}", at->name, opened.error().text);
    }
  }
}

void Forwarding::close_link(std::string_view name) {
  for (const auto& forwarder : forwarders_)
    if (forwarder->network().has_link(name)) forwarder->network().close_link(name);
}

bool Forwarding::has_link(std::string_view name) const {
  return forwarders_.front()->network().has_link(name);
}

std::vector<std::string> Forwarding::links() const {
  const l4::Network& network = forwarders_.front()->network();
  std::vector<std::string> names;
  for (size_t link = 0; link < network.links(); ++link)
    if (network.is_open(link)) names.emplace_back(network.name(link));
  return names;
}

void Forwarding::close_links_but(const std::vector<std::string>& kept) {
  for (const std::string& name : links())
    if (std::ranges::find(kept, name) == kept.end()) close_link(name);
}

std::string Forwarding::summary() {
  uint64_t connections = 0;
  uint64_t packets_in = 0;
  uint64_t packets_out = 0;
  uint64_t lost = 0;
  std::vector<uint64_t> by_thread;
  std::array<uint64_t, l4::kDropCount> drops{};
  for (const auto& forwarder : forwarders_) {
    uint64_t& its = by_thread.emplace_back();
    for (const auto& [name, service] : forwarder->services()) {
      its += service->traffic.connections.value();
      packets_in += service->traffic.packets_in.value();
      packets_out += service->traffic.packets_out.value();
    }
    connections += its;
    for (size_t i = 1; i < drops.size(); ++i)
      drops[i] += forwarder->director().dropped(static_cast<l4::Drop>(i)).value();
    lost += forwarder->network().lost();
  }
  std::string text = fmt::format("{} connections", connections);
  if (by_thread.size() > 1) text += fmt::format(" ({} by thread)", fmt::join(by_thread, " + "));
  text += fmt::format(", {} packets from clients, {} from servers", packets_in, packets_out);
  std::string_view separator = "; dropped: ";
  for (size_t i = 1; i < drops.size(); ++i) {
    if (drops[i] == 0) continue;
    text += fmt::format("{}{} {}", separator, l4::info(static_cast<l4::Drop>(i)).name, drops[i]);
    separator = ", ";
  }
  if (lost > 0) text += fmt::format("; {} lost for want of room in rings", lost);
  return text;
}

}  // namespace shunt::app
