// Whether the access log will be opened again after a rotation, when Shunt is no longer root. Main
// thread; `shunt check` and `shunt run` ask.
#pragma once

#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::app {

// Adds a warning if global.user may not create files in the directory of global.access_log: USR1
// would find no file and have no right to make one. Silent where there is no such user yet.
void warn_of_log_rotation(const config::Global& global, Diagnostics& diagnostics);

}  // namespace shunt::app
