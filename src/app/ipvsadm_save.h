// What `ipvsadm -S -n` writes, as [[service]] tables. A pure parser: every line that cannot be
// carried over is named, the others are. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shunt::app {

struct ImportProblem {
  size_t line = 0;  // From 1.
  std::string text;
};

struct Imported {
  std::string toml;  // A configuration that `shunt check` accepts, unless it has no service.
  size_t services = 0;
  size_t servers = 0;
  std::vector<ImportProblem> problems;
};

// `interface`: of all services; IPVS has none. Lines may begin with "ipvsadm"; empty ones and those
// with '#' are skipped.
Imported import_ipvsadm(std::string_view text, std::string_view interface);

}  // namespace shunt::app
