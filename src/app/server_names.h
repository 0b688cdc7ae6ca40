// The names that stand for servers, kept up to date: asks for each at the start and again when its
// TTL is over, and remembers the last good answer. Owned by the server; main thread, which waits
// for event() beside its other events, so that the data path never waits for a nameserver.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/name_lookup.h"
#include "app/name_state.h"
#include "core/config.h"
#include "io/resolver.h"

namespace shunt::app {

// Where those who build server sets learn what names lead to.
class MemberSource {
 public:
  // By address; empty: nothing yet.
  virtual std::span<const Member> members(const config::DnsAddress& address) const = 0;

 protected:
  ~MemberSource() = default;
};

class ServerNames final : public MemberSource {
  struct Private {
    explicit Private() = default;
  };

 public:
  static Result<std::unique_ptr<ServerNames>> create();
  ServerNames(Private, std::unique_ptr<io::Resolver> resolver);  // For create().

  // Asks for the names of `config` too from now on, by its settings. The error: the settings cannot
  // be used; then nothing has changed.
  Result<void> adopt(const config::Config& config);
  // Forgets the names that `config` does not have.
  void keep_only(const config::Config& config);

  // Waits until each name has been asked for once, whatever came of it, or this time is over.
  void wait_for_first(Duration longest);

  int event() const { return resolver_->event(); }  // Readable: process() has something to do.
  // Does what is due, and logs the news. Whether members have changed since the last
  // take_changed().
  bool process();
  std::vector<config::DnsAddress> take_changed();

  std::span<const Member> members(const config::DnsAddress& address) const override;

 private:
  struct Entry {
    NameState state;
    std::string users;  // "pool images, server img"; for the log.
    std::unique_ptr<NameLookup> lookup;
    uint32_t lookup_id = 0;  // Of `lookup`.
  };
  using Entries = std::map<config::DnsAddress, Entry>;

  void begin(Entry& entry, const config::DnsAddress& address);
  void ask(Entry& entry);
  void on_reply(io::DnsReply reply);
  void finish(Entries::value_type& named, Instant now);
  void report(const Entries::value_type& named, const NameState::Outcome& outcome) const;
  bool all_asked() const;

  const std::unique_ptr<io::Resolver> resolver_;
  config::Resolver settings_;
  Entries entries_;
  std::map<uint32_t, config::DnsAddress> lookups_;  // Under way, by their ids.
  uint32_t last_lookup_ = 0;
  std::vector<config::DnsAddress> changed_;
};

}  // namespace shunt::app
