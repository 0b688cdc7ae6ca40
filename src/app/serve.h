// Lets a server run until it is told to end: reads the signals and turns them into reloads, drains
// and stops. Main thread; shared by `shunt run` and `shunt demo`.
#pragma once

#include <filesystem>

#include "app/server.h"
#include "app/signals.h"

namespace shunt::app {

// HUP reloads `config_path`, USR1 reopens the access log, QUIT drains, TERM drains for at most
// global.drain_timeout, INT stops, and a second TERM or INT stops at once. Returns when the server
// has finished.
void serve(Server& server, Signals& signals, const std::filesystem::path& config_path);

// Loads `path` anew, whole, and has `server` use it; logs the outcome, every problem included.
// False: the old one stays.
bool reload_from(Server& server, const std::filesystem::path& path);

}  // namespace shunt::app
