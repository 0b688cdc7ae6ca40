// wlc: the least overhead per weight. Stateless, like the kernel's, whose default it is; of equals
// the newest server wins.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class WeightedLeastConnection final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    return least_loaded(servers, flow, overhead);
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<WeightedLeastConnection>(*this);
  }
};

}  // namespace

std::unique_ptr<Scheduler> make_weighted_least_connection(const SchedulerOptions&) {
  return std::make_unique<WeightedLeastConnection>();
}

}  // namespace shunt::sched
