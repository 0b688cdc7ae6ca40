// Reads [resolver].
// Owned by one load, on the thread that loads.
#include "core/config_load_parts.h"

namespace shunt::config {
namespace {

constexpr uint16_t kDnsPort = 53;
constexpr int64_t kAttemptsMax = 10;
constexpr Duration kTimeoutMin = 10ms;
constexpr Duration kTimeoutMax = 30s;
constexpr Duration kTtlMin = 100ms;
constexpr Duration kTtlMax = 7 * 24h;
constexpr Duration kRetryMax = 1h;
constexpr Duration kStartWaitMax = 1min;

// "10.0.0.53" or "10.0.0.53:5353": by address, since somebody has to be asked for names.
Result<SocketAddress> parse_nameserver(std::string_view text) {
  if (const auto ip = IpAddress::parse(text)) return SocketAddress(*ip, kDnsPort);
  const auto address = SocketAddress::parse(text);
  if (!address || !address->is_ip() || address->port() == 0)
    return fail(fmt::format("\"{}\" is not \"IP\" or \"IP:PORT\" of a nameserver", text));
  return *address;
}

}  // namespace

void load_resolver(Loading& loading, const toml::table& table) {
  if (const std::optional<Place>& first = loading.draft.resolver_place)
    loading.error(table, fmt::format("[resolver] was given before, at {}:{}",
                                     loading.diagnostics.file_name(first->file), first->line));
  loading.draft.resolver_place = loading.place_of(table);
  TableReader reader(loading, table, kResolverKeys, "[resolver]");
  Resolver& resolver = loading.draft.config.resolver;
  for (const Text& text : reader.strings("nameservers")) {
    const auto address = parse_nameserver(text.value);
    if (address) {
      resolver.nameservers.push_back(*address);
    } else {
      loading.diagnostics.error(text.place, address.error().text);
    }
  }
  reader.duration("timeout", resolver.timeout, kTimeoutMin, kTimeoutMax);
  reader.integer("attempts", resolver.attempts, 1, kAttemptsMax);
  reader.duration("ttl_min", resolver.ttl_min, kTtlMin, kTtlMax);
  reader.duration("ttl_max", resolver.ttl_max, kTtlMin, kTtlMax);
  if (resolver.ttl_min > resolver.ttl_max)
    loading.diagnostics.error(reader.place_of("ttl_min"),
                              "\"ttl_min\" must not be longer than \"ttl_max\"");
  reader.duration("retry_min", resolver.retry_min, kTtlMin, kRetryMax);
  reader.duration("retry_max", resolver.retry_max, kTtlMin, kRetryMax);
  if (resolver.retry_min > resolver.retry_max)
    loading.diagnostics.error(reader.place_of("retry_min"),
                              "\"retry_min\" must not be longer than \"retry_max\"");
  reader.duration("start_wait", resolver.start_wait, 0s, kStartWaitMax);
}

}  // namespace shunt::config
