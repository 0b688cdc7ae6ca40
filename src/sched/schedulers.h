// The factories of all schedulers, one per file of the same name. The registry is their only
// caller.
#pragma once

#include <memory>

#include "sched/scheduler.h"

namespace shunt::sched {

std::unique_ptr<Scheduler> make_round_robin(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_weighted_round_robin(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_least_connection(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_weighted_least_connection(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_locality(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_locality_replicated(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_destination_hashing(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_source_hashing(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_shortest_expected_delay(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_never_queue(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_failover(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_overflow(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_maglev(const SchedulerOptions& options);
std::unique_ptr<Scheduler> make_two_choices(const SchedulerOptions& options);

}  // namespace shunt::sched
