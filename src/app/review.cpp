// Puts together all that looks at a configuration. See the header.
#include "app/review.h"

#include <utility>

#include "app/log_rotation.h"
#include "core/config_doubts.h"

namespace shunt::app {

// What is refused for want of a right is not the configuration's fault.
ExitCode code_of(const Reviewed& reviewed) {
  return reviewed.denied ? ExitCode::kMissingFeature : ExitCode::kWrongInput;
}

Reviewed review_file(const std::filesystem::path& path, RunsOn runs_on) {
  Reviewed reviewed{.prepared = prepare_file(path), .tests = {}};
  Prepared& prepared = reviewed.prepared;
  if (!prepared.good()) return reviewed;
  reviewed.complete = true;
  config::warn_of_doubts(prepared.config(), prepared.diagnostics);
  reviewed.denied = doubt_this_host(prepared.config(), runs_on, prepared.diagnostics);
  warn_of_log_rotation(prepared.config().global, prepared.diagnostics);
  reviewed.tests = run_config_tests(*prepared.snapshot, prepared.diagnostics);
  return reviewed;
}

}  // namespace shunt::app
