// What `shunt` tells the shell. Scripts depend on these numbers.
#pragma once

#include <cstdint>

namespace shunt::app {

enum class ExitCode : uint8_t {
  kFine = 0,
  kWrongInput = 1,  // The configuration, a trace or another input is wrong; or a test in it failed.
  kUsage = 2,       // The command line is wrong.
  kMissingFeature =
      3,  // A kernel feature or a privilege is missing; the message says which and the way out.
};

constexpr int to_int(ExitCode code) {
  return static_cast<int>(code);
}

}  // namespace shunt::app
