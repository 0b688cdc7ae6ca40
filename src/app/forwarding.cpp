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
#include "app/local_servers.h"
#include "core/assert.h"
#include "core/log.h"

namespace shunt::app {
namespace {

constexpr int kRetryMs = 1000;
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
std::vector<int> links_of(const Layer4Plan& plan, const l4::HostView& view) {
  std::vector<int> links;
  for (const ServicePlan& service : plan.services) {
    if (const io::NetworkInterface* own = view.find(service.interface)) links.push_back(own->index);
    for (const l4::RealServerSpec& server : service.real) {
      if (server.method == l4::Method::kLocal) continue;
      if (const io::NetworkInterface* way = view.towards(server.address))
        links.push_back(way->index);
    }
  }
  return links;
}

// Interfaces by the names that they go by. One that is not there is found missing later.
void name_interfaces(Layer4Plan& plan) {
  for (ServicePlan& service : plan.services)
    if (const auto interface = io::find_interface(service.interface))
      service.interface = interface->name;
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
  l4::DirectorSpec spec = share_of(options.limits, options.threads, random_seed());
  for (uint32_t i = 0; i < options.threads; ++i) {
    spec.part = i;
    forwarders_.push_back(std::make_unique<Forwarder>(spec, wake_, clock_now()));
    forwarders_.back()->network().set_local(local_);
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
  bool is_changed = false;  // What has not been followed yet.
  while (!stopping_.load(std::memory_order_acquire)) {
    ::poll(events.data(), events.size(), is_changed ? kRetryMs : -1);
    eventfd_t count = 0;
    ::eventfd_read(wake_, &count);
    is_changed |= take_changes();
    if (stopping_.load(std::memory_order_acquire)) return;
    const std::vector<int> missing = missing_links();
    if (is_changed || !missing.empty()) is_changed = !follow_host(missing);
    ::poll(events.data(), 1, kRefreshMs);
  }
}

bool Forwarding::take_changes() {
  const std::lock_guard guard(lock_);
  return changes_->take();
}

// False: it could not be read what there is.
bool Forwarding::follow_host(const std::vector<int>& missing) {
  const std::lock_guard guard(lock_);
  auto view = l4::HostView::read();
  if (!view) {
    log::warning("layer 4: {}", view.error().text);
    return false;
  }
  const auto restored = local_.restore();
  follow_names(*view);
  const auto relocated = relocate(*view);
  if (relocated && *relocated) view = l4::HostView::read();
  if (!view) return false;
  std::vector<NewLink> links;
  const auto opened = open_links(plan_, *view, sharing_.fanout, links);
  open_missing(missing, *view, links);
  {
    std::unique_ptr<const l4::HostView> old;  // With all its routes it takes its time to go.
    const Rest rest(*this);
    const Instant now = clock_now();
    old = adopt(std::move(*view), now);
    take_up(links, now);
    forwarders_.front()->network().serve(addresses_of(plan_), now);
    for (const auto& forwarder : forwarders_) forwarder->network().receive_only(sharing_.interest);
  }
  free_closed_links();
  const std::string trouble = !restored    ? restored.error().text
                              : !relocated ? relocated.error().text
                              : !opened    ? opened.error().text
                                           : std::string();
  if (!trouble.empty() && trouble != last_trouble_) log::warning("layer 4: {}", trouble);
  last_trouble_ = trouble;
  return true;
}

// Where an address has come to the host, or left it, servers are the host itself or no longer.
// True: a plan with that has been applied.
Result<bool> Forwarding::relocate(const l4::HostView& view) {
  Layer4Plan plan = given_;
  SHUNT_TRY(mark_local_servers(plan, view));
  if (same_locality(plan, plan_)) return false;
  SHUNT_TRY(apply(given_));
  return true;
}

Result<void> Forwarding::apply(Layer4Plan plan) {
  name_interfaces(plan);
  const std::vector<l4::ServedAddress> addresses = addresses_of(plan);
  SHUNT_TRY(check_host(addresses));
  auto view = l4::HostView::read();
  if (!view) return std::unexpected(view.error());
  Layer4Plan given = plan;
  SHUNT_TRY(mark_local_servers(plan, *view));
  Sharing sharing = share_out(plan);
  std::vector<NewLink> opened;
  SHUNT_TRY(open_links(plan, *view, sharing.fanout, opened));
  if (const auto added = local_.add(local_addresses(plan)); !added) {
    local_.keep(local_addresses(plan_));
    return added;
  }

  // From here on nothing can fail.
  std::unique_ptr<const l4::HostView> old;
  {
    const Rest rest(*this);
    const Instant now = clock_now();
    old = adopt(std::move(*view), now);
    sharing_ = std::move(sharing);
    if (!sharing_.fanout.empty()) forwarders_.front()->network().share(sharing_.fanout);
    take_up(opened, now);
    for (const ServicePlan& service : plan_.services) {
      const std::string& name = service.spec.name;
      if (has_service(plan, name)) continue;
      for (const auto& forwarder : forwarders_) forwarder->remove_service(name);
      sched::ServerSet& set = *sets_.at(name);
      SHUNT_ASSERT(set.reconcile({}, std::string(set.scheduler_name()), {}).has_value());
      log::info("layer 4: service {} removed", name);
    }
    for (const auto& forwarder : forwarders_) forwarder->withdraw_services(plan);
    for (const ServicePlan& service : plan.services) apply_service(service);
    forwarders_.front()->network().serve(addresses, now);
    for (const auto& forwarder : forwarders_) forwarder->network().receive_only(sharing_.interest);
    std::vector<int> kept = links_of(plan, *view_);
    if (!plan.services.empty()) kept.insert(kept.end(), reached_.begin(), reached_.end());
    close_links_but(kept);
  }
  // What takes its time while packets are forwarded again. Nothing is sent there any more.
  free_closed_links();
  local_.keep(local_addresses(plan));
  given_ = std::move(given);
  plan_ = std::move(plan);
  return {};
}

// Returns the view that nobody looks at any more.
std::unique_ptr<const l4::HostView> Forwarding::adopt(l4::HostView view, Instant now) {
  auto next = std::make_unique<const l4::HostView>(std::move(view));
  for (const io::NetworkInterface& interface : next->interfaces)
    if (changes_->has_fallen(interface.index))
      for (const auto& forwarder : forwarders_) forwarder->network().note_fall(interface.index);
  changes_->forget();
  for (const auto& forwarder : forwarders_) forwarder->network().adopt(*next, now);
  view_.swap(next);
  return next;
}

Forwarding::Sharing Forwarding::share_out(const Layer4Plan& plan) {
  Sharing sharing{.interest = interest_of(plan, sharing_.interest), .fanout = {}};
  // Without a filter all that passes would cost something.
  if (l4::frame_filter(sharing.interest, {}).empty()) sharing.interest = interest_of(plan, {});
  if (forwarders_.size() == 1 || plan.services.empty()) return sharing;
  const l4::ClientShares wanted = shares_for(plan);
  if (!shares_) {
    shares_ = wanted;
    shares_->key = static_cast<uint32_t>(random_seed());
  }
  if (wanted.prefix_v4 < shares_->prefix_v4 || wanted.prefix_v6 < shares_->prefix_v6)
    log::warning(
        "layer 4: a service's netmask is coarser than the networks by which the threads share "
        "clients since the start: until a restart, clients of one network may go to two servers");
  sharing.fanout = l4::client_fanout(sharing.interest, *shares_);
  if (sharing.fanout.empty()) sharing.fanout = l4::client_fanout(interest_of(plan, {}), *shares_);
  if (sharing.fanout.empty()) {
    log::warning("layer 4: too many virtual addresses for several threads: one forwards all");
    sharing.fanout = {{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 0}};
  }
  return sharing;
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

uint64_t Forwarding::active_connections() {
  const std::lock_guard guard(lock_);
  uint64_t active = 0;
  for (const auto& [name, set] : sets_)
    for (const sched::ServerSample& server : set->samples()) active += server.active;
  return active;
}

std::string Forwarding::summary() {
  uint64_t connections = 0;
  uint64_t packets_in = 0;
  uint64_t packets_out = 0;
  uint64_t lost = 0;
  uint64_t undelivered = 0;
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
    undelivered += forwarder->network().counters.undelivered.value();
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
  if (undelivered > 0) text += fmt::format("; {} not taken by the host's own stack", undelivered);
  return text;
}

}  // namespace shunt::app
