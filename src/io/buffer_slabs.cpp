// Memory for receive buffers. See the header.
#include "io/buffer_slabs.h"

#include <sys/mman.h>

#include <bit>

#include "core/assert.h"

namespace shunt::io {

BufferSlabs::BufferSlabs(const BufferOptions& options)
    : buffer_size_(options.buffer_size), slabs_max_((options.buffers_max + kSlab - 1) / kSlab) {
  SHUNT_ASSERT(std::has_single_bit(options.buffer_size));
  SHUNT_ASSERT(options.buffer_size >= 256);
  SHUNT_ASSERT(options.buffers_max > 0);
  SHUNT_ASSERT(options.buffers_max <= kBuffersLimit);
  slabs_.reserve(slabs_max_);
  free_.reserve(size_t{slabs_max_} * kSlab);
}

BufferSlabs::~BufferSlabs() {
  for (char* slab : slabs_) ::munmap(slab, size_t{kSlab} * buffer_size_);
}

std::optional<uint32_t> BufferSlabs::take() {
  if (free_.empty() && !grow()) return std::nullopt;
  const uint32_t id = free_.back();
  free_.pop_back();
  return id;
}

void BufferSlabs::put(uint32_t id) {
  SHUNT_ASSERT(id < allocated());
  SHUNT_ASSERT(taken() > 0);
  free_.push_back(id);
}

Buffer BufferSlabs::buffer(uint32_t id, uint32_t size) const {
  SHUNT_ASSERT(id < allocated());
  SHUNT_ASSERT(size <= buffer_size_);
  return {.data = data(id), .size = size, .capacity = buffer_size_, .id = id};
}

char* BufferSlabs::data(uint32_t id) const {
  return slabs_[id / kSlab] + size_t{id % kSlab} * buffer_size_;
}

bool BufferSlabs::grow() {
  if (slabs_.size() == slabs_max_) return false;
  void* slab = ::mmap(nullptr, size_t{kSlab} * buffer_size_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slab == MAP_FAILED) return false;
  slabs_.push_back(static_cast<char*>(slab));
  // Backwards, so that the first of the slab is on top of the stack.
  for (uint32_t id = allocated(); id > allocated() - kSlab; --id) free_.push_back(id - 1);
  return true;
}

}  // namespace shunt::io
