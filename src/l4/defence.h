// What keeps the connection table from filling up, in steps: IPVS's secure_tcp and drop_entry once
// it is three quarters full; and at its end, or when new connections come faster than allowed,
// placing them by consistent hash without remembering. Pure; one worker's.
#pragma once

#include <array>
#include <cstdint>

#include "core/instant.h"
#include "l4/connection.h"
#include "l4/connection_table.h"
#include "l4/rate_limit.h"

namespace shunt::l4 {

struct DefenceSpec {
  uint32_t new_connections = 0;  // A second; 0: no cap.
  uint32_t burst = 1000;         // So many at once.
  uint32_t secure_percent = 75;  // Fill from which secure_tcp and drop_entry are on.
  uint32_t hash_percent = 95;    // Fill from which new connections are not remembered.
};

class Defence {
 public:
  Defence(const DefenceSpec& spec, const ConnectionTable& table, Instant start);

  // Whether TCP states follow the secure table.
  bool secure() const { return table_.size() >= secure_at_; }
  // Whether one more connection may be remembered; counts it.
  bool admit(Instant now) { return table_.size() < hash_at_ && rate_.take(now); }

  // Whether a sweep is due: twice a second while secure.
  bool sweep_due(Instant now);
  // Whether `connection` is worth less than its room: handshakes that have not ended, and some of
  // those that have been silent for a minute and were short (IPVS's drop_entry).
  bool may_evict(const Connection& connection, const Timeouts& timeouts, Instant now);

 private:
  static constexpr size_t kFewPackets = 8;

  const ConnectionTable& table_;
  const uint32_t secure_at_;
  const uint32_t hash_at_;
  RateLimit rate_;
  Instant next_sweep_;
  std::array<uint8_t, kFewPackets + 1> turn_{};
};

}  // namespace shunt::l4
