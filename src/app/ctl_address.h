// Where `shunt ctl` asks. Main thread.
#pragma once

#include <string>

#include "core/address.h"
#include "core/result.h"

namespace shunt::app {

inline constexpr const char* kAdminDefault = "127.0.0.1:9090";

// `admin` if it is not empty, else what the file `config` has as [global] admin, else the default.
Result<SocketAddress> admin_address(const std::string& admin, const std::string& config);

}  // namespace shunt::app
