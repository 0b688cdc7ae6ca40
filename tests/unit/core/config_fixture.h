// What the tests of the configuration share: the vocabulary of the schedulers and short ways to
// load a text.
#pragma once

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "core/config_load.h"

namespace shunt::config {

inline const Vocabulary kVocabulary{{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed",
                                     "nq", "fo", "ovf", "mh", "twos"}};

// A listener and a pool, so that a text about something else is complete.
inline constexpr std::string_view kListenerText =
    "[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:80\"\n";
inline constexpr std::string_view kPoolText =
    "[pool.pages]\nserver = [ { name = \"p1\", address = \"10.0.0.1:80\" } ]\n";

inline Loaded load(std::string_view text) {
  return load_text(text, "test.toml", kVocabulary);
}

// The text of a file of the repository.
inline std::string read_source(const std::string& path) {
  std::ifstream stream(std::string(SHUNT_SOURCE_DIR) + "/" + path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace shunt::config
