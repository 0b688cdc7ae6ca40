// The kernel's recorded decisions (tests/data/golden), met by packets: each "open" is a handshake
// through NAT, each "close" the FINs or the reset, and the server is read from the packet that
// leaves.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "app/trace_file.h"
#include "sched/distribution.h"
#include "sched/registry.h"
#include "unit/l4/world.h"

namespace shunt::l4::test {
namespace {

using sched::TraceEvent;

constexpr std::string_view kRandom = "twos";  // Draws its decisions.

class Replay {
 public:
  explicit Replay(const sched::Trace& trace, uint64_t seed = 1)
      : world_({.answers = {.errors = 0, .errors_to_one = 0}}, seed) {
    ServiceSpec spec{.scheduler = trace.scheduler, .scheduler_flags = trace.flags};
    if (trace.persistence) {
      spec.persistence = trace.persistence->timeout;
      spec.persistence_prefix = trace.persistence->prefix;
    }
    // Whatever the trace's clients ask for: one address and port, or, with a firewall mark, many.
    spec.group = true;
    for (const TraceEvent& event : trace.events) {
      if (event.kind != TraceEvent::Kind::kOpen) continue;
      const auto range = VirtualRange::of(event.destination.ip(), event.destination.port(), kTcp);
      const bool known = std::ranges::any_of(spec.ranges, [&](const VirtualRange& one) {
        return one.addresses == range.addresses && one.first == range.first;
      });
      if (!known) spec.ranges.push_back(range);
    }
    service_ = &world_.add(std::move(spec));
    for (const sched::ServerSpec& server : trace.servers) add(server);
  }

  sched::TraceDecision apply(const TraceEvent& event) {
    switch (event.kind) {
      case TraceEvent::Kind::kOpen:
        return open(event);
      case TraceEvent::Kind::kClose:
        close(event);
        break;
      case TraceEvent::Kind::kAdd:
        add(event.server);
        break;
      case TraceEvent::Kind::kEdit:
        edit(event.server);
        break;
      case TraceEvent::Kind::kRemove:
        world_.remove(*service_->find(event.server.name));
        break;
      case TraceEvent::Kind::kExpire:
        expire();
        break;
    }
    return {};
  }

  std::vector<sched::TraceServer> finals() const {
    std::vector<sched::TraceServer> result;
    for (const RealServer* server : service_->listed()) {
      result.push_back({.name = server->spec.name,
                        .weight = server->spec.weight,
                        .active = server->handle->active.load(),
                        .inactive = server->handle->inactive.load()});
    }
    std::ranges::sort(result, {}, &sched::TraceServer::name);
    return result;
  }

 private:
  struct Open {
    std::string client;
    std::string destination;
    std::string server;  // "address:port".
  };

  void add(const sched::ServerSpec& spec) {
    const RealServerSpec server{
        .address = spec.address.ip(), .port = spec.address.port(), .weight = spec.weight};
    world_.server(*service_, spec.name, server, spec.upper, spec.lower);
    names_[spec.address.to_string()] = spec.name;
  }

  void edit(const sched::ServerSpec& spec) {
    RealServer& server = *service_->find(spec.name);
    BOOST_REQUIRE(service_->set().edit(*server.handle, spec.weight, spec.upper, spec.lower));
    service_->set_weight(server, spec.weight);
  }

  sched::TraceDecision open(const TraceEvent& event) {
    Open one{event.source.to_string(), event.destination.to_string(), ""};
    const std::string line = world_.in(Build::tcp(one.client, one.destination));
    if (line.find('!') != std::string::npos)
      return {.kind = sched::TraceDecision::Kind::kRefused, .server = {}};
    const size_t begin = line.find(" > ") + 3;
    one.server = line.substr(begin, line.find(' ', begin) - begin);
    world_.in(Build::tcp(one.server, one.client, "SA"));
    world_.in(Build::tcp(one.client, one.destination, "A"));
    opened_[event.connection] = one;
    return {.kind = sched::TraceDecision::Kind::kServer, .server = names_.at(one.server)};
  }

