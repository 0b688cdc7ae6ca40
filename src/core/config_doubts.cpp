// A few looks at the whole of a configuration, each on its own. See the header.
#include "core/config_doubts.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace shunt::config {
namespace {

// Registered methods (RFC 9110 §16.1.1, of 2026) that an HTTP/1.1 server may meet, those of WebDAV
// and its kin included.
constexpr std::string_view kMethods[] = {
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PURGE",
    "PROPPATCH",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "NOTIFY",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "M-SEARCH",
    "VERSION-CONTROL",
    "QUERY",
    "SOURCE",
};

void warn_of_methods(const Match& match, Diagnostics& diagnostics) {
  for (const std::string& method : match.method) {
    const bool lower = std::ranges::any_of(method, [](char c) { return c >= 'a' && c <= 'z'; });
    if (lower) continue;  // The loader has said that methods compare with case.
    if (std::ranges::find(kMethods, method) != std::end(kMethods)) continue;
    diagnostics.warning(match.place, fmt::format("\"{}\" is no method that is registered", method),
                        did_you_mean(method, kMethods));
  }
  for (const Match& inner : match.none) warn_of_methods(inner, diagnostics);
  for (const Match& inner : match.any) warn_of_methods(inner, diagnostics);
}

void warn_of_unused_pools(const Config& config, Diagnostics& diagnostics) {
  std::vector<bool> used(config.pools.size());
  const auto use = [&](uint32_t pool) {
    if (pool != kNone) used[pool] = true;
  };
  for (const Rule& rule : config.rules) {
    use(rule.pool);
    use(rule.mirror);
    for (const SplitShare& share : rule.split) use(share.pool);
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    const Pool& pool = config.pools[i];
    diagnostics.warning(pool.place, fmt::format("no rule leads to pool \"{}\"", pool.name),
                        fmt::format("add [[rule]] with pool = \"{}\"", pool.name));
  }
}

void warn_of_quiesced_pools(const Config& config, Diagnostics& diagnostics) {
  for (const Pool& pool : config.pools) {
    const auto quiesced = [](const Server& server) { return server.weight == 0; };
    if (pool.servers.empty() || !std::ranges::all_of(pool.servers, quiesced)) continue;
    diagnostics.warning(
        pool.place,
        fmt::format("every server of pool \"{}\" has weight 0, so none gets a request", pool.name));
  }
}

bool reaches(const SocketAddress& server, const SocketAddress& bind) {
  if (server == bind) return true;
  if (!server.is_ip() || server.family() != bind.family() || server.port() != bind.port())
    return false;
  const bool everywhere =
      bind.ip() == SocketAddress::parse(bind.family() == AF_INET ? "0.0.0.0:0" : "[::]:0")->ip();
  const Cidr loopback = *Cidr::parse(bind.family() == AF_INET ? "127.0.0.0/8" : "::1");
  return everywhere && loopback.contains(server.ip());
}

void warn_of_loops(const Config& config, Diagnostics& diagnostics) {
  for (const Pool& pool : config.pools)
    for (const Server& server : pool.servers)
      for (const Listener& listener : config.listeners)
        for (const SocketAddress& bind : listener.bind)
          if (server.address.size() > 0 && reaches(server.address, bind))
            diagnostics.warning(
                server.place,
                fmt::format("server \"{}\" is our own listener \"{}\": requests would go round",
                            server.name, listener.name));
}

void warn_of_open_admin(const Global& global, Diagnostics& diagnostics) {
  if (!global.admin || !global.admin->is_ip() || is_loopback(*global.admin)) return;
  diagnostics.warning(
      global.admin_place,
      "the admin endpoint asks nobody for a password: whoever reaches this address sees clients' "
      "addresses and, with `shunt ctl pcap`, what they send",
      "admin = \"127.0.0.1:9090\" or \"unix:/run/shunt.sock\"");
}

}  // namespace

void warn_of_doubts(const Config& config, Diagnostics& diagnostics) {
  for (const Rule& rule : config.rules) warn_of_methods(rule.match, diagnostics);
  warn_of_unused_pools(config, diagnostics);
  warn_of_quiesced_pools(config, diagnostics);
  warn_of_loops(config, diagnostics);
  warn_of_open_admin(config.global, diagnostics);
}

}  // namespace shunt::config
