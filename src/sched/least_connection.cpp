// lc: the server with the least overhead, whatever the weights (0 still means: none). Stateless,
// like the kernel's; of equals the newest server wins.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class LeastConnection final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    Server* least = nullptr;
    int64_t least_overhead = 0;
    for (Server* server : servers) {
      if (!eligible(*server, flow)) continue;
      const int64_t server_overhead = overhead(*server);
      if (least == nullptr || server_overhead < least_overhead) {
        least = server;
        least_overhead = server_overhead;
      }
    }
    return least;
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<LeastConnection>(*this);
  }
};

}  // namespace

std::unique_ptr<Scheduler> make_least_connection(const SchedulerOptions&) {
  return std::make_unique<LeastConnection>();
}

}  // namespace shunt::sched
