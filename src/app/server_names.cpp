// Lookups when they are due, and what is told of their outcome. See the header.
#include "app/server_names.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/assert.h"
#include "core/log.h"
#include "core/units.h"

namespace shunt::app {
namespace {

using namespace std::chrono_literals;

// Lookups at a time: more would only lose each other's datagrams.
constexpr size_t kLookupsMost = 32;
constexpr size_t kShownMost = 8;

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

// A tag names the lookup, and the question in it.
constexpr unsigned kLookupShift = 32;
uint64_t tag_of(uint32_t lookup, size_t question) {
  return uint64_t{lookup} << kLookupShift | question;
}

std::string text_of(const config::DnsAddress& address) {
  return address.service ? fmt::format("srv:{}", address.name)
                         : fmt::format("dns:{}:{}", address.name, address.port);
}

// "10.0.0.1:80, 10.0.0.2:80 and 14 more"
std::string text_of(std::span<const Member> members) {
  std::vector<std::string> shown;
  for (const Member& member : members.first(std::min(members.size(), kShownMost)))
    shown.push_back(member.address.to_string());
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (members.size() > kShownMost) text += fmt::format(" and {} more", members.size() - kShownMost);
  return text;
}

std::string counted(size_t count) {
  return fmt::format("{} server{}", count, count == 1 ? "" : "s");
}

// Who uses which name.
std::map<config::DnsAddress, std::string> names_of(const config::Config& config) {
  std::map<config::DnsAddress, std::string> names;
  for (const config::Pool& pool : config.pools) {
    for (const config::Server& server : pool.servers) {
      if (!server.dns) continue;
      std::string& users = names[*server.dns];
      users += fmt::format("{}pool {}", users.empty() ? "" : ", ", pool.name);
      if (server.name != server.address_text) users += fmt::format(" server {}", server.name);
    }
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<ServerNames>> ServerNames::create() {
  auto resolver = io::Resolver::create();
  if (!resolver) return std::unexpected(std::move(resolver).error());
  return std::make_unique<ServerNames>(Private(), std::move(*resolver));
}

ServerNames::ServerNames(Private, std::unique_ptr<io::Resolver> resolver)
    : resolver_(std::move(resolver)) {}

// With each configuration the nameservers are read anew, as they may be those of resolv.conf.
Result<void> ServerNames::adopt(const config::Config& config) {
  auto names = names_of(config);
  if (names.empty() && entries_.empty()) return {};
  if (auto used = resolver_->use(config.resolver); !used) return used;
  const bool other_settings = std::exchange(settings_, config.resolver) != config.resolver;
  const Instant now = clock_now();
  // Whoever was being asked for is asked for again.
  lookups_.clear();
  for (auto& [address, entry] : entries_) {
    if (std::exchange(entry.lookup, nullptr) != nullptr) entry.state.ask_at(now);
  }
  for (auto& [address, users] : names) {
    const auto [place, added] = entries_.try_emplace(address);
    place->second.users = std::move(users);
    // One that is in trouble, or other nameservers, may have been what this reload is for.
    const bool in_trouble = !place->second.state.trouble().empty();
    if (added || in_trouble || other_settings) place->second.state.ask_at(now);
  }
  process();
  return {};
}

void ServerNames::keep_only(const config::Config& config) {
  const auto names = names_of(config);
  std::erase_if(entries_, [&names](const auto& entry) { return !names.contains(entry.first); });
  std::erase_if(lookups_, [&names](const auto& lookup) { return !names.contains(lookup.second); });
  std::erase_if(changed_, [&names](const auto& name) { return !names.contains(name); });
}

bool ServerNames::all_asked() const {
  return std::ranges::all_of(entries_,
                             [](const auto& entry) { return entry.second.state.asked(); });
}

void ServerNames::wait_for_first(Duration longest) {
  const Instant deadline = clock_now() + longest;
  for (;;) {
    process();
    const Duration left = deadline - clock_now();
    if (all_asked() || left <= Duration::zero()) break;
    pollfd ready{.fd = event(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
  }
  for (const auto& [address, entry] : entries_) {
    if (entry.state.asked()) continue;
    log::warning(
        "{} ({}): no answer from {} within {}; going on without its servers until it comes",
        text_of(address), entry.users, resolver_->nameservers(), format_duration(longest));
  }
}

bool ServerNames::process() {
  if (!resolver_->ready()) return false;
  resolver_->process();
  io::DnsReply reply;
  while (resolver_->take(reply)) on_reply(std::move(reply));

  const Instant now = clock_now();
  Instant next = kNever;
  for (auto& [address, entry] : entries_) {
    if (entry.lookup != nullptr) continue;
    if (entry.state.due() > now) {
      next = std::min(next, entry.state.due());
    } else if (lookups_.size() < kLookupsMost) {  // Else when one of them is over.
      begin(entry, address);
    }
  }
  resolver_->wake_at(next);
  return !changed_.empty();
}

void ServerNames::begin(Entry& entry, const config::DnsAddress& address) {
  entry.lookup = std::make_unique<NameLookup>(address);
  entry.lookup_id = ++last_lookup_;
  lookups_.emplace(entry.lookup_id, address);
  ask(entry);
}

void ServerNames::ask(Entry& entry) {
  while (const auto number = entry.lookup->next()) {
    const Question& question = entry.lookup->question(*number);
    resolver_->ask(tag_of(entry.lookup_id, *number), question.type, question.name);
  }
}

void ServerNames::on_reply(io::DnsReply reply) {
  const uint64_t tag = reply.tag;
  const auto lookup = lookups_.find(static_cast<uint32_t>(tag >> kLookupShift));
  if (lookup == lookups_.end()) return;  // The name has been dropped meanwhile.
  const auto named = entries_.find(lookup->second);
  SHUNT_ASSERT(named != entries_.end() && named->second.lookup != nullptr);
  Entry& entry = named->second;
  entry.lookup->on_reply(static_cast<uint32_t>(tag), std::move(reply));
  ask(entry);
  if (!entry.lookup->done()) return;
  lookups_.erase(lookup);
  finish(*named, clock_now());
}

void ServerNames::finish(Entries::value_type& named, Instant now) {
  auto& [address, entry] = named;
  Found found = evaluate(address, entry.lookup->questions(), entry.state.members());
  entry.lookup.reset();
  const NameState::Outcome outcome = entry.state.take(std::move(found), now, settings_);
  report(named, outcome);
  if (outcome.changed && std::ranges::find(changed_, address) == changed_.end())
    changed_.push_back(address);
}

// Once per change, not per answer.
void ServerNames::report(const Entries::value_type& named,
                         const NameState::Outcome& outcome) const {
  const auto& [address, entry] = named;
  const NameState& state = entry.state;
  const size_t count = state.members().size();
  if (outcome.changed) {
    std::string text;
    if (!outcome.added.empty()) text += fmt::format(", added {}", text_of(outcome.added));
    if (!outcome.removed.empty()) text += fmt::format(", removed {}", text_of(outcome.removed));
    log::info("{} ({}): {}{}", text_of(address), entry.users, counted(count),
              text.empty() ? ", other weights" : text);
  }
  if (outcome.news == NameState::News::kOver)
    log::info("{} ({}): answered again, {}", text_of(address), entry.users, counted(count));
  if (outcome.news == NameState::News::kTrouble)
    log::warning("{} ({}): {}; asked {}; {}; asking again", text_of(address), entry.users,
                 state.trouble(), resolver_->nameservers(),
                 count == 0 ? "it has no server yet" : fmt::format("keeping {}", counted(count)));
}

std::vector<config::DnsAddress> ServerNames::take_changed() {
  return std::exchange(changed_, {});
}

std::span<const Member> ServerNames::members(const config::DnsAddress& address) const {
  const auto found = entries_.find(address);
  return found == entries_.end() ? std::span<const Member>() : found->second.state.members();
}

}  // namespace shunt::app
