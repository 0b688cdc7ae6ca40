// fo: everything to the heaviest server; the others are its reserves in the order of their weights.
// Stateless; of equals the newest server wins.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class Failover final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    Server* heaviest = nullptr;
    for (Server* server : servers) {
      if (!eligible(*server, flow)) continue;
      if (heaviest == nullptr || server->spec.weight > heaviest->spec.weight) heaviest = server;
    }
    return heaviest;
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<Failover>(*this); }
};

}  // namespace

std::unique_ptr<Scheduler> make_failover(const SchedulerOptions&) {
  return std::make_unique<Failover>();
}

}  // namespace shunt::sched
