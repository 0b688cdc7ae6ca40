// wrr: IPVS's cycles for services built server by server and in one go, and the shortcut over empty
// rounds against the plain algorithm that makes them all.
#include <algorithm>
#include <numeric>
#include <random>

#include "farm.h"

namespace shunt::sched::test {
namespace {

// The plain algorithm, round by round, over the farm's own list.
class Plain {
 public:
  explicit Plain(ServerSet& set) : set_(set) {}

  void changed() {
    int divisor = 0;
    int greatest = 0;
    for (const Server* server : set_.servers()) {
      divisor = std::gcd(divisor, server->spec.weight);
      greatest = std::max(greatest, server->spec.weight);
    }
    step_ = divisor == 0 ? 1 : divisor;
    top_ = greatest - (step_ - 1);
    position_ = -1;
    if (level_ > top_ || level_ == 0) {
      level_ = top_;
    } else if (step_ > 1) {
      level_ = level_ / step_ * step_ + 1;
    }
  }

  const Server* schedule() {
    const auto servers = set_.servers();
    if (top_ == 0) return nullptr;
    const int begin = position_;
    int stop = -1;
    bool last = false;
    bool restarted = false;
    for (;;) {
      while (++position_ < static_cast<int>(servers.size())) {
        const Server* server = servers[static_cast<size_t>(position_)];
        if (!server->overload && server->spec.weight >= level_) return server;
        if (stop >= 0 && position_ == stop) return nullptr;
      }
      position_ = -1;
      level_ -= step_;
      if (level_ <= 0) {
        level_ = top_;
        if (last || begin < 0) return nullptr;
        restarted = true;
      }
      last = level_ <= step_;
      if (last && restarted && begin >= 0) stop = begin;
    }
  }

 private:
  ServerSet& set_;
  int position_ = -1, level_ = 0, top_ = 0, step_ = 1;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(weighted_round_robin)

BOOST_AUTO_TEST_CASE(cycles_of_services_built_server_by_server) {
  struct Row {
    const char* servers;
    const char* picks;
  };
  const Row rows[] = {
      {"A4 B3 C2", "CBAABACBACBAABACBACBA"},
      {"A1 B1 C1", "CBACBACBA"},
      {"A3 B1", "BAAABAAABAAA"},
      {"B1 A3", "ABAAABAAABAA"},
      {"A10 B20 C30", "CBACCBCBACCBCBA"},
      {"A5 B0 C1", "CAAAAACAAAAA"},
      {"A0 B0", "---"},
      {"A7", "AAAA"},
  };
  for (const Row& row : rows) {
    Farm farm("wrr", row.servers);
    BOOST_TEST(farm.picks(std::string_view(row.picks).size()) == row.picks, row.servers);
  }
}

BOOST_AUTO_TEST_CASE(cycles_of_a_scheduler_that_finds_the_servers_there) {
  Farm farm("rr", "A4 B3 C2");
  BOOST_REQUIRE(farm->change_scheduler("wrr", {}).has_value());
  BOOST_TEST(farm.picks(18) == "ABACBACBAABACBACBA");
  Farm tens("rr", "A10 B20 C30");
  BOOST_REQUIRE(tens->change_scheduler("wrr", {}).has_value());
  BOOST_TEST(tens.picks(12) == "CCBCBACCBCBA");
}

BOOST_AUTO_TEST_CASE(an_overloaded_heaviest_server_leaves_its_rounds_to_the_others) {
  Farm farm("rr");
  farm.add('A', 4, 1);
  farm.add('B', 3);
  farm.add('C', 1);
  BOOST_TEST(farm->schedule({}, Counted::kActive) == &farm['C']);
  BOOST_TEST(farm->schedule({}, Counted::kActive) == &farm['B']);
  BOOST_TEST(farm->schedule({}, Counted::kActive) == &farm['A']);  // Now it is over its threshold.
  BOOST_REQUIRE(farm->change_scheduler("wrr", {}).has_value());
  BOOST_TEST(farm.picks(10) == "BBCBBBCBBB");
}

BOOST_AUTO_TEST_CASE(a_great_weight_that_is_out_of_reach_costs_no_time) {
  Farm farm("wrr", "A65535 B1");
  farm.edit('A', 65535, 1);
  BOOST_TEST(farm.pick({}) == 'B');
  BOOST_TEST(farm.pick({}) == 'A');
  for (int i = 0; i < 100'000; ++i) BOOST_REQUIRE(farm.pick({}) == 'B');
}

BOOST_AUTO_TEST_CASE(agrees_with_the_plain_algorithm_over_random_histories) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
    const int32_t unit = 1 + static_cast<int32_t>(below(3));
    Farm farm("wrr");
    Plain plain(*farm);
    std::string names;
    for (int step = 0; step < 300; ++step) {
      const uint32_t action = below(12);
      const auto weight = unit * static_cast<int32_t>(below(8));
      const char name = static_cast<char>('A' + below(6));
      const bool known = names.find(name) != std::string::npos;
      if (action == 0 && !known) {
        farm.add(name, weight, below(3) * 4);
        names += name;
        plain.changed();
      } else if (action == 1 && known) {
        farm->remove(farm[name]);
        names.erase(names.find(name), 1);
        plain.changed();
      } else if (action == 2 && known) {
        farm.edit(name, weight, below(3) * 4);
        plain.changed();
      } else if (action > 2) {
        const Server* expected = plain.schedule();
        Server* got = farm->schedule({}, Counted::kActive);
        BOOST_REQUIRE_MESSAGE(got == expected, "seed " << seed << " step " << step);
        if (got != nullptr && below(3) == 0) farm->unbind(*got, Counted::kActive);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
