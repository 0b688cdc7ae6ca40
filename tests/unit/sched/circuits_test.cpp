// Circuits and capacities of a set over a virtual clock: when a server is left out, how it comes
// back, and that somebody always stays in.
#include "farm.h"
#include "sched/circuit.h"

namespace shunt::sched::test {
namespace {

using namespace std::chrono_literals;

Flow at(Duration time) {
  Flow flow;
  flow.now = Instant(time);
  return flow;
}

CircuitRules rules(uint32_t failures, double share = 0.5) {
  return {.failures = failures, .open_first = 10s, .open_longest = 35s, .share_max = share};
}

// As many failures in a row; what the last led to.
Judged fail_times(Farm& farm, char name, int count, Duration now) {
  Judged judged;
  for (int i = 0; i < count; ++i) judged = farm->judge(farm[name], Verdict::kFailure, Instant(now));
  return judged;
}

BOOST_AUTO_TEST_SUITE(circuits)

BOOST_AUTO_TEST_CASE(the_time_out_doubles_up_to_a_limit_and_is_forgotten_after_good_service) {
  Circuit circuit;
  Instant now{};
  for (const Duration expected : {10s, 20s, 35s, 35s}) {
    BOOST_TEST((circuit.open(now, 10s, 35s) == expected));
    BOOST_TEST(circuit.bars());
    BOOST_TEST((circuit.open(now, 10s, 35s) == 0s));  // Is open.
    BOOST_TEST(!circuit.refresh(now + expected - 1ns));
    now += expected;
    BOOST_TEST(circuit.refresh(now));
    BOOST_TEST((circuit.state() == Circuit::State::kHalfOpen));
  }
  BOOST_TEST(circuit.close(now));
  BOOST_TEST(!circuit.close(now));
  BOOST_TEST((circuit.open(now + 34s, 10s, 35s) == 35s));
  BOOST_TEST(circuit.refresh(now + 69s));
  BOOST_TEST(circuit.close(now + 70s));
  BOOST_TEST((circuit.open(now + 105s, 10s, 35s) == 10s));
}

BOOST_AUTO_TEST_CASE(only_consecutive_failures_count) {
  Farm farm("rr", "A1 B1");
  farm->set_circuit_rules(rules(3));
  for (int i = 0; i < 10; ++i) {
    BOOST_TEST(!fail_times(farm, 'A', 2, 0s).opened);
    farm->judge(farm['A'], Verdict::kNone, Instant{});
    farm->judge(farm['A'], Verdict::kSuccess, Instant{});
  }
  BOOST_TEST(!fail_times(farm, 'A', 2, 0s).opened);
  farm->judge(farm['A'], Verdict::kNone, Instant{});
  const Judged judged = fail_times(farm, 'A', 1, 0s);
  BOOST_TEST(judged.opened);
  BOOST_TEST(judged.failures == 3u);
  BOOST_TEST((judged.out == 10s));
  BOOST_TEST(farm['A'].spec.weight == 1);  // Configured is configured.
  BOOST_TEST(farm.picks(4, Counted::kActive, at(1s)) == "BBBB");
  BOOST_TEST(!fail_times(farm, 'A', 9, 2s).opened);  // Requests from before say nothing new.
}

BOOST_AUTO_TEST_CASE(without_rules_nothing_opens) {
  Farm farm("rr", "A1 B1");
  BOOST_TEST(!fail_times(farm, 'A', 100, 0s).opened);
  BOOST_TEST(farm.picks(4, Counted::kActive, at(1s)) == "BABA");
}

BOOST_AUTO_TEST_CASE(comes_back_with_one_request_at_a_time) {
  Farm farm("rr", "A1 B1");
  farm->set_circuit_rules(rules(1));
  BOOST_TEST(fail_times(farm, 'A', 1, 0s).opened);
  BOOST_TEST(farm.picks(3, Counted::kActive, at(9s)) == "BBB");
  BOOST_TEST(farm.picks(4, Counted::kActive, at(10s)) == "ABBB");  // One probe.
  const Judged again = fail_times(farm, 'A', 1, 11s);
  BOOST_TEST(again.opened);
  BOOST_TEST((again.out == 20s));
  BOOST_TEST(farm.picks(3, Counted::kActive, at(30s)) == "BBB");
  BOOST_TEST(farm.picks(3, Counted::kActive, at(31s)) == "ABB");
  BOOST_TEST(farm->judge(farm['A'], Verdict::kSuccess, Instant(32s)).closed);
  BOOST_TEST(farm.picks(4, Counted::kActive, at(32s)) == "ABAB");
}

BOOST_AUTO_TEST_CASE(a_probe_without_a_verdict_makes_room_for_another) {
  Farm farm("rr", "A1 B1");
  farm->set_circuit_rules(rules(1));
  fail_times(farm, 'A', 1, 0s);
  BOOST_TEST(farm.picks(3, Counted::kActive, at(10s)) == "BAB");
  farm->judge(farm['A'], Verdict::kNone, Instant(11s));
  BOOST_TEST(farm.picks(3, Counted::kActive, at(11s)) == "ABB");
  BOOST_TEST(farm.picks(3, Counted::kActive, at(20s)) == "BBB");
  BOOST_TEST(farm.picks(3, Counted::kActive, at(21s)) == "ABB");  // Nobody told: lost.
}

BOOST_AUTO_TEST_CASE(a_share_stays_in) {
  const struct {
    const char* servers;
    double share;
    size_t out;
  } cases[] = {
      {"A1", 0.5, 0},          {"A1", 1.0, 1},          {"A1 B1", 0.5, 1},
      {"A1 B1 C1", 0.5, 1},    {"A1 B1 C1", 0.34, 1},   {"A1 B1 C1", 0.33, 0},
      {"A1 B1 C1 D1", 0.5, 2}, {"A1 B1 C1 D1", 0.0, 0},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.servers << " " << test.share) {
      Farm farm("rr", test.servers);
      farm->set_circuit_rules(rules(1, test.share));
      size_t out = 0;
      for (Server* server : farm->servers())
        out += farm->judge(*server, Verdict::kFailure, Instant{}).opened ? 1 : 0;
      BOOST_TEST(out == test.out);
    }
  }
}

// Who hashes to a server that is out is served by another; who hashes to a quiesced one is not, as
// in IPVS.
BOOST_AUTO_TEST_CASE(hashing_goes_on_without_the_one_that_is_out) {
  for (const char* scheduler : {"sh", "dh", "mh"}) {
    Farm farm(scheduler, "A1 B1");
    farm->set_circuit_rules(rules(1));
    Flow flow = at(1s);
    const char first = farm.pick(flow);
    fail_times(farm, first, 1, 0s);
    const char second = farm.pick(flow);
    BOOST_TEST(second != '-', scheduler);
    BOOST_TEST(second != first, scheduler);
    farm->judge(farm[first], Verdict::kSuccess, Instant(5s));  // Of before: it stays out.
    BOOST_TEST(farm.pick(flow) == second, scheduler);
  }
  Farm farm("sh", "A1 B1");
  const char first = farm.pick(at(0s));
  farm.edit(first, 0);
  BOOST_TEST(farm.picks(300, Counted::kActive, at(1s)).find_first_not_of("-AB") ==
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_breaker_opens_at_its_level_and_lets_one_try) {
  const struct {
    const char* description;
    Breaker breaker;
    std::atomic<uint32_t> Server::* count;
  } cases[] = {
      {"requests", {.requests = 2, .open = 5s}, &Server::active},
      {"pending", {.pending = 2, .open = 5s}, &Server::pending},
      {"retries", {.retries = 2, .open = 5s}, &Server::retries},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      Farm farm("fo", "B1");
      ServerSpec spec = spec_of('A', 9);
      spec.breaker = test.breaker;
      Server& server = **farm->add(spec);
      (server.*test.count) = 1;
      BOOST_TEST(farm.pick(at(0s)) == 'A');
      (server.*test.count) = 2;
      BOOST_TEST(farm.picks(2, Counted::kActive, at(1s)) == "BB");
      (server.*test.count) = 0;
      BOOST_TEST(farm.pick(at(5s)) == 'B');
      BOOST_TEST(farm.picks(2, Counted::kActive, at(6s)) == "AB");
      BOOST_TEST(farm->judge(server, Verdict::kSuccess, Instant(7s)).closed);
      (server.*test.count) = 1;
      BOOST_TEST(farm.pick(at(7s)) == 'A');
    }
  }
}

BOOST_AUTO_TEST_CASE(capacity_bounds_what_is_active) {
  for (const char* scheduler : {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq",
                                "fo", "ovf", "mh", "twos"}) {
    BOOST_TEST_CONTEXT(scheduler) {
      Farm farm(scheduler);
      for (const char name : {'A', 'B'}) {
        ServerSpec spec = spec_of(name, 10);
        spec.capacity = name == 'A' ? 2 : 3;
        BOOST_REQUIRE(farm->add(spec).has_value());
      }
      const std::string picks = farm.picks(7, Counted::kActive, at(0s));
      BOOST_TEST(std::ranges::count(picks, 'A') == 2);
      BOOST_TEST(std::ranges::count(picks, 'B') == 3);
      BOOST_TEST(farm->saturated(at(0s)));
      farm->unbind(farm['A'], Counted::kActive);
      BOOST_TEST(farm.picks(2, Counted::kActive, at(0s)) == "A-");
    }
  }
}

BOOST_AUTO_TEST_CASE(saturated_says_whether_waiting_may_help) {
  Farm farm("wlc");
  BOOST_TEST(!farm->saturated(at(0s)));
  ServerSpec spec = spec_of('A', 1);
  spec.capacity = 1;
  Server& server = **farm->add(spec);
  farm.pick(at(0s));
  BOOST_TEST(farm->saturated(at(0s)));
  const uint64_t excluded[] = {server.id};
  Flow without = at(0s);
  without.excluded = excluded;
  BOOST_TEST(!farm->saturated(without));
  farm->set_circuit_rules(rules(1, 1.0));
  fail_times(farm, 'A', 1, 0s);
  BOOST_TEST(!farm->saturated(at(0s)));  // Out: it takes longer than anyone waits.
  farm.edit('A', 0);
  BOOST_TEST(!farm->saturated(at(0s)));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::sched::test
