// twos: two servers drawn with probabilities after their weights, the less loaded of the two taken
// (Mitzenmacher's power of two choices). Random, so compared with the kernel as a distribution; the
// generator's seed makes it repeatable.
#include "sched/load.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): one word of state, good enough for load balancing.
class Generator {
 public:
  explicit Generator(uint64_t seed) : state_(seed) {}

  // Evenly from 0 to `limit` - 1; limit <= 2^32 or the bias of the multiplication would show.
  int64_t below(int64_t limit) {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    mixed ^= mixed >> 31;
    return static_cast<int64_t>(((mixed >> 32) * static_cast<uint64_t>(limit)) >> 32);
  }

 private:
  uint64_t state_;
};

class TwoChoices final : public Scheduler {
 public:
  explicit TwoChoices(uint64_t seed) : generator_(seed) {}

  Server* schedule(const ServerList& servers, const Flow& flow) override {
    int64_t total = 0;
    for (const Server* server : servers) {
      if (eligible(*server, flow)) total += server->weight;
    }
    if (total == 0) return nullptr;
    // From 0 to the sum inclusive, as in the kernel: the first eligible server has one chance more
    // than its weight.
    const int64_t ticket = generator_.below(total + 1);
    const int64_t other_ticket = generator_.below(total + 1);
    Server* first = draw(servers, flow, ticket);
    Server* second = draw(servers, flow, other_ticket);
    const bool second_is_better =
        overhead(*first) * second->weight > overhead(*second) * first->weight;
    return second_is_better ? second : first;
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<TwoChoices>(*this); }

 private:
  // The server in whose share of the summed weights the ticket falls.
  static Server* draw(const ServerList& servers, const Flow& flow, int64_t ticket) {
    Server* last = nullptr;
    for (Server* server : servers) {
      if (!eligible(*server, flow)) continue;
      last = server;
      ticket -= server->weight;
      if (ticket <= 0) break;
    }
    return last;
  }

  Generator generator_;
};

}  // namespace

std::unique_ptr<Scheduler> make_two_choices(const SchedulerOptions& options) {
  return std::make_unique<TwoChoices>(options.seed);
}

}  // namespace shunt::sched
