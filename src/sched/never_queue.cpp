// nq: the first idle server in the list, even if a heavier one is idle too; with no idle one, the
// shortest expected delay. Stateless.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class NeverQueue final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    for (Server* server : servers) {
      if (eligible(*server, flow) && active_count(*server) == 0) return server;
    }
    return least_loaded(servers, flow, expected_delay);
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<NeverQueue>(*this); }
};

}  // namespace

std::unique_ptr<Scheduler> make_never_queue(const SchedulerOptions&) {
  return std::make_unique<NeverQueue>();
}

}  // namespace shunt::sched
