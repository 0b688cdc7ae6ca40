// What in the host's own settings would answer for virtual addresses, or forward their packets a
// second time. Any thread; reads interfaces and /proc.
#pragma once

#include <span>

#include "core/result.h"
#include "l4/network.h"

namespace shunt::app {

// The error: the host has one of the addresses. Logs a warning, with the way out, where the host
// forwards packets itself.
Result<void> check_host(std::span<const l4::ServedAddress> addresses);

}  // namespace shunt::app
