// lblc: locality-based least-connection. A key stays with the server it first met, for its cache's
// sake, until that server is gone, quiesced, or has too much to do while another has too little;
// then wlc picks the next one.
#include "sched/load.h"
#include "sched/locality_table.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

class Locality final : public Scheduler {
 public:
  explicit Locality(uint64_t seed) : table_(seed) {}

  Server* schedule(const ServerList& servers, const Flow& flow) override {
    table_.collect(flow.now);
    Server** cached = table_.find(flow.destination, flow.now);
    if (cached != nullptr && keeps(**cached, servers, flow)) return *cached;
    Server* server = least_loaded(servers, flow, overhead);
    if (server == nullptr) return nullptr;
    if (cached == nullptr) cached = table_.insert(flow.destination, flow.now);
    if (cached != nullptr) *cached = server;
    return server;
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<Locality>(*this); }

  bool refers_to(const Server& server) const override {
    return table_.any_of([&](const Server* cached) { return cached == &server; });
  }

 private:
  // The overload flag is not asked, as in the kernel: a server over its threshold keeps its keys.
  static bool keeps(const Server& server, const ServerList& servers, const Flow& flow) {
    return server.available && server.weight > 0 && !barred(server) && !excluded(server, flow) &&
           !should_spread(server, servers);
  }

  LocalityTable<Server*> table_;
};

}  // namespace

std::unique_ptr<Scheduler> make_locality(const SchedulerOptions& options) {
  return std::make_unique<Locality>(options.seed);
}

}  // namespace shunt::sched
