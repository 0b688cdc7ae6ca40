// A configuration looked at whole: what prepare() finds, what is hardly meant, what this host
// lacks, and the [[test]] tables. `check`, `run` and reloads all ask here, so that they accept and
// refuse the same files. Main thread.
#pragma once

#include <filesystem>

#include "app/config_tests.h"
#include "app/exit_code.h"
#include "app/host_doubts.h"
#include "app/snapshot_build.h"

namespace shunt::app {

struct Reviewed {
  Prepared prepared;  // With the tests that failed among its errors.
  TestCounts tests;
  // False: other errors have kept the rules from being compared and the tests from being run.
  bool complete = false;
  bool denied = false;  // Among the errors is one for want of a privilege.
};

// Of a configuration that is not good().
ExitCode code_of(const Reviewed& reviewed);

Reviewed review_file(const std::filesystem::path& path, RunsOn runs_on);

}  // namespace shunt::app
