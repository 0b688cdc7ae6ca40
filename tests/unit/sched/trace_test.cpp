// The replay's connection life and persistence: what closing, expiry, removal, reuse of a port and
// templates do.
#include "sched/trace.h"

#include <boost/test/unit_test.hpp>
#include <sstream>

namespace shunt::sched::test {
namespace {

// A line per event: "open 1 10.3.0.1:1000", "fin 1", "rst 1", "add B 2", "edit B 0", "del B",
// "expire".
Trace trace_of(const std::string& servers, const std::string& events) {
  Trace trace;
  trace.scheduler = "rr";
  const auto spec = [](const std::string& word, int32_t weight) {
    const auto host = static_cast<uint32_t>(word[0] - 'A' + 1);
    return ServerSpec{.name = word.substr(0, 1),
                      .address = SocketAddress(IpAddress::from_v4(0x0a010000 + host), 80),
                      .weight = weight};
  };
  std::istringstream names(servers);
  for (std::string word; names >> word;) trace.servers.push_back(spec(word, 1));
  std::istringstream lines(events);
  for (std::string line; std::getline(lines, line, ';');) {
    std::istringstream words(line);
    std::string kind, first, second;
    words >> kind >> first >> second;
    TraceEvent& event = trace.events.emplace_back();
    const auto number = [](const std::string& text) { return text.empty() ? 1 : std::stoi(text); };
    if (kind == "open") {
      event.kind = TraceEvent::Kind::kOpen;
      event.source = *SocketAddress::parse(second);
      event.destination = *SocketAddress::parse("10.0.1.100:80");
    } else if (kind == "fin" || kind == "rst") {
      event.kind = TraceEvent::Kind::kClose;
      event.reset = kind == "rst";
    } else if (kind == "del") {
      event.kind = TraceEvent::Kind::kRemove;
    } else if (kind == "add" || kind == "edit") {
      event.kind = kind == "add" ? TraceEvent::Kind::kAdd : TraceEvent::Kind::kEdit;
    }
    if (kind == "open" || kind == "fin" || kind == "rst") {
      event.connection = static_cast<uint64_t>(number(first));
    } else if (!first.empty()) {
      event.server = spec(first, number(second));
    }
  }
  return trace;
}

std::string decisions_of(const TraceResult& result) {
  std::string text;
  for (const TraceDecision& decision : result.decisions) {
    if (decision.kind == TraceDecision::Kind::kRefused) text += '-';
    text += decision.server;
  }
  return text;
}

std::string finals_of(const TraceResult& result) {
  std::string text;
  for (const TraceServer& server : result.servers) {
    text +=
        server.name + std::to_string(server.active) + "/" + std::to_string(server.inactive) + " ";
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(trace)

BOOST_AUTO_TEST_CASE(connection_life) {
  struct Row {
    const char* description;
    const char* servers;
    const char* events;
    const char* decisions;
    const char* finals;
  };
  const Row rows[] = {
      {"open connections are active", "A B", "open 1 10.3.0.1:1; open 2 10.3.0.1:2", "BA",
       "A1/0 B1/0 "},
      {"closed ones inactive", "A", "open 1 10.3.0.1:1; fin 1; open 2 10.3.0.1:2; rst 2", "AA",
       "A0/2 "},
      {"until they expire", "A", "open 1 10.3.0.1:1; fin 1; open 2 10.3.0.1:2; expire", "AA",
       "A1/0 "},
      {"nobody to refuse", "", "open 1 10.3.0.1:1; fin 1", "-", ""},
      {"added later", "", "open 1 10.3.0.1:1; add A 1; open 2 10.3.0.1:2", "-A", "A1/0 "},
      {"quiesced", "A B", "edit B 0; open 1 10.3.0.1:1; open 2 10.3.0.1:2", "AA", "A2/0 B0/0 "},
      {"counts come back", "A B", "open 1 10.3.0.1:1; del B; add B 1", "B", "A0/0 B1/0 "},
      {"a removed server's connections cannot be closed", "A B",
       "open 1 10.3.0.1:1; del B; fin 1; add B 1; expire", "B", "A0/0 B1/0 "},
      {"a port used again ends the closed connection", "A",
       "open 1 10.3.0.1:1; fin 1; open 2 10.3.0.1:1", "AA", "A1/0 "},
  };
  for (const Row& row : rows) {
    const auto result = replay(trace_of(row.servers, row.events));
    BOOST_REQUIRE_MESSAGE(result.has_value(), row.description);
    BOOST_TEST(decisions_of(*result) == row.decisions, row.description);
    BOOST_TEST(finals_of(*result) == row.finals, row.description);
  }
}

BOOST_AUTO_TEST_CASE(persistence) {
  struct Row {
    const char* description;
    int timeout;
    uint8_t prefix;
    const char* events;
    const char* decisions;
  };
  const Row rows[] = {
      {"a client stays", 300, 128, "open 1 10.3.0.1:1; open 2 10.3.0.2:1; open 3 10.3.0.1:2",
       "BAB"},
      {"its network stays", 300, 120, "open 1 10.3.0.1:1; open 2 10.3.0.2:1; open 3 10.3.1.1:2",
       "BBA"},
      {"on a quiesced server too", 300, 128,
       "open 1 10.3.0.1:1; edit B 0; open 2 10.3.0.1:2; open 3 10.3.0.2:1", "BBA"},
      {"not on a removed one", 300, 128,
       "open 1 10.3.0.1:1; del B; open 2 10.3.0.1:2; open 3 10.3.0.1:3", "BAA"},
      {"again on one that came back", 300, 128,
       "open 1 10.3.0.1:1; del B; add B 1; open 2 10.3.0.2:1; open 3 10.3.0.1:2", "BBB"},
      {"until the timeout", 60, 128, "open 1 10.3.0.1:1; fin 1; expire; open 2 10.3.0.1:2", "BA"},
      {"longer while a connection lasts", 60, 128,
       "open 1 10.3.0.1:1; open 2 10.3.0.1:2; fin 1; expire; open 3 10.3.0.1:3", "BBB"},
      {"longer than the connections", 300, 128,
       "open 1 10.3.0.1:1; fin 1; expire; open 2 10.3.0.1:2", "BB"},
      {"a port used again", 300, 128, "open 1 10.3.0.1:1; fin 1; open 2 10.3.0.1:1", "BB"},
  };
  for (const Row& row : rows) {
    Trace trace = trace_of("A B", row.events);
    trace.persistence = TracePersistence{std::chrono::seconds(row.timeout), row.prefix};
    const auto result = replay(trace);
    BOOST_REQUIRE_MESSAGE(result.has_value(), row.description);
    BOOST_TEST(decisions_of(*result) == row.decisions, row.description);
  }
}

BOOST_AUTO_TEST_CASE(events_that_make_no_sense) {
  struct Row {
    const char* events;
    const char* error;
  };
  const Row rows[] = {
      {"fin 1", "event 0: connection 1 was not opened"},
      {"open 1 10.3.0.1:1; fin 1; fin 1", "event 2: connection 1 is closed already"},
      {"open 1 10.3.0.1:1; open 1 10.3.0.1:2", "event 1: connection 1 was opened before"},
      {"open 1 10.3.0.1:1; open 2 10.3.0.1:1",
       "event 1: a connection between these addresses is open"},
      {"del C", "event 0: there is no server C"},
      {"edit C 1", "event 0: there is no server C"},
      {"add A 1", "event 0: server A is already there"},
      {"edit A -1", "event 0: server A: weight -1 is less than 0"},
  };
  for (const Row& row : rows) {
    const auto result = replay(trace_of("A", row.events));
    BOOST_REQUIRE_MESSAGE(!result.has_value(), row.events);
    BOOST_TEST(result.error().text == row.error);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