  void close(const TraceEvent& event) {
    const auto found = opened_.find(event.connection);
    if (found == opened_.end()) return;  // Refused.
    const Open& one = found->second;
    if (event.reset) {
      world_.in(Build::tcp(one.client, one.destination, "RA"));
      return;
    }
    world_.in(Build::tcp(one.client, one.destination, "FA"));
    // The server knows of the end only if the FIN has reached it.
    if (world_.out.empty()) return;
    world_.in(Build::tcp(one.server, one.client, "FA"));
    world_.in(Build::tcp(one.client, one.destination, "A"));
  }

  // Those that are closed are given the time to go, which the timeout of open ones is longer than.
  void expire() { world_.pass(std::chrono::seconds(121)); }

  World world_;
  Service* service_ = nullptr;
  std::map<uint64_t, Open> opened_;
  std::map<std::string, std::string> names_;
};

std::vector<app::TraceCase> load(std::string_view scheduler) {
  const auto path =
      std::filesystem::path(SHUNT_TEST_DATA) / "golden" / (std::string(scheduler) + ".json");
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  auto cases = app::parse_trace_file(text.str());
  BOOST_REQUIRE_MESSAGE(cases.has_value(), scheduler);
  return std::move(*cases);
}

}  // namespace

// A replay's picks as a recorded run has them: the digit a server's name ends in, '-' for none.
std::string picks_of(const sched::Trace& trace, uint64_t seed) {
  Replay replay(trace, seed);
  std::string picks;
  for (const TraceEvent& event : trace.events) {
    const sched::TraceDecision decision = replay.apply(event);
    if (event.kind == TraceEvent::Kind::kOpen)
      picks += decision.server.empty() ? '-' : decision.server.back();
  }
  return picks;
}

BOOST_AUTO_TEST_SUITE(golden)

BOOST_AUTO_TEST_CASE(every_recorded_decision_is_met_by_packets) {
  size_t decisions = 0;
  for (const std::string_view scheduler : sched::known_schedulers()) {
    if (scheduler == kRandom) continue;
    for (const app::TraceCase& one : load(scheduler)) {
      Replay replay(one.trace);
      for (size_t i = 0; i < one.trace.events.size(); ++i) {
        const sched::TraceDecision decision = replay.apply(one.trace.events[i]);
        BOOST_REQUIRE_MESSAGE(decision == one.decisions[i], one.name << ", event " << i << ": "
                                                                     << decision.server << " for "
                                                                     << one.decisions[i].server);
        ++decisions;
      }
      const auto finals = replay.finals();
      BOOST_REQUIRE(finals.size() == one.final.size());
      for (size_t i = 0; i < finals.size(); ++i) {
        BOOST_TEST((finals[i] == one.final[i]),
                   one.name << ": " << finals[i].name << " " << finals[i].active << "/"
                            << finals[i].inactive << " for " << one.final[i].active << "/"
                            << one.final[i].inactive);
      }
    }
  }
  BOOST_TEST(decisions > 5000u);
}

// Decisions that are drawn are compared as distributions: how often each server is picked, and who
// follows whom, by chi-square.
BOOST_AUTO_TEST_CASE(random_decisions_are_distributed_as_recorded) {
  constexpr uint64_t kReplaysPerRun = 3;
  const auto cases = load(kRandom);
  BOOST_TEST(cases.size() == 8u);
  for (const app::TraceCase& one : cases) {
    std::vector<std::string> replayed;
    for (uint64_t seed = 1; seed <= kReplaysPerRun * one.runs.size(); ++seed)
      replayed.push_back(picks_of(one.trace, seed));
    BOOST_REQUIRE(!replayed.empty());
    const sched::Comparison comparison = sched::compare_runs(one.runs, replayed);
    BOOST_TEST(comparison.alike, one.name << ": " << comparison.reason);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
