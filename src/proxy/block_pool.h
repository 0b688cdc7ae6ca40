// Large buffers of one worker: heads that outgrow a receive buffer, and bytes that a slow peer has
// not taken yet. Handed out last-in first-out, so that the block in use is the one in the cache. A
// connection holds at most two at a time, which bounds the pool by the connections; used on the
// worker's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/assert.h"

namespace shunt::proxy {

// Holds the largest head that the configuration allows, with what the proxy adds to it, or one read
// of a body with its chunk framing.
inline constexpr size_t kBlockSize = 72 * 1024;

struct Block {
  Block* next;  // In the pool.
  char data[kBlockSize];
};

class BlockPool {
 public:
  // Keeps at most `keep_max` free blocks; more are given back to the system.
  explicit BlockPool(size_t keep_max) : keep_max_(keep_max) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() {
    SHUNT_ASSERT(in_use_ == 0);
    while (free_ != nullptr) delete pop();
  }

  Block* take() {
    ++in_use_;
    if (free_ != nullptr) return pop();
    return std::make_unique_for_overwrite<Block>().release();
  }

  void give_back(Block* block) {
    SHUNT_ASSERT(block != nullptr);
    SHUNT_ASSERT(in_use_ > 0);
    --in_use_;
    if (kept_ == keep_max_) {
      delete block;
      return;
    }
    block->next = free_;
    free_ = block;
    ++kept_;
  }

  size_t in_use() const { return in_use_; }

 private:
  Block* pop() {
    Block* block = free_;
    free_ = block->next;
    --kept_;
    return block;
  }

  const size_t keep_max_;
  Block* free_ = nullptr;
  size_t kept_ = 0;
  size_t in_use_ = 0;
};

}  // namespace shunt::proxy
