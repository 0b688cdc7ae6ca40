// Which rules meet connections without HTTP, and what they ask of them. The errors are part of
// check_and_resolve(). Pure: any thread.
#include "core/config_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/config_draft.h"

namespace shunt::config {
namespace {

bool is_tcp(const Listener& listener) {
  return listener.protocol == Protocol::kTcp;
}

bool looks_at_sni(const Match& match) {
  return !match.sni.empty() || std::ranges::any_of(match.none, looks_at_sni) ||
         std::ranges::any_of(match.any, looks_at_sni);
}

template <class Visit>
void each_pool(const Rule& rule, Visit visit) {
  if (rule.pool != kNone) visit(rule.pool);
  for (const SplitShare& share : rule.split) {
    if (share.pool != kNone) visit(share.pool);
  }
}

class Checker {
 public:
  Checker(Draft& draft, Diagnostics& diagnostics)
      : draft_(draft), config_(draft.config), diagnostics_(diagnostics) {
    for (uint32_t i = 0; i < config_.listeners.size(); ++i) {
      if (!is_tcp(config_.listeners[i])) http_.push_back(i);
    }
  }

  void run() {
    if (http_.size() == config_.listeners.size()) return;
    for (size_t i = 0; i < config_.rules.size(); ++i) {
      Rule& rule = config_.rules[i];
      const RuleNames& names = draft_.rule_names[i];
      const Listener* tcp = names.listeners.empty() ? unlisted(rule, names) : listed(rule, names);
      if (tcp != nullptr) check_keys(rule, *tcp);
    }
  }

 private:
  // Each returns a listener without HTTP whose connections the rule gets, or null; or there has
  // been an error.
  const Listener* listed(const Rule& rule, const RuleNames& names) {
    const auto found = std::ranges::find_if(
        rule.listener, [this](uint32_t index) { return is_tcp(config_.listeners[index]); });
    if (found == rule.listener.end()) return nullptr;
    const Listener& listener = config_.listeners[*found];
    const Text* key = first_http_key(names);
    if (key == nullptr) return &listener;
    diagnostics_.error(key->place,
                       fmt::format("\"{}\" needs HTTP, and listener \"{}\" has protocol = \"tcp\"",
                                   key->value, listener.name),
                       fmt::format("leave \"{}\" out of the rule's \"listener\": its rules look at "
                                   "sni, source and listener, and choose a pool",
                                   listener.name));
    return nullptr;
  }

  const Listener* unlisted(Rule& rule, const RuleNames& names) {
    const Listener& tcp = *std::ranges::find_if(config_.listeners, is_tcp);
    const Text* key = first_http_key(names);
    if (key == nullptr) return &tcp;
    if (http_.empty()) {
      diagnostics_.error(
          key->place, fmt::format("\"{}\" needs HTTP, and no listener has it", key->value),
          fmt::format("remove protocol = \"tcp\" from listener \"{}\", or leave \"{}\" out",
                      tcp.name, key->value));
    } else if (!names.http_match.empty()) {
      rule.listener = http_;
    } else {
      diagnostics_.error(
          key->place,
          fmt::format("\"{}\" needs HTTP, but this rule gets the connections of listener \"{}\" "
                      "too, which has protocol = \"tcp\"",
                      key->value, tcp.name),
          fmt::format("add listener = [{}]", names_of_http()));
    }
    return nullptr;
  }

  void check_keys(const Rule& rule, const Listener& tcp) {
    each_pool(rule, [&](uint32_t index) {
      const Pool& pool = config_.pools[index];
      const auto& place = draft_.pool_places[index].key;
      if (!place || !pool.key || of_connection(pool.key->kind)) return;
      diagnostics_.error(
          *place,
          fmt::format("this key needs HTTP, and rule \"{}\" sends connections of listener \"{}\" "
                      "here, which has protocol = \"tcp\"",
                      rule.name, tcp.name),
          "\"source\", \"destination\", or \"host\": the name asked for by TLS");
    });
  }

  static const Text* first_http_key(const RuleNames& names) {
    if (!names.http_match.empty()) return &names.http_match.front();
    return names.http_actions.empty() ? nullptr : &names.http_actions.front();
  }

  std::string names_of_http() const {
    std::string text;
    for (const uint32_t index : http_)
      text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", config_.listeners[index].name);
    return text;
  }

  Draft& draft_;
  Config& config_;
  Diagnostics& diagnostics_;
  std::vector<uint32_t> http_;  // Indexes of the listeners that have it.
};

}  // namespace

void check_protocols(Draft& draft, Diagnostics& diagnostics) {
  Checker(draft, diagnostics).run();
}

bool wants_name(const Config& config, uint32_t listener) {
  const auto by_name = [](const LocalityKey& key) { return key.kind == LocalityKey::Kind::kHost; };
  return std::ranges::any_of(config.rules, [&](const Rule& rule) {
    const auto lists = [](const auto& list, const auto& element) {
      return list.empty() || std::ranges::find(list, element) != list.end();
    };
    if (!lists(rule.listener, listener)) return false;
    if (!lists(rule.match.listener, config.listeners[listener].name)) return false;
    bool wanted = looks_at_sni(rule.match) || (!rule.split.empty() && by_name(rule.split_key));
    each_pool(rule, [&](uint32_t pool) {
      const auto& key = config.pools[pool].key;
      wanted = wanted || (key && by_name(*key));
    });
    return wanted;
  });
}

}  // namespace shunt::config
