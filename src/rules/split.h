// Which of several pools a request goes to, by weight and always the same for the same key:
// weighted rendezvous hashing. When a weight grows, keys move to its pool only; no others move.
// Immutable after the last add(), safe for all threads.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace shunt::rules {

class Split {
 public:
  // `pool` is what choose() returns; its name decides which keys it gets, so that its place in a
  // configuration does not.
  void add(std::string_view name, uint32_t pool, uint32_t weight);
  bool empty() const { return shares_.empty(); }
  // Requires a share with a weight above 0.
  uint32_t choose(uint64_t key) const;

 private:
  struct Share {
    uint64_t seed;
    uint32_t pool;
    uint32_t weight;
  };
  std::vector<Share> shares_;
};

}  // namespace shunt::rules
