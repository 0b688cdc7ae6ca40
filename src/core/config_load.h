// Reads a configuration: TOML text in, plain structs and every problem out. The only user of
// toml++.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/config.h"
#include "core/diagnostics.h"

namespace shunt::config {

struct Loaded {
  Config config;  // Meaningful only if !diagnostics.has_errors().
  Diagnostics diagnostics;
};

// What the loader must know of the other layers without including them.
struct Vocabulary {
  std::vector<std::string_view> schedulers;
};

// Loads `path` and the files it includes (globs relative to the including file, sorted).
Loaded load_file(const std::filesystem::path& path, const Vocabulary& vocabulary);

// The same from memory; `name` is what diagnostics call it, `include` is refused. For tests and the
// fuzzer.
Loaded load_text(std::string_view text, std::string_view name, const Vocabulary& vocabulary);

}  // namespace shunt::config
