// dh: a fixed table of 256 slots dealt to the servers in turn, weights ignored; the destination's
// hash picks the slot. For farms of caches: the same content always meets the same server, and
// there is no second choice.
#include <array>

#include "core/hash.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

constexpr unsigned kTableBits = 8;

class DestinationHashing final : public Scheduler {
 public:
  Server* schedule(const ServerList&, const Flow& flow) override {
    // A layer-4 address has no upper half, so the fold leaves it as it is.
    const auto key = static_cast<uint32_t>(flow.destination ^ (flow.destination >> 32));
    Server* server = table_[hash_32(key, kTableBits)];
    return server != nullptr && eligible(*server, flow) ? server : nullptr;
  }

  std::unique_ptr<Scheduler> clone() const override {
    return std::make_unique<DestinationHashing>(*this);
  }

  void start(const ServerList& servers) override { deal(servers); }
  void added(const ServerList& servers) override { deal(servers); }
  void removed(const ServerList& servers, size_t) override { deal(servers); }

 private:
  void deal(const ServerList& servers) {
    for (size_t slot = 0; slot < table_.size(); ++slot) {
      table_[slot] = servers.empty() ? nullptr : servers[slot % servers.size()];
    }
  }

  std::array<Server*, size_t{1} << kTableBits> table_{};
};

}  // namespace

std::unique_ptr<Scheduler> make_destination_hashing(const SchedulerOptions&) {
  return std::make_unique<DestinationHashing>();
}

}  // namespace shunt::sched
