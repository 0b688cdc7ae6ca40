// ServerSet's one implementation: the list, the thresholds, the removed servers that are still in
// use, and the lock around them and the scheduler. Any thread.
#include "sched/server_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <random>

#include "core/assert.h"
#include "core/hash.h"
#include "sched/load.h"
#include "sched/registry.h"

namespace shunt::sched {
namespace {

constexpr auto kRelaxed =
    std::memory_order_relaxed;  // The lock orders the writes; readers want any recent value.

uint64_t next_server_id() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, kRelaxed) + 1;
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

std::atomic<uint32_t>& counter(Server& server, Counted as) {
  return as == Counted::kActive ? server.active : server.inactive;
}

void increase(std::atomic<uint32_t>& count) {
  count.store(count.load(kRelaxed) + 1, kRelaxed);
}

void decrease(std::atomic<uint32_t>& count) {
  const uint32_t before = count.load(kRelaxed);
  SHUNT_ASSERT(before > 0);
  count.store(before - 1, kRelaxed);
}

// The scheduler's choice. Where it has no second one (a hash without fallback) and the server it
// chose has just refused, the least loaded of the others serves: a refused connection must not fail
// while another server could take it. IPVS never asks twice, so without exclusions this is its
// decision to the letter.
Server* decide(Scheduler& scheduler, const ServerList& list, const Flow& flow) {
  Server* server = scheduler.schedule(list, flow);
  if (server != nullptr || flow.excluded.empty()) return server;
  return least_loaded(list, flow, overhead);
}

// The count below which an overload ends.
int64_t clearing_level(const ServerSpec& spec) {
  return spec.lower != 0 ? spec.lower : spec.upper - spec.upper / 4;
}

// Between the two thresholds the flag stays what it was.
void set_thresholds(Server& server, uint32_t upper, uint32_t lower) {
  if (server.spec.upper == upper && server.spec.lower == lower) return;
  server.spec.upper = upper;
  server.spec.lower = lower;
  const int64_t count = connection_count(server);
  if (upper == 0 || count < clearing_level(server.spec)) {
    server.overload = false;
  } else if (count >= upper) {
    server.overload = true;
  }
}

Result<void> check_limits(std::string_view name, int32_t weight, uint32_t upper, uint32_t lower) {
  if (weight < 0) return fail(fmt::format("server {}: weight {} is less than 0", name, weight));
  if (upper > uint32_t{std::numeric_limits<int32_t>::max()}) {
    return fail(fmt::format("server {}: upper threshold {} is greater than {}", name, upper,
                            std::numeric_limits<int32_t>::max()));
  }
  if (lower > upper) {
    return fail(fmt::format("server {}: lower threshold {} is above the upper one, {}", name, lower,
                            upper));
  }
  return {};
}

class LockedServerSet final : public ServerSet {
 public:
  LockedServerSet(std::string_view name, const std::vector<std::string>& flags,
                  std::unique_ptr<Scheduler> scheduler, uint64_t seed)
      : seed_(seed), scheduler_name_(name), flags_(flags), scheduler_(std::move(scheduler)) {
    scheduler_->start(list_);
  }

  Result<Server*> add(const ServerSpec& spec) override;
  Result<void> edit(Server& server, int32_t weight, uint32_t upper, uint32_t lower) override;
  void remove(Server& server) override;
  Result<void> change_scheduler(std::string_view scheduler,
                                const std::vector<std::string>& flags) override;
  Result<Reconciled> reconcile(std::span<const ServerSpec> specs, std::string_view scheduler,
                               const std::vector<std::string>& flags) override;
  std::string_view scheduler_name() const override;

  Server* schedule(const Flow& flow, Counted as) override;
  void bind(Server& server, Counted as) override;
  void move(Server& server, Counted from, Counted to) override;
  void unbind(Server& server, Counted as) override;

  std::vector<const Server*> preview(const Flow& flow) const override;
  std::vector<Server*> servers() const override;

 private:
  // All of these require the lock.
  Server* listed(std::string_view name) const;
  Server& list(const ServerSpec& spec);
  void unlist(Server& server);
  void set_spec(Server& server, int32_t weight, uint32_t upper, uint32_t lower);
  void replace_scheduler(std::string_view name, const std::vector<std::string>& flags,
                         std::unique_ptr<Scheduler> scheduler);
  Server& revive_or_create(const ServerSpec& spec);
  void collect_removed();
  static void count_in(Server& server, Counted as);

