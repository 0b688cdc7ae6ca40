// Where a failed assertion ends. Prints with the C library only: the process may be in any state.
// Any thread.
#include "core/assert.h"

#include <cstdio>
#include <cstdlib>

namespace shunt {

void assert_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "shunt: assertion failed: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace shunt
