// Buckets with chains, and a list by use through all entries; both by index, so that nothing is
// allocated after the start.
#include "sched/sticky_table.h"

#include <bit>

#include "core/assert.h"

namespace shunt::sched {

StickyTable::StickyTable(uint32_t size)
    : entries_(size), buckets_(std::bit_ceil(size), kNone), free_(0) {
  SHUNT_ASSERT(size >= 1);
  for (uint32_t i = 0; i + 1 < size; ++i) entries_[i].chain = i + 1;
}

uint32_t StickyTable::index_of(uint64_t key) {
  uint32_t index = bucket_of(key);
  while (index != kNone && entries_[index].key != key) index = entries_[index].chain;
  return index;
}

void StickyTable::unlink(uint32_t index) {
  const Entry& entry = entries_[index];
  (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
}

void StickyTable::link_newest(uint32_t index) {
  Entry& entry = entries_[index];
  entry.older = newest_;
  entry.newer = kNone;
  (newest_ == kNone ? oldest_ : entries_[newest_].newer) = index;
  newest_ = index;
}

void StickyTable::remove(uint32_t index) {
  Entry& entry = entries_[index];
  uint32_t* link = &bucket_of(entry.key);
  while (*link != index) link = &entries_[*link].chain;
  *link = entry.chain;
  unlink(index);
  entry.chain = free_;
  free_ = index;
  --used_;
}

uint64_t StickyTable::find(uint64_t key, Instant now, Duration ttl) {
  const uint32_t index = index_of(key);
  if (index == kNone) return 0;
  Entry& entry = entries_[index];
  if (now >= entry.expires) {
    remove(index);
    return 0;
  }
  entry.expires = now + ttl;
  unlink(index);
  link_newest(index);
  return entry.server;
}

void StickyTable::put(uint64_t key, uint64_t server, Instant now, Duration ttl) {
  SHUNT_ASSERT(server != 0);
  uint32_t index = index_of(key);
  if (index == kNone) {
    if (free_ == kNone) remove(oldest_);
    index = free_;
    free_ = entries_[index].chain;
    uint32_t& bucket = bucket_of(key);
    entries_[index].key = key;
    entries_[index].chain = bucket;
    bucket = index;
    ++used_;
  } else {
    unlink(index);
  }
  entries_[index].server = server;
  entries_[index].expires = now + ttl;
  link_newest(index);
}

}  // namespace shunt::sched
