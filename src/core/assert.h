// Assertions that stay on in release builds: a proxy that has lost its bearings must not go on and
// corrupt streams.
#pragma once

namespace shunt {

// Prints the place and the condition to standard error and aborts.
[[noreturn]] void assert_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace shunt

#define SHUNT_ASSERT(condition) \
  (static_cast<bool>(condition) ? void(0) : ::shunt::assert_failed(#condition, __FILE__, __LINE__))
