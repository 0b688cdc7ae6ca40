// Puts together all that looks at a configuration. See the header.
#include "app/review.h"

#include <utility>

#include "app/host_doubts.h"
#include "app/log_rotation.h"
#include "core/config_doubts.h"

namespace shunt::app {

Reviewed review_file(const std::filesystem::path& path) {
  Reviewed reviewed{.prepared = prepare_file(path), .tests = {}, .complete = false};
  Prepared& prepared = reviewed.prepared;
  if (!prepared.good()) return reviewed;
  reviewed.complete = true;
  config::warn_of_doubts(prepared.config(), prepared.diagnostics);
  warn_of_this_host(prepared.config(), prepared.diagnostics);
  warn_of_log_rotation(prepared.config().global, prepared.diagnostics);
  reviewed.tests = run_config_tests(*prepared.snapshot, prepared.diagnostics);
  return reviewed;
}

}  // namespace shunt::app
