// What can only be checked when every file has been read: names that must be unique, names that
// must exist, addresses bound twice; and what follows from the whole: default names, indexes, the
// implied rule. Owned by one load, on the thread that loads.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include "core/assert.h"
#include "core/config_draft.h"

namespace shunt::config {
namespace {

struct SchedulerFlag {
  std::string_view name;
  std::string_view scheduler;
};
constexpr SchedulerFlag kSchedulerFlags[] = {
    {"sh-port", "sh"}, {"sh-fallback", "sh"}, {"mh-port", "mh"}, {"mh-fallback", "mh"}};

class Checker {
 public:
  Checker(Draft& draft, Place whole, Diagnostics& diagnostics)
      : draft_(draft), config_(draft.config), whole_(whole), diagnostics_(diagnostics) {}

  void run() {
    name_rules();
    unique(config_.listeners, "listener");
    unique(config_.pools, "pool");
    unique(config_.rules, "rule");
    unique(config_.services, "service");
    for (size_t i = 0; i < config_.pools.size(); ++i) check_pool(i);
    for (size_t i = 0; i < config_.services.size(); ++i) check_service(i);
    check_claims();
    check_binds();
    resolve_rules();
    check_uses(draft_.match_listeners, config_.listeners, "listener");
    check_tests();
    check_whole();
    check_protocols(draft_, diagnostics_);
  }

 private:
  std::string at(const Place& place) const {
    return fmt::format("{}:{}", diagnostics_.file_name(place.file), place.line);
  }

  void name_rules() {
    for (size_t i = 0; i < config_.rules.size(); ++i)
      if (config_.rules[i].name.empty()) config_.rules[i].name = fmt::format("rule-{}", i + 1);
  }

  template <class T>
  void unique(const std::vector<T>& all, std::string_view kind) {
    std::map<std::string_view, Place> seen;
    for (const T& one : all) {
      const auto [first, added] = seen.emplace(one.name, one.place);
      if (!added && !has_no_name_of_its_own(one))
        diagnostics_.error(one.place, fmt::format("{} \"{}\" is given twice, first at {}", kind,
                                                  one.name, at(first->second)));
    }
  }

  // An unnamed listener is named after its address, and check_binds() says that better.
  bool has_no_name_of_its_own(const Listener& listener) const {
    const ListenerPlaces& places =
        draft_.listener_places[static_cast<size_t>(&listener - config_.listeners.data())];
    return !places.named && (listener.bind.empty() || listener.bind.front().port() != 0);
  }
  // A server without an address has an error already.
  static bool has_no_name_of_its_own(const Server& server) { return server.name.empty(); }
  static bool has_no_name_of_its_own(const ServiceServer& server) { return server.name.empty(); }
  static bool has_no_name_of_its_own(const Service& service) { return service.name.empty(); }
  template <class T>
  static bool has_no_name_of_its_own(const T&) {
    return false;
  }

  void check_pool(size_t index) {
    const Pool& pool = config_.pools[index];
    unique(pool.servers, "server");
    std::map<std::string, Place> addresses;
    for (const Server& server : pool.servers) {
      check_member_names(pool, server);
      if (!server.dns && server.address.size() == 0) continue;
      if (server.name == server.address_text) continue;
      std::string address = server.dns ? server.address_text : server.address.to_string();
      const auto [first, added] = addresses.emplace(std::move(address), server.place);
      if (!added)
        diagnostics_.warning(server.place, fmt::format("{} is in pool \"{}\" twice, first at {}",
                                                       first->first, pool.name, at(first->second)));
    }
    if (!draft_.pool_places[index].scheduler_known) return;
    for (const Text& flag : draft_.pool_places[index].scheduler_flags)
      check_flag(flag, pool.scheduler);
  }

  // What a name leads to gets names of its own; no other server may look like one of them.
  void check_member_names(const Pool& pool, const Server& server) {
    for (const Server& named : pool.servers) {
      if (!named.dns || !server.name.starts_with(named.name + "/")) continue;
      diagnostics_.error(
          server.place,
          fmt::format("server \"{}\": names that begin with \"{}/\" are for the servers that {} "
                      "leads to",
                      server.name, named.name, named.address_text));
    }
  }

  void check_service(size_t index) {
    const Service& service = config_.services[index];
    unique(service.servers, "server");
    const ServicePlaces& places = draft_.service_places[index];
    if (!places.scheduler_known) return;
    for (const Text& flag : places.scheduler_flags) check_flag(flag, service.scheduler);
  }

  // The narrowest claim wins; of two alike the second would never get a packet.
  void check_claims() {
    std::map<std::string, Place> seen;
    for (const Service& service : config_.services) {
      for (const VirtualAddress& address : service.addresses) {
        for (const bool tcp : {true, false}) {
          if (!(tcp ? service.tcp : service.udp)) continue;
          std::string claim = fmt::format("{} {} port {}", tcp ? "tcp" : "udp",
                                          address.ip.to_string(), address.first);
          if (address.first != address.last) claim += fmt::format("-{}", address.last);
          const auto [first, added] = seen.emplace(std::move(claim), address.place);
          if (!added)
            diagnostics_.error(address.place, fmt::format("{} has a service already, at {}",
                                                          first->first, at(first->second)));
        }
      }
    }
  }

