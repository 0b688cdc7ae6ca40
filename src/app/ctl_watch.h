// `shunt ctl trace` and `shunt ctl pcap`. Main thread.
#pragma once

#include "app/commands.h"
#include "core/address.h"
#include "core/result.h"

namespace shunt::app {

// Prints or writes what Shunt sends, until it ends. `command.watch` is set.
Result<void> watch_packets(const CtlCommand& command, const SocketAddress& address);

}  // namespace shunt::app
