// sed: the least (active + 1) per weight. Looks at active connections alone, so where none is ever
// active (UDP) the heaviest server takes everything, as in the kernel.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class ShortestExpectedDelay final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    return least_loaded(servers, flow, expected_delay);
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<ShortestExpectedDelay>(*this);
  }
};

}  // namespace

std::unique_ptr<Scheduler> make_shortest_expected_delay(const SchedulerOptions&) {
  return std::make_unique<ShortestExpectedDelay>();
}

}  // namespace shunt::sched
