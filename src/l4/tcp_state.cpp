// The tables of IPVS's TCP, one row per direction and event. An event is the flag that counts most:
// RST, then SYN, FIN, ACK.
#include "l4/tcp_state.h"

#include "l4/packet.h"

namespace shunt::l4 {
namespace {

using enum TcpState;

enum Event : uint8_t { kOnSyn, kOnFin, kOnAck, kOnRst, kEvents, kOnNothing = kEvents };

using Row = std::array<TcpState, kTcpStates>;
using Table = std::array<Row, kEvents>;

// As the tables below have them.
constexpr TcpState kEs = kEstablished, kSs = kSynSent, kSr = kSynReceived, kFw = kFinWait,
                   kTw = kTimeWait, kCl = kClose, kCw = kCloseWait, kLa = kLastAck, kLi = kListen,
                   kSa = kSynAck;

// clang-format off: tables, with the columns NO ES SS SR FW TW CL CW LA LI SA.
constexpr std::array<Table, 3> kPlain{{
    {{  // Input.
        {kSr, kEs, kEs, kSr, kSr, kSr, kSr, kSr, kSr, kSr, kSr},    // SYN
        {kCl, kCw, kSs, kTw, kTw, kTw, kCl, kCw, kLa, kLi, kTw},    // FIN
        {kEs, kEs, kSs, kEs, kFw, kTw, kCl, kCw, kCl, kLi, kEs},    // ACK
        {kCl, kCl, kCl, kSr, kCl, kCl, kCl, kCl, kLa, kLi, kSr}}},  // RST
    {{  // Output.
        {kSs, kEs, kSs, kSr, kSs, kSs, kSs, kSs, kSs, kLi, kSr},
        {kTw, kFw, kSs, kTw, kFw, kTw, kCl, kTw, kLa, kLi, kTw},
        {kEs, kEs, kSs, kEs, kFw, kTw, kCl, kCw, kLa, kEs, kEs},
        {kCl, kCl, kSs, kCl, kCl, kTw, kCl, kCl, kCl, kCl, kCl}}},
    {{  // Input only.
        {kSr, kEs, kEs, kSr, kSr, kSr, kSr, kSr, kSr, kSr, kSr},
        {kCl, kFw, kSs, kTw, kFw, kTw, kCl, kCw, kLa, kLi, kTw},
        {kEs, kEs, kSs, kEs, kFw, kTw, kCl, kCw, kCl, kLi, kEs},
        {kCl, kCl, kCl, kSr, kCl, kCl, kCl, kCl, kLa, kLi, kCl}}},
}};

constexpr std::array<Table, 3> kSecure{{
    {{
        {kSr, kEs, kEs, kSr, kSr, kSr, kSr, kSr, kSr, kSr, kSa},
        {kCl, kCw, kSs, kTw, kTw, kTw, kCl, kCw, kLa, kLi, kSa},
        {kEs, kEs, kSs, kSr, kFw, kTw, kCl, kCw, kCl, kLi, kSa},
        {kCl, kCl, kCl, kSr, kCl, kCl, kCl, kCl, kLa, kLi, kCl}}},
    {{
        {kSs, kEs, kSs, kSa, kSs, kSs, kSs, kSs, kSs, kLi, kSa},
        {kTw, kFw, kSs, kTw, kFw, kTw, kCl, kTw, kLa, kLi, kTw},
        {kEs, kEs, kSs, kEs, kFw, kTw, kCl, kCw, kLa, kEs, kEs},
        {kCl, kCl, kSs, kCl, kCl, kTw, kCl, kCl, kCl, kCl, kCl}}},
    {{
        {kSa, kEs, kEs, kSr, kSa, kSa, kSa, kSa, kSa, kSa, kSa},
        {kCl, kFw, kSs, kTw, kFw, kTw, kCl, kCw, kLa, kLi, kTw},
        {kEs, kEs, kSs, kEs, kFw, kTw, kCl, kCw, kCl, kLi, kEs},
        {kCl, kCl, kCl, kSr, kCl, kCl, kCl, kCl, kLa, kLi, kCl}}},
}};

constexpr std::array<std::string_view, kTcpStates> kNames{
    "NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT",
    "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK"};
// clang-format on

Event event_of(uint8_t flags) {
  if ((flags & kRst) != 0) return kOnRst;
  if ((flags & kSyn) != 0) return kOnSyn;
  if ((flags & kFin) != 0) return kOnFin;
  if ((flags & kAck) != 0) return kOnAck;
  return kOnNothing;
}

}  // namespace

std::string_view name_of(TcpState state) {
  return kNames[static_cast<size_t>(state)];
}

TcpState next_state(TcpState state, uint8_t tcp_flags, Seen seen, bool secure) {
  const Event event = event_of(tcp_flags);
  if (event == kOnNothing) return kClose;
  const auto& tables = secure ? kSecure : kPlain;
  return tables[static_cast<size_t>(seen)][event][static_cast<size_t>(state)];
}

bool is_active(TcpState state) {
  return state == kEstablished || state == kSynSent || state == kSynReceived || state == kSynAck;
}

Timeouts Timeouts::defaults() {
  using std::chrono::seconds;
  return {.tcp = {seconds(2), seconds(900), seconds(120), seconds(60), seconds(120), seconds(120),
                  seconds(10), seconds(60), seconds(30), seconds(120), seconds(120)},
          .udp = seconds(300)};
}

}  // namespace shunt::l4
