// From host names to numbers: exact names and "*.suffix" patterns in hash tables, so that a look-up
// costs one probe per label of the host and nothing per pattern. Built once, then immutable and
// safe for all threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "rules/text.h"

namespace shunt::rules {

// Whether `pattern` ("example.com", or "*.example.com" for the names below it) is the pattern of
// `host`. Both lower case.
constexpr bool host_matches(std::string_view host, std::string_view pattern) {
  if (!pattern.starts_with("*.")) return host == pattern;
  const std::string_view suffix = pattern.substr(1);
  return host.size() > suffix.size() && host.ends_with(suffix);
}

class HostTable {
 public:
  // `pattern` as host_matches() takes it. Each is added once.
  void add(std::string_view pattern, uint32_t value) {
    if (!pattern.starts_with("*.")) {
      names_.emplace(pattern, value);
      return;
    }
    suffixes_.emplace(pattern.substr(1), value);
    suffix_size_max_ = std::max(suffix_size_max_, pattern.size() - 1);
  }

  // Calls visit(value) for each pattern of `host`, the exact name first, then from the longest
  // suffix to the shortest.
  template <class Visit>
  void find(std::string_view host, Visit visit) const {
    if (const auto name = names_.find(host); name != names_.end()) visit(name->second);
    if (suffixes_.empty() || host.empty()) return;
    // No suffix is longer than the longest known, which bounds the work on "a.a.a.a…".
    const size_t shortest_skip =
        host.size() > suffix_size_max_ ? host.size() - suffix_size_max_ : 1;
    size_t dot = host.find('.', std::max<size_t>(shortest_skip, 1));
    for (; dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      const auto suffix = suffixes_.find(host.substr(dot));
      if (suffix != suffixes_.end()) visit(suffix->second);
    }
  }

 private:
  TextMap<uint32_t> names_;
  TextMap<uint32_t> suffixes_;  // With the leading dot.
  size_t suffix_size_max_ = 0;
};

}  // namespace shunt::rules
