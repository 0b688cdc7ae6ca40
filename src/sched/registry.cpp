// The table of schedulers: name, title, flags and factory. Adding a scheduler is one line here and
// one file.
#include "sched/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

struct Entry {
  std::string_view name;
  std::string_view title;
  std::unique_ptr<Scheduler> (*make)(const SchedulerOptions&);
  std::span<const std::string_view> flags{};
};

constexpr std::array<std::string_view, 2> kSourceHashingFlags{"sh-port", "sh-fallback"};
constexpr std::array<std::string_view, 2> kMaglevFlags{"mh-port", "mh-fallback"};

constexpr std::array<Entry, 14> kEntries{{
    {"rr", "round robin", make_round_robin},
    {"wrr", "weighted round robin", make_weighted_round_robin},
    {"lc", "least-connection", make_least_connection},
    {"wlc", "weighted least-connection", make_weighted_least_connection},
    {"lblc", "locality-based least-connection", make_locality},
    {"lblcr", "locality-based least-connection with replication", make_locality_replicated},
    {"dh", "destination hashing", make_destination_hashing},
    {"sh", "source hashing", make_source_hashing, kSourceHashingFlags},
    {"sed", "shortest expected delay", make_shortest_expected_delay},
    {"nq", "never queue", make_never_queue},
    {"fo", "weighted failover", make_failover},
    {"ovf", "weighted overflow", make_overflow},
    {"mh", "Maglev hashing", make_maglev, kMaglevFlags},
    {"twos", "power of two choices", make_two_choices},
}};

const Entry* find(std::string_view name) {
  const auto entry = std::ranges::find(kEntries, name, &Entry::name);
  return entry == kEntries.end() ? nullptr : &*entry;
}

}  // namespace

std::vector<std::string_view> known_schedulers() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kEntries) names.push_back(entry.name);
  return names;
}

std::string_view registered_name(std::string_view name) {
  const Entry* entry = find(name);
  return entry == nullptr ? std::string_view() : entry->name;
}

std::string_view scheduler_title(std::string_view name) {
  const Entry* entry = find(name);
  return entry == nullptr ? std::string_view() : entry->title;
}

std::span<const std::string_view> scheduler_flags(std::string_view name) {
  const Entry* entry = find(name);
  return entry == nullptr ? std::span<const std::string_view>() : entry->flags;
}

Result<std::unique_ptr<Scheduler>> make_scheduler(std::string_view name,
                                                  std::span<const std::string> flags,
                                                  uint64_t seed) {
  const Entry* entry = find(name);
  if (entry == nullptr) {
    return fail(fmt::format("unknown scheduler \"{}\"; known are {}", name,
                            fmt::join(known_schedulers(), ", ")));
  }
  SchedulerOptions options{.seed = seed};
  for (const std::string& flag : flags) {
    if (std::ranges::find(entry->flags, flag) == entry->flags.end()) {
      if (entry->flags.empty()) {
        return fail(fmt::format("scheduler {} has no flags, and so no \"{}\"", name, flag));
      }
      return fail(fmt::format("scheduler {} has no flag \"{}\"; known are {}", name, flag,
                              fmt::join(entry->flags, ", ")));
    }
    (flag.ends_with("-port") ? options.port : options.fallback) = true;
  }
  return entry->make(options);
}

}  // namespace shunt::sched