  const uint64_t seed_;
  // Held for tens of nanoseconds. A lock that spins and yields was measured to be no faster, alone
  // or contended.
  mutable std::mutex lock_;

  // Guarded by the lock.
  std::string_view scheduler_name_;  // The registry's constant.
  std::vector<std::string> flags_;   // Of the scheduler.
  std::unique_ptr<Scheduler> scheduler_;
  ServerList list_;
  std::vector<std::unique_ptr<Server>>
      owned_;  // The listed, and the removed that are still referred to.
};

Result<Server*> LockedServerSet::add(const ServerSpec& spec) {
  SHUNT_TRY(check(spec));
  const std::lock_guard guard(lock_);
  if (listed(spec.name) != nullptr)
    return fail(fmt::format("server {} is already there", spec.name));
  Server& server = list(spec);
  collect_removed();
  return &server;
}

Server* LockedServerSet::listed(std::string_view name) const {
  const auto found = std::ranges::find(
      list_, name, [](const Server* server) -> std::string_view { return server->spec.name; });
  return found == list_.end() ? nullptr : *found;
}

Server& LockedServerSet::list(const ServerSpec& spec) {
  Server& server = revive_or_create(spec);
  server.spec.weight = spec.weight;
  server.last_weight = spec.weight;
  server.available = true;
  set_thresholds(server, spec.upper, spec.lower);
  list_.insert(list_.begin(), &server);
  scheduler_->added(list_);
  return server;
}

Server& LockedServerSet::revive_or_create(const ServerSpec& spec) {
  const auto removed = std::ranges::find_if(owned_, [&](const auto& server) {
    return !server->available && server->spec.name == spec.name &&
           server->spec.address == spec.address;
  });
  if (removed != owned_.end()) return **removed;

  auto server = std::make_unique<Server>();
  server->spec.name = spec.name;
  server->spec.address = spec.address;
  server->id = next_server_id();
  if (spec.address.is_ip()) {
    server->hash_address = spec.address.ip().folded();
    server->hash_port = spec.address.port();
  } else {
    server->hash_address = static_cast<uint32_t>(siphash_1_3(spec.address.to_string(), 0, 0));
  }
  return *owned_.emplace_back(std::move(server));
}

Result<void> LockedServerSet::edit(Server& server, int32_t weight, uint32_t upper, uint32_t lower) {
  SHUNT_TRY(check_limits(server.spec.name, weight, upper, lower));
  const std::lock_guard guard(lock_);
  if (!server.available) return fail(fmt::format("server {} has been removed", server.spec.name));
  set_spec(server, weight, upper, lower);
  return {};
}

void LockedServerSet::set_spec(Server& server, int32_t weight, uint32_t upper, uint32_t lower) {
  server.spec.weight = weight;
  if (weight != 0) server.last_weight = weight;
  set_thresholds(server, upper, lower);
  scheduler_->edited(list_);
}

void LockedServerSet::remove(Server& server) {
  const std::lock_guard guard(lock_);
  unlist(server);
  collect_removed();
}

void LockedServerSet::unlist(Server& server) {
  const auto place = std::ranges::find(list_, &server);
  SHUNT_ASSERT(place != list_.end());
  const auto index = static_cast<size_t>(place - list_.begin());
  server.available = false;
  list_.erase(place);
  scheduler_->removed(list_, index);
}

Result<void> LockedServerSet::change_scheduler(std::string_view scheduler,
                                               const std::vector<std::string>& flags) {
  auto made = make_scheduler(scheduler, flags, seed_);
  if (!made) return std::unexpected(std::move(made).error());
  const std::lock_guard guard(lock_);
  replace_scheduler(scheduler, flags, std::move(*made));
  collect_removed();
  return {};
}

void LockedServerSet::replace_scheduler(std::string_view name,
                                        const std::vector<std::string>& flags,
                                        std::unique_ptr<Scheduler> scheduler) {
  scheduler_name_ = registered_name(name);
  flags_ = flags;
  scheduler_ = std::move(scheduler);
  scheduler_->start(list_);
}

Result<Reconciled> LockedServerSet::reconcile(std::span<const ServerSpec> specs,
                                              std::string_view scheduler,
                                              const std::vector<std::string>& flags) {
  std::map<std::string_view, const ServerSpec*> wanted;
  for (const ServerSpec& spec : specs) {
    SHUNT_TRY(check(spec));
    if (!wanted.emplace(spec.name, &spec).second)
      return fail(fmt::format("server {} is given twice", spec.name));
  }
  auto made = make_scheduler(scheduler, flags, seed_);
  if (!made) return std::unexpected(std::move(made).error());

  Reconciled done;
  const std::lock_guard guard(lock_);
  for (Server* server : ServerList(list_)) {
    const auto found = wanted.find(server->spec.name);
    if (found == wanted.end() || found->second->address != server->spec.address) {
      unlist(*server);
      ++done.removed;
      continue;
    }
    const ServerSpec& now = *found->second;
    wanted.erase(found);
    const ServerSpec& before = server->spec;
    if (before.weight == now.weight && before.upper == now.upper && before.lower == now.lower)
      continue;
    set_spec(*server, now.weight, now.upper, now.lower);
    ++done.edited;
  }
  for (const ServerSpec& spec : specs) {
    if (!wanted.contains(spec.name)) continue;  // Kept.
    list(spec);
    ++done.added;
  }
  if (scheduler_name_ != registered_name(scheduler) || flags_ != flags) {
    replace_scheduler(scheduler, flags, std::move(*made));
    done.scheduler_changed = true;
  }
  collect_removed();
  return done;
}

std::string_view LockedServerSet::scheduler_name() const {
  const std::lock_guard guard(lock_);
  return scheduler_name_;
}

Server* LockedServerSet::schedule(const Flow& flow, Counted as) {
  const std::lock_guard guard(lock_);
  Server* server = decide(*scheduler_, list_, flow);
  if (server != nullptr) count_in(*server, as);
  return server;
}

void LockedServerSet::bind(Server& server, Counted as) {
  const std::lock_guard guard(lock_);
  count_in(server, as);
}

void LockedServerSet::count_in(Server& server, Counted as) {
  increase(counter(server, as));
  if (connection_count(server) == server.spec.upper) server.overload = true;
}

void LockedServerSet::move(Server& server, Counted from, Counted to) {
  const std::lock_guard guard(lock_);
  decrease(counter(server, from));
  increase(counter(server, to));
}

void LockedServerSet::unbind(Server& server, Counted as) {
  const std::lock_guard guard(lock_);
  decrease(counter(server, as));
  const int64_t left = connection_count(server);
  if (left < clearing_level(server.spec)) server.overload = false;
  if (left == 0 && !server.available) collect_removed();
}

// Frees the removed servers that no connection and no scheduler state needs any more.
void LockedServerSet::collect_removed() {
  std::erase_if(owned_, [&](const auto& server) {
    return !server->available && connection_count(*server) == 0 && !scheduler_->refers_to(*server);
  });
}

std::vector<const Server*> LockedServerSet::preview(const Flow& flow) const {
  const std::lock_guard guard(lock_);
  const std::unique_ptr<Scheduler> ahead = scheduler_->clone();
  std::vector<const Server*> order;
  std::vector<const Server*> refused(flow.excluded.begin(), flow.excluded.end());
  Flow retry = flow;
  while (true) {
    retry.excluded = refused;
    const Server* server = decide(*ahead, list_, retry);
    if (server == nullptr) return order;
    SHUNT_ASSERT(std::ranges::find(refused, server) == refused.end());
    order.push_back(server);
    refused.push_back(server);
  }
}

std::vector<Server*> LockedServerSet::servers() const {
  const std::lock_guard guard(lock_);
  return list_;
}

}  // namespace

Result<void> check(const ServerSpec& spec) {
  return check_limits(spec.name, spec.weight, spec.upper, spec.lower);
}

Result<std::unique_ptr<ServerSet>> ServerSet::create(std::string_view scheduler,
                                                     const std::vector<std::string>& flags,
                                                     std::optional<uint64_t> seed) {
  const uint64_t set_seed = seed ? *seed : random_seed();
  auto made = make_scheduler(scheduler, flags, set_seed);
  if (!made) return std::unexpected(std::move(made).error());
  return std::make_unique<LockedServerSet>(registered_name(scheduler), flags, std::move(*made),
                                           set_seed);
}

}  // namespace shunt::sched
