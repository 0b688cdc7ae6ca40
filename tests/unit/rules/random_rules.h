// Random rules and requests from vocabularies so small that they meet often. The same seed gives
// the same rules.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/config.h"
#include "rules/request_view.h"

namespace shunt::rules {

// A request together with the bytes that its view refers to.
struct OwnedRequest {
  std::string host;
  std::string path;
  std::string query;
  std::vector<std::pair<std::string, std::string>> fields;
  std::vector<HeaderView> headers;
  RequestView view;
};

class RandomRules {
 public:
  explicit RandomRules(uint32_t seed) : random_(seed) {}

  static std::vector<config::Listener> listeners();
  std::vector<config::Rule> rules(size_t count);
  // Fills `request`, whose view stays valid until it is moved or filled again.
  void fill(OwnedRequest& request);
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

 private:
  bool one_in(uint32_t bound) { return below(bound) == 0; }
  template <size_t size>
  std::string pick(const char* const (&texts)[size]) {
    return texts[below(size)];
  }
  template <size_t size>
  std::vector<std::string> some(const char* const (&texts)[size]);
  config::Match match(int depth);
  config::NamedMatch named(const std::string& name);

  std::mt19937 random_;
};

}  // namespace shunt::rules
