// wrr: IPVS's interleaved weighted round robin. A level falls from the greatest weight to 1 in
// steps of the weights' greatest common divisor; a round gives a connection to each server whose
// weight reaches the level.
#include <algorithm>
#include <cstdint>
#include <numeric>

#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

constexpr int64_t kHead = -1;  // The position before the first server.

class WeightedRoundRobin final : public Scheduler {
 public:
  Server* schedule(const ServerList& servers, const Flow& flow) override {
    if (top_ == 0) return nullptr;
    const int64_t begin = position_;
    int64_t stop = kHead;
    bool last_round = false;
    bool restarted = false;
    while (true) {
      if (Server* server = walk(servers, flow, stop)) return server;
      if (position_ != kHead) return nullptr;  // Came to `stop` without a find.
      level_ -= step_;
      if (level_ <= 0) {
        level_ = top_;
        // Every server has been tested at the lowest level: in the last round, or in the only one.
        if (last_round || begin == kHead) return nullptr;
        restarted = true;
      }
      skip_empty_rounds(servers, flow);
      last_round = level_ <= step_;
      // The servers behind `begin` had their test at the lowest level before the restart.
      if (last_round && restarted && begin != kHead) stop = begin;
    }
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<WeightedRoundRobin>(*this);
  }

  void start(const ServerList& servers) override {
    measure(servers);
    level_ = top_;
  }

  void added(const ServerList& servers) override { changed(servers); }
  void removed(const ServerList& servers, size_t) override { changed(servers); }
  void edited(const ServerList& servers) override { changed(servers); }

 private:
  // Finishes the round from the position on. Null: at the end, and the position is the head again;
  // or at `stop`.
  Server* walk(const ServerList& servers, const Flow& flow, int64_t stop) {
    const auto count = static_cast<int64_t>(servers.size());
    for (int64_t index = position_ + 1; index < count; ++index) {
      Server* server = servers[static_cast<size_t>(index)];
      position_ = index;
      if (server->weight >= level_ && eligible(*server, flow)) return server;
      if (index == stop) return nullptr;
    }
    position_ = kHead;
    return nullptr;
  }

  // Rounds above the greatest weight that is left would find nothing; a weight of 65535 would make
  // 65535 of them. The lowest level is never skipped: the end of the search hangs on it.
  void skip_empty_rounds(const ServerList& servers, const Flow& flow) {
    int64_t greatest = step_;
    for (const Server* server : servers) {
      if (eligible(*server, flow)) greatest = std::max<int64_t>(greatest, server->weight);
    }
    if (level_ > greatest) level_ -= (level_ - greatest + step_ - 1) / step_ * step_;
  }

  void measure(const ServerList& servers) {
    int64_t divisor = 0;
    int64_t greatest = 0;
    for (const Server* server : servers) {
      divisor = std::gcd(divisor, int64_t{server->weight});
      greatest = std::max(greatest, int64_t{server->weight});
    }
    step_ = std::max<int64_t>(divisor, 1);
    top_ = greatest - (step_ - 1);  // So that the lowest level is 1.
    position_ = kHead;
  }

  // The level is lowered to fit, never raised: a service built by one add after another begins low.
  void changed(const ServerList& servers) {
    measure(servers);
    if (level_ > top_ || level_ == 0) {
      level_ = top_;
    } else if (step_ > 1) {
      level_ = level_ / step_ * step_ + 1;
    }
  }

  int64_t position_ = kHead;  // Index of the last choice.
  int64_t level_ = 0;         // Weight a server needs to be chosen in this round.
  int64_t top_ = 0;           // Level of the first round; 0: all weights are 0.
  int64_t step_ = 1;
};

}  // namespace

std::unique_ptr<Scheduler> make_weighted_round_robin(const SchedulerOptions&) {
  return std::make_unique<WeightedRoundRobin>();
}

}  // namespace shunt::sched
