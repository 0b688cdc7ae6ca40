// An anonymous mapping, without reservation.
#include "l4/large_memory.h"

#include <sys/mman.h>

#include "core/assert.h"

namespace shunt::l4 {

LargeMemory::LargeMemory(size_t bytes) : size_(bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SHUNT_ASSERT(mapped != MAP_FAILED);
  // A wish: without large pages everything works, a little slower.
  madvise(mapped, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(mapped);
}

LargeMemory::~LargeMemory() {
  munmap(data_, size_);
}

}  // namespace shunt::l4