  void check_flag(const Text& flag, std::string_view scheduler) {
    const auto known = std::ranges::find(kSchedulerFlags, flag.value, &SchedulerFlag::name);
    if (known == std::end(kSchedulerFlags)) {
      std::vector<std::string_view> names;
      for (const SchedulerFlag& one : kSchedulerFlags) names.push_back(one.name);
      std::string hint = did_you_mean(flag.value, names);
      if (hint.empty()) hint = fmt::format("flags: {}", fmt::join(names, ", "));
      diagnostics_.error(flag.place, fmt::format("unknown scheduler flag \"{}\"", flag.value),
                         hint);
    } else if (known->scheduler != scheduler) {
      diagnostics_.error(
          flag.place, fmt::format("\"{}\" is a flag of scheduler \"{}\", not of \"{}\"", flag.value,
                                  known->scheduler, scheduler));
    }
  }

  void check_binds() {
    std::map<std::string, Place> seen;
    for (size_t i = 0; i < config_.listeners.size(); ++i) {
      const std::vector<SocketAddress>& bind = config_.listeners[i].bind;
      const std::vector<Text>& places = draft_.listener_places[i].bind;
      SHUNT_ASSERT(bind.size() == places.size());
      for (size_t k = 0; k < bind.size(); ++k) {
        if (bind[k].is_ip() && bind[k].port() == 0) continue;  // Each gets a port of its own.
        const auto [first, added] = seen.emplace(bind[k].to_string(), places[k].place);
        if (!added)
          diagnostics_.error(places[k].place, fmt::format("{} is bound twice, first at {}",
                                                          first->first, at(first->second)));
      }
    }
  }

  // The index of the element that `use` names, or kNone with an error.
  template <class T>
  uint32_t resolve(const Text& use, const std::vector<T>& all, std::string_view kind) {
    const auto found = std::ranges::find(all, use.value, &T::name);
    if (found != all.end()) return static_cast<uint32_t>(found - all.begin());
    if (draft_.incomplete) return kNone;  // It may be in the part that could not be read.
    std::vector<std::string_view> names;
    for (const T& one : all) names.push_back(one.name);
    std::string hint = did_you_mean(use.value, names);
    if (hint.empty() && !names.empty()) hint = what_there_is(kind, names);
    diagnostics_.error(use.place, fmt::format("unknown {} \"{}\"", kind, use.value),
                       std::move(hint));
    return kNone;
  }

  static std::string what_there_is(std::string_view kind, std::span<const std::string_view> names) {
    constexpr size_t kShownMax = 8;
    const auto shown = names.first(std::min(names.size(), kShownMax));
    std::string text = fmt::format("{}s: \"{}\"", kind, fmt::join(shown, "\", \""));
    if (names.size() > shown.size()) text += fmt::format(" and {} more", names.size() - kShownMax);
    return text;
  }

  template <class T>
  void check_uses(const std::vector<Text>& uses, const std::vector<T>& all, std::string_view kind) {
    for (const Text& use : uses) resolve(use, all, kind);
  }

  void resolve_rules() {
    for (size_t i = 0; i < config_.rules.size(); ++i) {
      Rule& rule = config_.rules[i];
      const RuleNames& names = draft_.rule_names[i];
      if (names.pool) rule.pool = resolve(*names.pool, config_.pools, "pool");
      if (names.mirror) rule.mirror = resolve(*names.mirror, config_.pools, "pool");
      for (size_t k = 0; k < names.split.size(); ++k)
        rule.split[k].pool = resolve(names.split[k], config_.pools, "pool");
      for (const Text& use : names.listeners) {
        const uint32_t index = resolve(use, config_.listeners, "listener");
        if (index != kNone) rule.listener.push_back(index);
      }
    }
  }

  void check_tests() {
    for (const TestNames& names : draft_.test_names) {
      if (names.pool) resolve(*names.pool, config_.pools, "pool");
      const bool implied = config_.rules.empty() && names.rule && names.rule->value == kImpliedRule;
      if (names.rule && !implied) resolve(*names.rule, config_.rules, "rule");
    }
  }

  void check_whole() {
    if (draft_.incomplete) return;
    const bool layer4_only = !config_.services.empty() && config_.listeners.empty() &&
                             config_.pools.empty() && config_.rules.empty();
    if (layer4_only) return;
    if (config_.listeners.empty())
      diagnostics_.error(whole_, "there is no listener",
                         "add [[listener]] with bind = \"0.0.0.0:80\"");
    if (!config_.rules.empty()) return;
    if (config_.pools.size() == 1) {
      Rule rule;
      rule.place = config_.pools.front().place;
      rule.name = kImpliedRule;
      rule.pool = 0;
      config_.rules.push_back(std::move(rule));
      draft_.rule_names.emplace_back();
    } else if (config_.pools.empty()) {
      diagnostics_.error(whole_, "there is no pool",
                         "add [[pool.NAME.server]] with address = \"10.0.0.11:8080\"");
    } else {
      diagnostics_.error(
          whole_,
          fmt::format("there are {} pools and no rule that chooses one", config_.pools.size()),
          "add [[rule]] with pool = \"NAME\"");
    }
  }

  static constexpr std::string_view kImpliedRule = "default";

  Draft& draft_;
  Config& config_;
  const Place whole_;
  Diagnostics& diagnostics_;
};

}  // namespace

void check_and_resolve(Draft& draft, Place whole, Diagnostics& diagnostics) {
  Checker(draft, whole, diagnostics).run();
}

}  // namespace shunt::config
