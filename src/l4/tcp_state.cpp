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

// The names that the kernel's tables use. NOLINTBEGIN(readability-identifier-naming)
[[maybe_unused]] constexpr TcpState NO = kNone;
constexpr TcpState ES = kEstablished, SS = kSynSent, SR = kSynReceived, FW = kFinWait,
                   TW = kTimeWait, CL = kClose, CW = kCloseWait, LA = kLastAck, LI = kListen,
                   SA = kSynAck;
// NOLINTEND(readability-identifier-naming)

// clang-format off: tables, with the columns NO ES SS SR FW TW CL CW LA LI SA.
constexpr std::array<Table, 3> kPlain{{
    {{  // Input.
        {SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},    // SYN
        {CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW},    // FIN
        {ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},    // ACK
        {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR}}},  // RST
    {{  // Output.
        {SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR},
        {TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW},
        {ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES},
        {CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL}}},
    {{  // Input only.
        {SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},
        {CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW},
        {ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
        {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL}}},
}};

constexpr std::array<Table, 3> kSecure{{
    {{
        {SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SA},
        {CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, SA},
        {ES, ES, SS, SR, FW, TW, CL, CW, CL, LI, SA},
        {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL}}},
    {{
        {SS, ES, SS, SA, SS, SS, SS, SS, SS, LI, SA},
        {TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW},
        {ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES},
        {CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL}}},
    {{
        {SA, ES, ES, SR, SA, SA, SA, SA, SA, SA, SA},
        {CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW},
        {ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
        {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL}}},
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
