// mh: Maglev consistent hashing (Eisenbud et al., NSDI 2016) as IPVS has it: 4093 slots, each
// server filling them along a permutation of its own in turns as long as its scaled weight. A
// changed server moves few of the others' slots.
#include <algorithm>
#include <bit>
#include <numeric>
#include <string_view>

#include "core/hash.h"
#include "sched/schedulers.h"

namespace shunt::sched {
namespace {

constexpr uint32_t kTableSize = 4093;  // Prime; the kernel's default.
constexpr int kTurnBits = 6;           // The longest turn is below 64.

// Constant keys, so that all directors agree.
constexpr uint64_t kOffsetKey = 2654435761;
constexpr uint64_t kSkipKey = 2654446892;

uint32_t hash(uint32_t value, uint64_t key) {
  const char bytes[4] = {static_cast<char>(value), static_cast<char>(value >> 8),
                         static_cast<char>(value >> 16), static_cast<char>(value >> 24)};
  return static_cast<uint32_t>(siphash_1_3(std::string_view(bytes, sizeof bytes), key, key));
}

// A server's way through the table: which slots it asks for, and how many at a time.
struct Filler {
  Server* server;
  uint32_t slot;
  uint32_t skip;
  int32_t turn;
};

class Maglev final : public Scheduler {
 public:
  explicit Maglev(const SchedulerOptions& options) : options_(options) {}

  Server* schedule(const ServerList& servers, const Flow& flow) override {
    if (stale_) fill(servers);
    if (table_.empty()) return nullptr;
    const uint32_t key = flow.source + (options_.port ? flow.source_port : 0u);
    const uint32_t first = hash(key, kOffsetKey) % kTableSize;
    if (eligible(*table_[first], flow)) return table_[first];
    if (!options_.fallback) return nullptr;
    for (uint32_t step = 0; step < kTableSize; ++step) {
      const uint32_t offset = (first + step) % kTableSize;
      Server* server = table_[hash(key + offset, kOffsetKey) % kTableSize];
      if (eligible(*server, flow)) return server;
    }
    return nullptr;
  }

  std::unique_ptr<Scheduler> clone() const override { return std::make_unique<Maglev>(*this); }

  // Filled anew at the next decision, so that a list built by many adds is filled once.
  void start(const ServerList&) override { stale_ = true; }
  void added(const ServerList&) override { stale_ = true; }
  void removed(const ServerList&, size_t) override { stale_ = true; }
  void edited(const ServerList&) override { stale_ = true; }

 private:
  // The last weight that was not 0 counts: quiescing a server moves nobody else's slots.
  static std::vector<Filler> fillers(const ServerList& servers) {
    int32_t divisor = 0;
    int32_t greatest = 0;
    for (const Server* server : servers) {
      divisor = std::gcd(divisor, server->last_weight);
      greatest = std::max(greatest, server->last_weight);
    }
    std::vector<Filler> result;
    if (greatest == 0) return result;
    const auto bits = static_cast<int>(std::bit_width(static_cast<uint32_t>(greatest / divisor)));
    const int shift = std::max(0, bits - kTurnBits);
    for (Server* server : servers) {
      if (server->last_weight == 0) continue;
      const uint32_t key = server->hash_address + server->hash_port;
      result.push_back({.server = server,
                        .slot = hash(key, kOffsetKey) % kTableSize,
                        .skip = hash(key, kSkipKey) % (kTableSize - 1) + 1,
                        .turn = std::max(1, (server->last_weight / divisor) >> shift)});
    }
    return result;
  }

  // Either every slot has a server or, when no server ever had a weight, the table is empty.
  void fill(const ServerList& servers) {
    stale_ = false;
    std::vector<Filler> all = fillers(servers);
    table_.assign(all.empty() ? 0 : kTableSize, nullptr);
    uint32_t filled = 0;
    while (filled < table_.size()) {
      for (Filler& filler : all) {
        for (int32_t i = 0; i < filler.turn && filled < kTableSize; ++i) {
          while (table_[filler.slot] != nullptr) {
            filler.slot = (filler.slot + filler.skip) % kTableSize;
          }
          table_[filler.slot] = filler.server;
          ++filled;
        }
      }
    }
  }

  SchedulerOptions options_;
  std::vector<Server*> table_;
  bool stale_ = true;
};

}  // namespace

std::unique_ptr<Scheduler> make_maglev(const SchedulerOptions& options) {
  return std::make_unique<Maglev>(options);
}

}  // namespace shunt::sched
