// Compares runs of a random scheduler as distributions: two samples of pick sequences, by
// chi-square tests on how often each pick occurs and on which pick follows which. Pure; any thread.
#pragma once

#include <span>
#include <string>

namespace shunt::sched {

struct Comparison {
  bool alike = true;
  std::string reason;  // If not: the test that failed, with its figures.
};

// A pick is one character. Each test rejects equal sources in one of some 100,000 cases.
Comparison compare_runs(std::span<const std::string> recorded,
                        std::span<const std::string> replayed);

}  // namespace shunt::sched
