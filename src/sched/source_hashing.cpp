// sh: a table of 256 slots, dealt to the servers in runs as long as their weights; the hash of the
// source address (and port, with sh-port) picks the slot. With sh-fallback a slot whose server
// takes nothing leads on to others.
#include <algorithm>
#include <array>

#include "core/hash.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

constexpr unsigned kTableBits = 8;
constexpr uint32_t kTableSize = 1u << kTableBits;

class SourceHashing final : public Scheduler {
 public:
  explicit SourceHashing(const SchedulerOptions& options) : options_(options) {}

  Server* schedule(const ServerList& servers, const Flow& flow) override {
    if (stale_) deal(servers);
    const uint32_t key = flow.source + (options_.port ? flow.source_port : 0u);
    const uint32_t first = hash_32(key, kTableBits);
    Server* server = table_[first];
    if (server == nullptr) return nullptr;
    if (eligible(*server, flow)) return server;
    if (!options_.fallback) return nullptr;
    // The search adds the hash to an offset that begins with it: from 2 * first on, once around.
    for (uint32_t step = 0; step < kTableSize; ++step) {
      server = table_[(first + first + step) % kTableSize];
      if (eligible(*server, flow)) return server;
    }
    return nullptr;
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<SourceHashing>(*this);
  }

  // Dealt anew at the next decision, so that a list built by many adds is dealt once.
  void start(const ServerList&) override { stale_ = true; }
  void added(const ServerList&) override { stale_ = true; }
  void removed(const ServerList&, size_t) override { stale_ = true; }
  void edited(const ServerList&) override { stale_ = true; }

 private:
  // A server of weight 0 still gets its one slot.
  void deal(const ServerList& servers) {
    size_t next = 0;
    int32_t run = 0;
    for (Server*& slot : table_) {
      slot = servers.empty() ? nullptr : servers[next];
      if (slot != nullptr && ++run >= slot->spec.weight) {
        next = (next + 1) % servers.size();
        run = 0;
      }
    }
    stale_ = false;
  }

  SchedulerOptions options_;
  std::array<Server*, kTableSize> table_{};
  bool stale_ = true;
};

}  // namespace

std::unique_ptr<Scheduler> make_source_hashing(const SchedulerOptions& options) {
  return std::make_unique<SourceHashing>(options);
}

}  // namespace shunt::sched
