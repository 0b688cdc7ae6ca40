// The command line: words in, a command or a text for the user out. The only user of CLI11. Pure;
// main thread.
#pragma once

#include <expected>
#include <span>
#include <string>

#include "app/commands.h"

namespace shunt::app {

// `words`: without the program's name. Not a command but an Outcome: help or the version (kFine),
// or a wrong command line (kUsage) with what is wrong.
std::expected<Command, Outcome> parse_command_line(std::span<const char* const> words);

}  // namespace shunt::app
