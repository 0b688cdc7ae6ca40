// TCP as a director sees it pass: the states that IPVS gives a connection, how a packet moves it
// from one to the next, and how long it may then be silent. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/instant.h"

namespace shunt::l4 {

// In the order of the tables. Templates and UDP stay kNone.
enum class TcpState : uint8_t {
  kNone,
  kEstablished,
  kSynSent,
  kSynReceived,
  kFinWait,
  kTimeWait,
  kClose,
  kCloseWait,
  kLastAck,
  kListen,
  kSynAck,
};
inline constexpr size_t kTcpStates = 11;

// As ipvsadm -Lnc prints it.
std::string_view name_of(TcpState state);

// Which side's packet it is, and whether the other side's pass by at all (DR, TUN: they do not).
enum class Seen : uint8_t { kInput, kOutput, kInputOnly };

// The state after a packet with these TCP flags. `secure`: the table of IPVS's secure_tcp, in which
// a connection is not established before the server has answered.
TcpState next_state(TcpState state, uint8_t tcp_flags, Seen seen, bool secure);

// Whether schedulers count a connection in this state as active.
bool is_active(TcpState state);

// How long a connection is kept after its last packet. `ipvsadm --set` changes the first two and
// `udp`.
struct Timeouts {
  std::array<Duration, kTcpStates> tcp;
  Duration udp;

  static Timeouts defaults();
  Duration of(TcpState state) const { return tcp[static_cast<size_t>(state)]; }
};

}  // namespace shunt::l4
