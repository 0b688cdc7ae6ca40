// One connection: its addresses, its state, its server. Laid out so that a packet of a known
// connection touches one cache line of it. Owned by the ConnectionTable; one worker's thread.
#pragma once

#include <cstdint>

#include "core/address.h"
#include "core/instant.h"
#include "core/timer_wheel.h"
#include "l4/packet.h"
#include "l4/tcp_state.h"

namespace shunt::l4 {

class ConnectionTable;
struct RealServer;

struct alignas(64) Connection {
  enum Flag : uint16_t {
    kInUse = 1,
    kNoOutput = 2,      // Replies do not pass by: input-only states.
    kTemplate = 4,      // Persistence: where a client's connections go.
    kActive = 8,        // Counted as active, otherwise as inactive. Templates are not counted.
    kAssured = 16,      // A template that a finished handshake stands for.
    kForward = 32,      // Findable by the client's packets…
    kReply = 64,        // …and by the server's.
    kControlled = 128,  // `control` is its template.
  };

  // Read for each packet: the first cache line.
  IpAddress client;
  IpAddress address;  // The virtual one.
  uint16_t client_port = 0;
  uint16_t port = 0;
  uint16_t server_port = 0;
  uint8_t protocol = 0;
  TcpState state = TcpState::kNone;
  RealServer* server = nullptr;  // Referred to.
  Instant expires{};
  uint32_t packets = 0;  // From the client; stays at its maximum.
  uint16_t flags = 0;

  // Read when the state changes.
  Timer timer;  // Fires at `expires` or earlier, and is then set anew.
  ConnectionTable* table = nullptr;
  Connection* control = nullptr;  // The template it belongs to. In the free list: the next one.
  uint32_t children = 0;          // Of a template.

  bool is(Flag flag) const { return (flags & flag) != 0; }
  void set(Flag flag) { flags = static_cast<uint16_t>(flags | flag); }
  void clear(Flag flag) { flags = static_cast<uint16_t>(flags & ~flag); }
  Tuple forward_tuple() const { return {client, address, client_port, port, protocol}; }
  Tuple reply_tuple() const;  // Of packets from the server.
};

// The table's index adds at most 64 bytes (ConnectionTable::kSlotsPerConnection).
static_assert(sizeof(Connection) == 128);

}  // namespace shunt::l4
