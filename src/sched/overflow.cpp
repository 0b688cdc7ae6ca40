// ovf: the heaviest server until its active connections exceed its weight (so it takes weight + 1),
// then the next one; when all have, nobody. Stateless.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class Overflow final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    Server* heaviest = nullptr;
    for (Server* server : servers) {
      if (!eligible(*server, flow) || over_weight(*server)) continue;
      if (heaviest == nullptr || server->spec.weight > heaviest->spec.weight) heaviest = server;
    }
    return heaviest;
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<Overflow>(*this); }
};

}  // namespace

std::unique_ptr<Scheduler> make_overflow(const SchedulerOptions&) {
  return std::make_unique<Overflow>();
}

}  // namespace shunt::sched
