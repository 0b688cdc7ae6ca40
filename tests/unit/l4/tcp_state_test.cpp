// TCP's states: every cell of the tables, and lives of connections: the packets of each, and where
// they lead.
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

// The states in the order of the columns, by the first letters of their names.
constexpr std::string_view kColumns = "NO ES SS SR FW TW CL CW LA LI SA";

TcpState state_of(std::string_view letters) {
  return static_cast<TcpState>(kColumns.find(letters) / 3);
}

std::string_view column(std::string_view row, size_t number) {
  return row.substr(number * 3, 2);
}

struct Row {
  Seen seen;
  const char* flags;
  std::string_view states;
};

// IPVS's tables, from every state.
constexpr Row kTable[] = {
    {Seen::kInput, "S", "SR ES ES SR SR SR SR SR SR SR SR"},
    {Seen::kInput, "F", "CL CW SS TW TW TW CL CW LA LI TW"},
    {Seen::kInput, "A", "ES ES SS ES FW TW CL CW CL LI ES"},
    {Seen::kInput, "R", "CL CL CL SR CL CL CL CL LA LI SR"},
    {Seen::kOutput, "S", "SS ES SS SR SS SS SS SS SS LI SR"},
    {Seen::kOutput, "F", "TW FW SS TW FW TW CL TW LA LI TW"},
    {Seen::kOutput, "A", "ES ES SS ES FW TW CL CW LA ES ES"},
    {Seen::kOutput, "R", "CL CL SS CL CL TW CL CL CL CL CL"},
    {Seen::kInputOnly, "S", "SR ES ES SR SR SR SR SR SR SR SR"},
    {Seen::kInputOnly, "F", "CL FW SS TW FW TW CL CW LA LI TW"},
    {Seen::kInputOnly, "A", "ES ES SS ES FW TW CL CW CL LI ES"},
    {Seen::kInputOnly, "R", "CL CL CL SR CL CL CL CL LA LI CL"},
};

// What secure_tcp replaces; ".." stays as it is above.
constexpr Row kSecureTable[] = {
    {Seen::kInput, "S", ".. .. .. .. .. .. .. .. .. .. SA"},
    {Seen::kInput, "F", ".. .. .. .. .. .. .. .. .. .. SA"},
    {Seen::kInput, "A", ".. .. .. SR .. .. .. .. .. .. SA"},
    {Seen::kInput, "R", ".. .. .. .. .. .. .. .. .. .. CL"},
    {Seen::kOutput, "S", ".. .. .. SA .. .. .. .. .. .. SA"},
    {Seen::kInputOnly, "S", "SA .. .. .. SA SA SA SA SA SA SA"},
};

// The row of secure_tcp for one of the plain table.
std::string secured(const Row& plain) {
  std::string states(plain.states);
  for (const Row& change : kSecureTable) {
    if (change.seen != plain.seen || change.flags != std::string_view(plain.flags)) continue;
    for (size_t i = 0; i < states.size(); ++i)
      if (change.states[i] != '.') states[i] = change.states[i];
  }
  return states;
}

uint8_t flag_bit(char flag) {
  return static_cast<uint8_t>(1u << std::string_view("FSRPA").find(flag));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tcp_state)

BOOST_AUTO_TEST_CASE(lives) {
  struct Life {
    const char* description;
    bool one_way;
    bool secure;
    const char* packets;
    const char* states;
  };
  const Life rows[] = {
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
  for (const Life& row : rows)
    BOOST_TEST(life(row.packets, row.one_way, row.secure) == row.states, row.description);
}

BOOST_AUTO_TEST_CASE(every_cell) {
  for (const Row& row : kTable) {
    for (const bool secure : {false, true}) {
      const std::string states = secure ? secured(row) : std::string(row.states);
      for (size_t from = 0; from < kTcpStates; ++from) {
        const TcpState next =
            next_state(static_cast<TcpState>(from), flag_bit(row.flags[0]), row.seen, secure);
        BOOST_TEST((next == state_of(column(states, from))),
                   "from " << column(kColumns, from) << " by " << row.flags << ", seen "
                           << static_cast<int>(row.seen) << (secure ? ", secure: " : ": ")
                           << name_of(next) << ", not " << column(states, from));
      }
    }
  }
}

// The flag that counts is RST before SYN before FIN before ACK, whatever else is set; without any
// of them the connection is closed.
BOOST_AUTO_TEST_CASE(every_combination_of_flags) {
  for (const Seen seen : {Seen::kInput, Seen::kOutput, Seen::kInputOnly}) {
    for (unsigned flags = 0; flags < 256; ++flags) {
      uint8_t counts = 0;
      for (const char flag : {'R', 'S', 'F', 'A'})
        if (counts == 0) counts = static_cast<uint8_t>(flags & flag_bit(flag));
      for (size_t from = 0; from < kTcpStates; ++from) {
        const auto state = static_cast<TcpState>(from);
        const TcpState expected =
            counts == 0 ? TcpState::kClose : next_state(state, counts, seen, false);
        BOOST_REQUIRE((next_state(state, static_cast<uint8_t>(flags), seen, false) == expected));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(timeouts_and_counting) {
  struct Kept {
    TcpState state;
    const char* name;
    int seconds;
    bool active;
  };
  using enum TcpState;
  const Kept rows[] = {
      {kNone, "NONE", 2, false},          {kEstablished, "ESTABLISHED", 900, true},
      {kSynSent, "SYN_SENT", 120, true},  {kSynReceived, "SYN_RECV", 60, true},
      {kFinWait, "FIN_WAIT", 120, false}, {kTimeWait, "TIME_WAIT", 120, false},
      {kClose, "CLOSE", 10, false},       {kCloseWait, "CLOSE_WAIT", 60, false},
      {kLastAck, "LAST_ACK", 30, false},  {kListen, "LISTEN", 120, false},
      {kSynAck, "SYNACK", 120, true},
  };
  const Timeouts timeouts = Timeouts::defaults();
  for (const Kept& row : rows) {
    BOOST_TEST(name_of(row.state) == row.name);
    BOOST_TEST((timeouts.of(row.state) == std::chrono::seconds(row.seconds)), row.name);
    BOOST_TEST(is_active(row.state) == row.active, row.name);
  }
  BOOST_TEST((timeouts.udp == std::chrono::seconds(300)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
