// The schedulers by the names that ipvsadm and the configuration use. Stateless; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "sched/scheduler.h"

namespace shunt::sched {

// The names a configuration may use ("rr", "wrr", …), in the order of ipvsadm's manual.
std::vector<std::string_view> known_schedulers();

// The registry's own, lasting copy of a name; empty for an unknown one.
std::string_view registered_name(std::string_view name);

// The full name of a scheduler ("weighted least-connection"); empty for an unknown one.
std::string_view scheduler_title(std::string_view name);

// The flags a scheduler accepts ("sh-port", "sh-fallback"); none for most.
std::span<const std::string_view> scheduler_flags(std::string_view name);

// A scheduler, not yet started. The error names what would have been known.
Result<std::unique_ptr<Scheduler>> make_scheduler(std::string_view name,
                                                  std::span<const std::string> flags,
                                                  uint64_t seed);

}  // namespace shunt::sched
