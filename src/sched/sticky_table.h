// Which server a client keeps going to: a bounded table from a 64-bit key (a hash of what
// identifies the client) to a server's id, whose entries expire when they are not used. The one
// used longest ago makes room. Allocates once. Pure: the time comes from the caller; one thread, or
// a lock.
#pragma once

#include <cstdint>
#include <vector>

#include "core/instant.h"

namespace shunt::sched {

class StickyTable {
 public:
  // `size` entries at most, at least 1.
  explicit StickyTable(uint32_t size);

  // The server's id (sched::Server::id), and the entry lives on for `ttl`; 0 if there is none.
  uint64_t find(uint64_t key, Instant now, Duration ttl);
  // Sets or replaces what `key` leads to; `server` is not 0.
  void put(uint64_t key, uint64_t server, Instant now, Duration ttl);

  uint32_t size() const { return used_; }  // Those that have expired and not been asked for count.
  uint32_t capacity() const { return static_cast<uint32_t>(entries_.size()); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Entry {
    uint64_t key = 0;
    uint64_t server = 0;
    Instant expires{};
    uint32_t chain = kNone;  // The next of the same bucket, or of the free ones.
    uint32_t older = kNone, newer = kNone;
  };

  uint32_t& bucket_of(uint64_t key) { return buckets_[key & (buckets_.size() - 1)]; }
  uint32_t index_of(uint64_t key);
  void unlink(uint32_t index);
  void link_newest(uint32_t index);
  void remove(uint32_t index);

  std::vector<Entry> entries_;
  std::vector<uint32_t> buckets_;  // A power of two.
  uint32_t free_ = 0;
  uint32_t oldest_ = kNone, newest_ = kNone;  // By use.
  uint32_t used_ = 0;
};

}  // namespace shunt::sched
