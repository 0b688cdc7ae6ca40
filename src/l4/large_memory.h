// An array as large as a table may grow, of which only what is touched becomes resident:
// zero-filled pages from the kernel, large ones where it has them, as a table that is read at
// random would miss the TLB for each packet otherwise. Owned by one table.
#pragma once

#include <cstddef>
#include <span>

namespace shunt::l4 {

class LargeMemory {
 public:
  // Aborts if there is no address space left.
  explicit LargeMemory(size_t bytes);
  ~LargeMemory();
  LargeMemory(const LargeMemory&) = delete;
  LargeMemory& operator=(const LargeMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::byte* data_;
};

}  // namespace shunt::l4
