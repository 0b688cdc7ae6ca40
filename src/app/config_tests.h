// Runs the [[test]] tables of a configuration against its rules. Pure; main thread.
#pragma once

#include <cstddef>

#include "core/diagnostics.h"
#include "proxy/snapshot.h"

namespace shunt::app {

struct TestCounts {
  size_t passed = 0;
  size_t failed = 0;
};

// Each test that fails becomes an error at its place that says what was expected and what came.
TestCounts run_config_tests(const proxy::Snapshot& snapshot, Diagnostics& diagnostics);

}  // namespace shunt::app
