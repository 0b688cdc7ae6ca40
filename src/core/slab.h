// Objects of one type from chunks: no allocation once the chunks are there, stable addresses, and
// the object freed last is the one made next, while its lines are still in the cache. Owned by one
// worker and used on its thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/assert.h"

namespace shunt {

template <class T>
class Slab {
 public:
  // At most `maximum` objects at a time (0: no limit), allocated `chunk` at a time.
  explicit Slab(size_t maximum = 0, size_t chunk = 64) : maximum_(maximum), chunk_(chunk) {
    SHUNT_ASSERT(chunk > 0);
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // Every object must have been freed: a slab does not know which of its cells hold one.
  ~Slab() { SHUNT_ASSERT(in_use_ == 0); }

  // A new T, or null at the maximum. The slab owns the memory; give it back with free().
  template <class... Args>
  T* make(Args&&... args) {
    if (maximum_ != 0 && in_use_ == maximum_) return nullptr;
    if (free_ == nullptr) grow();
    Cell* cell = free_;
    free_ = cell->next;
    ++in_use_;
    return new (cell->object) T(std::forward<Args>(args)...);
  }

  void free(T* object) {
    SHUNT_ASSERT(object != nullptr);
    SHUNT_ASSERT(in_use_ > 0);
    object->~T();
    --in_use_;
    free_ = new (static_cast<void*>(object)) Cell{free_};
  }

  size_t in_use() const { return in_use_; }
  size_t capacity() const {
    return chunks_.size() * chunk_;
  }  // Objects that fit without allocation.
  size_t maximum() const { return maximum_; }  // 0: no limit.

 private:
  union Cell {
    Cell* next;
    alignas(T) std::byte object[sizeof(T)];
  };

  void grow() {
    chunks_.push_back(std::make_unique_for_overwrite<Cell[]>(chunk_));
    // Linked backwards, so that cells are first handed out in the order of their addresses.
    for (size_t i = chunk_; i-- > 0;) {
      chunks_.back()[i].next = free_;
      free_ = &chunks_.back()[i];
    }
  }

  const size_t maximum_;
  const size_t chunk_;
  std::vector<std::unique_ptr<Cell[]>> chunks_;
  Cell* free_ = nullptr;
  size_t in_use_ = 0;
};

}  // namespace shunt
