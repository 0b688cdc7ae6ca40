// lblcr: locality-based least-connection with replication. A key has a set of servers that grows
// when its traffic is too much for them and loses the busiest one after a day without a change.
#include <algorithm>

#include "sched/load.h"
#include "sched/locality_table.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

struct ReplicaSet {
  ServerList servers;  // Newest member first.
  Instant changed{};
};

class LocalityReplicated final : public Scheduler {
 public:
  explicit LocalityReplicated(uint64_t seed) : table_(seed) {}

  Server* schedule(const ServerList& servers, const Flow& flow) override {
    table_.collect(flow.now);
    ReplicaSet* set = table_.find(flow.destination, flow.now);
    if (set != nullptr) {
      Server* member = least_member(*set, flow);
      shrink(*set, flow.now);
      // Chosen before the set shrank, so it may be the one that has just left; so be it, as in the
      // kernel.
      if (member != nullptr && !should_spread(*member, servers)) return member;
    }
    Server* server = least_loaded(servers, flow, overhead);
    if (server == nullptr) return nullptr;
    if (set == nullptr) {
      set = table_.insert(flow.destination, flow.now);
      if (set == nullptr) return server;
      set->servers.clear();
    }
    grow(*set, server, flow.now);
    return server;
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<LocalityReplicated>(*this);
  }

  bool refers_to(const Server& server) const override {
    return table_.any_of([&](const ReplicaSet& set) {
      return std::ranges::find(set.servers, &server) != set.servers.end();
    });
  }

 private:
  // A removed server stays a member, out of use until it comes back.
  static Server* least_member(const ReplicaSet& set, const Flow& flow) {
    Server* least = nullptr;
    for (Server* server : set.servers) {
      if (!server->available || !eligible(*server, flow)) continue;
      if (least == nullptr ||
          overhead(*least) * server->weight > overhead(*server) * least->weight) {
        least = server;
      }
    }
    return least;
  }

  // The member with the most load per weight; unlike a choice it may be overloaded or removed.
  static Server* most_member(const ReplicaSet& set) {
    Server* most = nullptr;
    for (Server* server : set.servers) {
      if (server->weight == 0) continue;
      if (most == nullptr || overhead(*most) * server->weight < overhead(*server) * most->weight) {
        most = server;
      }
    }
    return most;
  }

  static void grow(ReplicaSet& set, Server* server, Instant now) {
    if (std::ranges::find(set.servers, server) != set.servers.end()) return;
    set.servers.insert(set.servers.begin(), server);
    set.changed = now;
  }

  static void shrink(ReplicaSet& set, Instant now) {
    if (set.servers.size() < 2 || now <= set.changed + LocalityTable<ReplicaSet>::kExpiration)
      return;
    if (Server* most = most_member(set)) {
      std::erase(set.servers, most);
      set.changed = now;
    }
  }

  LocalityTable<ReplicaSet> table_;
};

}  // namespace

std::unique_ptr<Scheduler> make_locality_replicated(const SchedulerOptions& options) {
  return std::make_unique<LocalityReplicated>(options.seed);
}

}  // namespace shunt::sched
