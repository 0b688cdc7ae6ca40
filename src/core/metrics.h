// Counters of one worker: written by its thread alone, read by any. Relaxed, because each is a
// number of its own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "core/reason.h"

namespace shunt {

class Counter {
 public:
  // A plain load and store: there is one writer, so no locked instruction is needed.
  void add(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// One row per counter: identifier, name in the metrics, help text.
// clang-format off: a table.
#define SHUNT_COUNTERS(X)                                                                          \
  X(connections_accepted, "connections_accepted_total", "Client connections accepted.")            \
  X(connections_active, "connections_active", "Client connections open now.")                      \
  X(accept_paused, "accept_paused_total", "Times that accepting paused for want of resources.")     \
  X(client_idle, "client_idle_timeout_total", "Client connections closed because no request came.") \
  X(client_evicted, "client_evicted_total", "Waiting client connections closed for new ones.")      \
  X(source_refused, "source_refused_total", "Connections refused: too many of their source.")       \
  X(requests, "requests_total", "Requests whose head was complete.")                               \
  X(requests_active, "requests_active", "Requests in flight now.")                                 \
  X(tunnels, "tunnels_total", "Connections whose bytes went both ways unread, upgraded or TCP.")    \
  X(tunnels_active, "tunnels_active", "Such connections open now.")                                \
  X(upstream_connects, "upstream_connects_total", "Connections to servers attempted.")             \
  X(upstream_reuses, "upstream_reuses_total", "Requests sent on a kept connection.")               \
  X(upstream_idle, "upstream_idle", "Connections to servers kept idle now.")                       \
  X(upstream_evicted, "upstream_evicted_total", "Idle connections to servers closed for room.")     \
  X(retries, "retries_total", "Requests tried again on another server or connection.")             \
  X(mirrored, "mirrored_requests_total", "Requests copied to a second pool.")                      \
  X(mirrors_skipped, "mirrors_skipped_total", "Requests not copied: too large, or too many.")      \
  X(mirrors_failed, "mirrors_failed_total", "Copies that got no complete answer.")                 \
  X(retries_denied, "retries_denied_total", "Retries that the pool's budget did not allow.")       \
  X(hedges, "hedges_total", "Requests sent to a second server because the first took long.")       \
  X(hedges_won, "hedges_won_total", "Those that the second server answered first.")                \
  X(queued, "queued_total", "Requests that had to wait for a server with room.")                   \
  X(queued_now, "queued", "Requests that wait for a server with room now.")                        \
  X(breaks, "breaks_total", "Times that a server was left out for its load.")                      \
  X(ejections, "ejections_total", "Times that a server was left out for its failures.")            \
  X(bytes_in, "bytes_in_total", "Bytes received from clients, heads included.")                    \
  X(bytes_out, "bytes_out_total", "Bytes sent to clients, heads included.")                        \
  X(spliced, "spliced_bytes_total", "Body bytes moved by splice, without a copy.")
// clang-format on

struct Metrics {
#define X(identifier, name, help) Counter identifier;
  SHUNT_COUNTERS(X)
#undef X
  std::array<Counter, kReasonCount> ended;  // Exchanges by reason.
};

}  // namespace shunt
