// Random requests against a fixed, rich set of rules: match() must decide as the naive evaluation
// of explain() does, and normalised paths must be in normal form. The input is lines: method, host,
// path, query, source (16 octets), then "name: value".
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/assert.h"
#include "rules/locality_key.h"
#include "rules/path.h"
#include "rules/rule_set.h"
#include "unit/rules/random_rules.h"

namespace {

using namespace shunt;
using namespace shunt::rules;

struct Farm {
  std::vector<config::Listener> listeners = RandomRules::listeners();
  std::vector<config::Rule> rules;
  std::unique_ptr<const RuleSet> set;
  RuleSet::Scratch scratch;

  Farm() {
    rules = RandomRules(42).rules(400);
    // One that always matches would hide the rest.
    std::erase_if(rules, [](const config::Rule& rule) { return rule.match.empty(); });
    Diagnostics diagnostics;
    set = RuleSet::compile(rules, listeners, diagnostics);
    SHUNT_ASSERT(!diagnostics.has_errors());
  }
};

std::string_view take_line(std::string_view& input) {
  const size_t end = input.find('\n');
  const std::string_view line = input.substr(0, end);
  input = end == std::string_view::npos ? std::string_view() : input.substr(end + 1);
  return line;
}

void check_path(std::string_view raw, std::string_view normal) {
  std::string scratch;
  SHUNT_ASSERT(normalise_path(normal, scratch) == normal);
  if (!raw.starts_with('/')) return;
  SHUNT_ASSERT(normal.starts_with('/'));
  SHUNT_ASSERT(normal.find("//") == std::string_view::npos);
  SHUNT_ASSERT(normal.find("/../") == std::string_view::npos);
  SHUNT_ASSERT(normal.find("/./") == std::string_view::npos);
  SHUNT_ASSERT(is_normal_prefix(normal));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Farm farm;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  RequestView request;
  request.method = take_line(input);
  request.host = take_line(input);
  const std::string_view raw = take_line(input);
  std::string path;
  request.path = normalise_path(raw, path);
  check_path(raw, request.path);
  request.query = take_line(input);
  const std::string_view source = take_line(input);
  std::copy_n(source.begin(), std::min(source.size(), request.source.bytes.size()),
              request.source.bytes.begin());
  request.listener = static_cast<uint32_t>(size % farm.listeners.size());
  request.scheme = size % 2 == 0 ? "http" : "https";
  std::vector<HeaderView> headers;
  while (!input.empty() && headers.size() < 100) {
    const std::string_view line = take_line(input);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos)
      headers.push_back({line.substr(0, colon), line.substr(colon + 1)});
  }
  request.headers = headers;

  const uint32_t decision = farm.set->match(request, farm.scratch);
  const std::vector<Step> steps = farm.set->explain(request);
  SHUNT_ASSERT(decision == (steps.back().matched ? steps.back().rule : kNoRule));
  for (const auto kind : {config::LocalityKey::Kind::kUrl, config::LocalityKey::Kind::kQuery,
                          config::LocalityKey::Kind::kCookie}) {
    const config::LocalityKey key{kind, "x"};
    const std::string text = locality_text(key, request);
    RequestView same;
    same.path = text;
    SHUNT_ASSERT(locality_hash(key, request) ==
                 locality_hash({config::LocalityKey::Kind::kPath, ""}, same));
  }
  return 0;
}
