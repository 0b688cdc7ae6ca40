// How many connections a source may have: counts them over all workers, in a table that these
// share, and says so when it refuses one. Owned by a worker's service, used on its thread only.
#pragma once

#include "core/address.h"
#include "core/config.h"
#include "core/instant.h"
#include "core/key_counts.h"
#include "core/metrics.h"

namespace shunt::proxy {

class SourceLimit {
 public:
  // `counts`: null for no such limits; outlives this.
  SourceLimit(KeyCounts* counts, Metrics& metrics) : counts_(counts), metrics_(metrics) {}

  // A new connection of `client`; KeyCounts::kRefused: one too many.
  KeyCounts::Ticket take(const config::Listener& listener, const SocketAddress& client,
                         Instant now);
  void give_back(KeyCounts::Ticket ticket) {
    if (counts_ != nullptr) counts_->give_back(ticket);
  }

 private:
  KeyCounts* const counts_;
  Metrics& metrics_;
  Instant report_due_{};  // Of the next refusal.
};

}  // namespace shunt::proxy
