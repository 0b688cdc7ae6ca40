// TCP's states as lives of connections: the packets of each, and where they lead.
#include "l4/tcp_state.h"

#include <boost/test/unit_test.hpp>
#include <sstream>
#include <string>

#include "l4/packet.h"

namespace shunt::l4::test {
namespace {

// "i:S o:SA i:A": who sends what; with `one_way` only "i" is seen.
std::string life(const std::string& packets, bool one_way, bool secure) {
  TcpState state = TcpState::kNone;
  std::string names;
  std::istringstream words(packets);
  for (std::string word; words >> word;) {
    uint8_t flags = 0;
    for (const char flag : word.substr(2))
      flags = static_cast<uint8_t>(flags | 1u << std::string_view("FSRPA").find(flag));
    const Seen seen = word[0] == 'o' ? Seen::kOutput : (one_way ? Seen::kInputOnly : Seen::kInput);
    state = next_state(state, flags, seen, secure);
    names += (names.empty() ? "" : " ") + std::string(name_of(state));
  }
  return names;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tcp_state)

BOOST_AUTO_TEST_CASE(lives) {
  struct Row {
    const char* description;
    bool one_way;
    bool secure;
    const char* packets;
    const char* states;
  };
  const Row rows[] = {
      {"handshake", false, false, "i:S o:SA i:A", "SYN_RECV SYN_RECV ESTABLISHED"},
      {"client closes first", false, false, "i:S o:SA i:A i:FA o:FA i:A",
       "SYN_RECV SYN_RECV ESTABLISHED CLOSE_WAIT TIME_WAIT TIME_WAIT"},
      {"server closes first", false, false, "i:S o:SA i:A o:FA i:FA",
       "SYN_RECV SYN_RECV ESTABLISHED FIN_WAIT TIME_WAIT"},
      {"client resets", false, false, "i:S o:SA i:A i:R", "SYN_RECV SYN_RECV ESTABLISHED CLOSE"},
      {"server resets", false, false, "i:S o:RA", "SYN_RECV CLOSE"},
      {"a reset in the handshake is not believed", false, false, "i:S i:R", "SYN_RECV SYN_RECV"},
      {"no flags at all", false, false, "i:S i:", "SYN_RECV CLOSE"},
      {"only data flags", false, false, "i:S i:P", "SYN_RECV CLOSE"},
      {"RST counts more than SYN", false, false, "i:S i:A i:SR", "SYN_RECV ESTABLISHED CLOSE"},
      {"SYN counts more than FIN", false, false, "i:SF", "SYN_RECV"},
      {"used again after the end", false, false, "i:S i:A i:R i:S",
       "SYN_RECV ESTABLISHED CLOSE SYN_RECV"},
      {"in mid-stream", false, false, "i:A", "ESTABLISHED"},
      {"one way: FIN", true, false, "i:S i:A i:FA", "SYN_RECV ESTABLISHED FIN_WAIT"},
      {"one way: FIN in the handshake", true, false, "i:S i:FA", "SYN_RECV TIME_WAIT"},
      {"one way: an ACK after the FIN", true, false, "i:S i:A i:FA i:A",
       "SYN_RECV ESTABLISHED FIN_WAIT FIN_WAIT"},
      {"one way: reset", true, false, "i:S i:A i:R", "SYN_RECV ESTABLISHED CLOSE"},
      {"secure: established by the server's answer", false, true, "i:S i:A o:SA o:A",
       "SYN_RECV SYN_RECV SYNACK ESTABLISHED"},
      {"secure: a reset ends the handshake", false, true, "i:S o:SA i:R", "SYN_RECV SYNACK CLOSE"},
      {"secure, one way", true, true, "i:S i:A", "SYNACK ESTABLISHED"},
  };
  for (const Row& row : rows)
    BOOST_TEST(life(row.packets, row.one_way, row.secure) == row.states, row.description);
}

BOOST_AUTO_TEST_CASE(timeouts_and_counting) {
  struct Row {
    TcpState state;
    const char* name;
    int seconds;
    bool active;
  };
  using enum TcpState;
  const Row rows[] = {
      {kNone, "NONE", 2, false},          {kEstablished, "ESTABLISHED", 900, true},
      {kSynSent, "SYN_SENT", 120, true},  {kSynReceived, "SYN_RECV", 60, true},
      {kFinWait, "FIN_WAIT", 120, false}, {kTimeWait, "TIME_WAIT", 120, false},
      {kClose, "CLOSE", 10, false},       {kCloseWait, "CLOSE_WAIT", 60, false},
      {kLastAck, "LAST_ACK", 30, false},  {kListen, "LISTEN", 120, false},
      {kSynAck, "SYNACK", 120, true},
  };
  const Timeouts timeouts = Timeouts::defaults();
  for (const Row& row : rows) {
    BOOST_TEST(name_of(row.state) == row.name);
    BOOST_TEST((timeouts.of(row.state) == std::chrono::seconds(row.seconds)), row.name);
    BOOST_TEST(is_active(row.state) == row.active, row.name);
  }
  BOOST_TEST((timeouts.udp == std::chrono::seconds(300)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
