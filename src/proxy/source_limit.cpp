// Counts the connections of a source, and reports refusals once in a while. See the header.
#include "proxy/source_limit.h"

#include <algorithm>
#include <chrono>

#include "core/hash.h"
#include "core/log.h"
#include "proxy/source_key.h"

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;
constexpr Duration kReportEvery = 60s;

}  // namespace

KeyCounts::Ticket SourceLimit::take(const config::Listener& listener, const SocketAddress& client,
                                    Instant now) {
  const uint32_t most = std::min(listener.connections_per_source, KeyCounts::kMost);
  if (most == 0 || counts_ == nullptr || !client.is_ip()) return KeyCounts::kUncounted;
  // Listeners count for themselves.
  const uint64_t name = siphash_1_3(listener.name, 0, 0);
  const uint64_t source = source_key(client.ip(), listener.source_ipv6_prefix);
  const KeyCounts::Ticket ticket = counts_->take(source ^ name, most);
  if (ticket != KeyCounts::kRefused) return ticket;
  metrics_.source_refused.add();
  if (now < report_due_) return ticket;
  report_due_ = now + kReportEvery;
  log::warning("listener \"{}\": {} has {} connections; more are refused (connections_per_source)",
               listener.name, client.ip().to_string(), listener.connections_per_source);
  return ticket;
}

}  // namespace shunt::proxy
