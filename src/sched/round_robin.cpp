// rr: one server after the other. The position is that of the last choice; a new server comes in at
// the front of the list, so it is reached when the round starts again.
#include <cstddef>

#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class RoundRobin final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    // Everything once, ending with the last choice itself.
    for (size_t step = 0; step < servers.size(); ++step) {
      const size_t index = (next_ + step) % servers.size();
      if (!eligible(*servers[index], flow)) continue;
      next_ = index + 1;
      return servers[index];
    }
    return nullptr;
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<RoundRobin>(*this); }

  void start(const ServerList&) override { next_ = 0; }

  void added(const ServerList&) override {
    if (next_ > 0) ++next_;
  }

  // Removing the last choice leaves its predecessor in its place; either way the successor is next.
  void removed(const ServerList&, size_t index) override {
    if (index < next_) --next_;
  }

 private:
  size_t next_ = 0;  // One behind the last choice; 0: start with the front.
};

}  // namespace

std::unique_ptr<Scheduler> make_round_robin(const SchedulerOptions&) {
  return std::make_unique<RoundRobin>();
}

}  // namespace shunt::sched
