// `shunt schedule FILE… [--verify]`: replays recorded connection traces (JSON, as
// tests/data/golden/README.md describes them) through the schedulers. Runs and returns;
// single-threaded.
#pragma once

#include <iosfwd>
#include <span>
#include <string>

namespace shunt::app {

// Prints one line per case: its name, the decisions in order, and the counts in the end as
// NAME=WEIGHT/ACTIVE/INACTIVE. With `verify` compares with the recorded decisions and counts
// instead (random schedulers: as distributions), prints the first difference of each case that
// fails, and ends with "N passed, N failed". Returns the exit code: 0, or 1 if a file cannot be
// read or understood or a case fails.
int run_schedule(std::span<const std::string> files, bool verify, std::ostream& out,
                 std::ostream& err);

}  // namespace shunt::app
