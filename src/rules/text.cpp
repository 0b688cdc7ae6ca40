// ASCII case folding and trimming. Pure functions, any thread.
#include "rules/text.h"

#include <algorithm>

namespace shunt::rules {

std::string_view to_lower(std::string_view text, std::string& storage) {
  const bool is_lower = std::ranges::none_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (is_lower) return text;
  storage.resize(text.size());
  std::ranges::transform(text, storage.begin(), ascii_lower);
  return storage;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace shunt::rules
