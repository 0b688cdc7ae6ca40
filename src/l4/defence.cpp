// IPVS's drop_entry, with the fill of the table in the place of the memory that is left.
#include "l4/defence.h"

namespace shunt::l4 {
namespace {

constexpr Duration kSweepInterval = std::chrono::milliseconds(500);
constexpr Duration kRecently = std::chrono::seconds(60);

uint32_t share(uint32_t maximum, uint32_t percent) {
  return static_cast<uint32_t>(uint64_t{maximum} * percent / 100);
}

}  // namespace

Defence::Defence(const DefenceSpec& spec, const ConnectionTable& table, Instant start)
    : table_(table),
      secure_at_(share(table.maximum(), spec.secure_percent)),
      hash_at_(share(table.maximum(), spec.hash_percent)),
      rate_(spec.new_connections, spec.burst, start),
      next_sweep_(start) {}

bool Defence::sweep_due(Instant now) {
  if (!secure() || now < next_sweep_) return false;
  next_sweep_ = now + kSweepInterval;
  return true;
}

bool Defence::may_evict(const Connection& connection, const Timeouts& timeouts, Instant now) {
  if (connection.is(Connection::kTemplate))
    return connection.children == 0 && !connection.is(Connection::kAssured);
  const bool tcp = connection.protocol == kTcp;
  if (tcp) {
    using enum TcpState;
    if (connection.state == kSynReceived || connection.state == kSynAck) return true;
    if (connection.state != kEstablished) return false;
  }
  const Instant last_seen =
      connection.expires - (tcp ? timeouts.of(connection.state) : timeouts.udp);
  if (now - last_seen < kRecently) return false;
  const uint32_t packets = connection.packets;
  if (packets == 0 || packets > kFewPackets) return false;
  if (++turn_[packets] < packets) return false;
  turn_[packets] = 0;
  return true;
}

}  // namespace shunt::l4
