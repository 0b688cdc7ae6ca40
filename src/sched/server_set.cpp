// ServerSet's one implementation: the list, the thresholds, the removed servers that are still in
// use, and the lock around them and the scheduler. Any thread.
#include "sched/server_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <random>

#include "core/assert.h"
#include "core/hash.h"
#include "sched/circuits.h"
#include "sched/effective_weight.h"
#include "sched/load.h"
#include "sched/registry.h"
#include "sched/thresholds.h"

namespace shunt::sched {
namespace {

uint64_t next_server_id() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// The scheduler's choice. Where it has no second one (a hash without fallback) and the server it
// chose has just refused, is full or its circuit open, the least loaded of the others serves: a
// request must not fail while another server could take it. IPVS never asks twice and knows neither
// capacities nor circuits, so without them this is its decision to the letter.
Server* decide(Scheduler& scheduler, const ServerList& list, const Flow& flow) {
  Server* server = scheduler.schedule(list, flow);
  if (server != nullptr) return server;
  const bool beyond_ipvs = !flow.excluded.empty() ||
                           std::ranges::any_of(list, [](Server* each) { return barred(*each); });
  return beyond_ipvs ? least_loaded(list, flow, overhead) : nullptr;
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
  Claimed claim(uint64_t id, const Flow& flow, Counted as, bool quiesced) override;
  void bind(Server& server, Counted as) override;
  void move(Server& server, Counted from, Counted to) override;
  void unbind(Server& server, Counted as) override;

  void set_circuit_rules(const CircuitRules& rules) override;
  bool saturated(const Flow& flow) const override;

  std::vector<const Server*> preview(const Flow& flow) const override;
  std::vector<Server*> servers() const override;
  std::vector<ServerSample> samples() const override;

 private:
  Judged judge_slow(Server& server, Verdict verdict, Instant now) override;

  // All of these require the lock.
  Server* listed(std::string_view name) const;
  Server& list(const ServerSpec& spec, bool slowly);
  void unlist(Server& server);
  void set_weight(Server& server, int32_t weight);
  void set_spec(Server& server, const ServerSpec& spec);
  void refresh(Instant now);
  void replace_scheduler(std::string_view name, const std::vector<std::string>& flags,
                         std::unique_ptr<Scheduler> scheduler);
  Server& revive_or_create(const ServerSpec& spec);
  void collect_removed();
  static void count_in(Server& server, Counted as);

  const uint64_t seed_;
  // Held for tens of nanoseconds. One that spins and yields was measured to be no faster.
  mutable std::mutex lock_;

  // Guarded by the lock.
  std::string_view scheduler_name_;  // The registry's constant.
  std::vector<std::string> flags_;   // Of the scheduler.
  std::unique_ptr<Scheduler> scheduler_;
  ServerList list_;
  std::vector<std::unique_ptr<Server>> owned_;  // The listed, and the removed still referred to.
  Circuits circuits_;
  Instant next_refresh_ = kNever;  // Circuits and slow starts change with time.
};

Result<Server*> LockedServerSet::add(const ServerSpec& spec) {
  SHUNT_TRY(check(spec));
  const std::lock_guard guard(lock_);
  if (listed(spec.name) != nullptr)
    return fail(fmt::format("server {} is already there", spec.name));
  Server& server = list(spec, !list_.empty());
  collect_removed();
  return &server;
}

Server* LockedServerSet::listed(std::string_view name) const {
  const auto found = std::ranges::find(
      list_, name, [](const Server* server) -> std::string_view { return server->spec.name; });
  return found == list_.end() ? nullptr : *found;
}

// `slowly`: with its slow start, if it has one. Where all are new, none has to be spared.
Server& LockedServerSet::list(const ServerSpec& spec, bool slowly) {
  Server& server = revive_or_create(spec);
  server.spec.capacity = spec.capacity;
  server.spec.slow_start = spec.slow_start;
  server.spec.breaker = spec.breaker;
  server.scale = list_.empty() ? 1 : list_.front()->scale;
  server.slow_start = SlowStart::kOver;
  server.slow_start_steps = kSlowStartSteps;
  if (slowly && spec.weight > 0) start_slowly(server);
  if (server.slow_start == SlowStart::kBegins) next_refresh_ = Instant{};
  server.last_weight = 0;
  set_weight(server, spec.weight);
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
  ServerSpec spec = server.spec;
  spec.weight = weight;
  spec.upper = upper;
  spec.lower = lower;
  set_spec(server, spec);
  return {};
}

// Does not tell the scheduler.
void LockedServerSet::set_weight(Server& server, int32_t weight) {
  server.spec.weight = weight;
  server.weight = weight * (server.scale == 1 ? 1 : server.slow_start_steps);
  if (weight != 0) server.last_weight = weight;
}

// In place. Capacity, slow start and breaker are no business of the scheduler.
void LockedServerSet::set_spec(Server& server, const ServerSpec& spec) {
  server.spec.capacity = spec.capacity;
  server.spec.slow_start = spec.slow_start;
  server.spec.breaker = spec.breaker;
  if (server.spec.weight == 0 && spec.weight > 0) start_slowly(server);
  if (server.slow_start != SlowStart::kOver) next_refresh_ = Instant{};
  set_weight(server, spec.weight);
  set_thresholds(server, spec.upper, spec.lower);
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
  const bool all_new = list_.empty();
  for (Server* server : ServerList(list_)) {
    const auto found = wanted.find(server->spec.name);
    if (found == wanted.end() || found->second->address != server->spec.address) {
      unlist(*server);
      ++done.removed;
      continue;
    }
    const ServerSpec& now = *found->second;
    wanted.erase(found);
    if (server->spec == now) continue;
    set_spec(*server, now);
    ++done.edited;
  }
  for (const ServerSpec& spec : specs) {
    if (!wanted.contains(spec.name)) continue;  // Kept.
    list(spec, !all_new);
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
  if (flow.now >= next_refresh_) refresh(flow.now);
  for (;;) {
    Server* server = decide(*scheduler_, list_, flow);
    if (server == nullptr) return nullptr;
    // One whose breaker opens is not eligible any more: the loop ends.
    if (!circuits_.admit(*server, flow.now, next_refresh_)) continue;
    count_in(*server, as);
    return server;
  }
}

Claimed LockedServerSet::claim(uint64_t id, const Flow& flow, Counted as, bool quiesced) {
  const std::lock_guard guard(lock_);
  if (flow.now >= next_refresh_) refresh(flow.now);
  const auto found = std::ranges::find(list_, id, [](const Server* each) { return each->id; });
  if (found == list_.end()) return {};
  Server& server = **found;
  if (excluded(server, flow) || server.circuit.bars()) return {};
  if (server.spec.weight == 0 && !quiesced) return {};
  if (full(server)) return {.busy = true};
  if (!circuits_.admit(server, flow.now, next_refresh_)) return {};
  count_in(server, as);
  return {.server = &server};
}

void LockedServerSet::refresh(Instant now) {
  next_refresh_ = kNever;
  circuits_.refresh(list_, now, next_refresh_);
  if (refresh_weights(list_, now, next_refresh_)) scheduler_->edited(list_);
}

void LockedServerSet::set_circuit_rules(const CircuitRules& rules) {
  const std::lock_guard guard(lock_);
  circuits_.set_rules(rules);
}

Judged LockedServerSet::judge_slow(Server& server, Verdict verdict, Instant now) {
  const std::lock_guard guard(lock_);
  return circuits_.judge(list_, server, verdict, now, next_refresh_);
}

bool LockedServerSet::saturated(const Flow& flow) const {
  const std::lock_guard guard(lock_);
  return std::ranges::any_of(list_, [&flow](const Server* server) {
    const bool tried_out = server->circuit.state() == Circuit::State::kHalfOpen;
    return (full(*server) || tried_out) && server->weight > 0 && !server->overload &&
           server->circuit.state() != Circuit::State::kOpen && !excluded(*server, flow);
  });
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
  std::vector<uint64_t> refused(flow.excluded.begin(), flow.excluded.end());
  Flow retry = flow;
  while (true) {
    retry.excluded = refused;
    const Server* server = decide(*ahead, list_, retry);
    if (server == nullptr) return order;
    SHUNT_ASSERT(std::ranges::find(refused, server->id) == refused.end());
    order.push_back(server);
    refused.push_back(server->id);
  }
}

std::vector<Server*> LockedServerSet::servers() const {
  const std::lock_guard guard(lock_);
  return list_;
}

std::vector<ServerSample> LockedServerSet::samples() const {
  const std::lock_guard guard(lock_);
  std::vector<ServerSample> samples;
  for (const Server* server : list_)
    samples.push_back({server->spec, server->active, server->inactive, server->overload});
  return samples;
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
