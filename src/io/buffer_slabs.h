// The receive buffers of one event loop: memory in slabs, allocated as it is needed, and the ids of
// those buffers that are free. Used last-in first-out, so that the buffer taken is the one that is
// still in the cache. Owned by its loop, used on its thread alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/op.h"

namespace shunt::io {

struct BufferOptions {
  uint32_t buffer_size = 4096;  // Bytes of each; a power of two, at least 256.
  uint32_t buffers_max = 8192;  // At most BufferSlabs::kBuffersLimit; rounded up to whole slabs.
};

class BufferSlabs {
 public:
  static constexpr uint32_t kSlab = 256;            // Buffers allocated at a time.
  static constexpr uint32_t kBuffersLimit = 65536;  // A buffer's id has 16 bits.

  explicit BufferSlabs(const BufferOptions& options);
  BufferSlabs(const BufferSlabs&) = delete;
  BufferSlabs& operator=(const BufferSlabs&) = delete;
  ~BufferSlabs();

  // The id of a free buffer; nothing at the maximum, or when out of memory.
  std::optional<uint32_t> take();
  void put(uint32_t id);

  // `id` with `size` bytes in it, as a receive hands it out.
  Buffer buffer(uint32_t id, uint32_t size) const;
  char* data(uint32_t id) const;

  uint32_t buffer_size() const { return buffer_size_; }
  uint32_t allocated() const { return static_cast<uint32_t>(slabs_.size()) * kSlab; }
  uint32_t taken() const { return allocated() - static_cast<uint32_t>(free_.size()); }
  // How many more may be taken, if there is memory.
  uint32_t left() const { return slabs_max_ * kSlab - taken(); }

 private:
  bool grow();

  const uint32_t buffer_size_;
  const uint32_t slabs_max_;
  std::vector<char*> slabs_;    // Mapped memory.
  std::vector<uint32_t> free_;  // Used as a stack.
};

}  // namespace shunt::io
