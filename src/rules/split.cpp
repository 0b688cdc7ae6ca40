// Rendezvous hashing with weights: each pool draws a number from the key, exponentially distributed
// with its weight as the rate, and the smallest wins. Pure, any thread.
#include "rules/split.h"

#include <cmath>
#include <limits>

#include "core/assert.h"
#include "core/hash.h"

namespace shunt::rules {
namespace {

// Fixed for ever, as those of the locality key: a client stays with its pool over restarts.
constexpr uint64_t kNameKey0 = 0x7368756e742d7370;
constexpr uint64_t kNameKey1 = 0x6c69742d6e616d65;

// Bijective and well mixed (the finaliser of SplitMix64).
constexpr uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// In (0, 1), with 53 bits.
double uniform(uint64_t hash) {
  return (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

void Split::add(std::string_view name, uint32_t pool, uint32_t weight) {
  shares_.push_back({siphash_1_3(name, kNameKey0, kNameKey1), pool, weight});
}

uint32_t Split::choose(uint64_t key) const {
  double smallest = std::numeric_limits<double>::infinity();
  const Share* winner = nullptr;
  // The key may be an address, of which neighbours differ in a few bits only.
  const uint64_t mixed = mix(key + 0x9e3779b97f4a7c15);
  for (const Share& share : shares_) {
    if (share.weight == 0) continue;
    const double draw = -std::log(uniform(mix(mixed ^ share.seed))) / share.weight;
    if (draw >= smallest) continue;
    smallest = draw;
    winner = &share;
  }
  SHUNT_ASSERT(winner != nullptr);
  return winner->pool;
}

}  // namespace shunt::rules
