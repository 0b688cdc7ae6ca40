// Who gets a connection, and that none is lost or counted twice on its way from worker to worker.
#include "proxy/spread.h"

#include <boost/test/unit_test.hpp>
#include <random>

#include "unit/io/loop_fixture.h"

namespace shunt::proxy {
namespace {

constexpr uint32_t kConnectionsMax = 1000;

struct Inbox final : Spread::Receiver {
  std::vector<std::pair<const std::string*, io::Fd>> got;
  void on_handed_over(const std::string* listener, io::Fd fd) override {
    got.emplace_back(listener, fd);
  }
};

// The workers share one loop: what is tested is who gets what.
struct SpreadFixture : io::LoopFixture {
  void start(uint32_t workers, uint32_t connections_max = kConnectionsMax) {
    spread = std::move(*Spread::create(workers, connections_max));
    inboxes = std::vector<Inbox>(workers);
    for (uint32_t i = 0; i < workers; ++i) {
      spread->open(i, *io, inboxes[i]);
      spread->use_generation(i, 1);
    }
    web = spread->name("web");
  }
  ~SpreadFixture() {
    for (uint32_t i = 0; i < inboxes.size(); ++i)
      if (spread->receiving(i)) spread->close(i);
    turn();
  }
  uint32_t total() const {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < inboxes.size(); ++i) sum += spread->connections(i);
    return sum;
  }
  std::unique_ptr<Spread> spread;
  std::vector<Inbox> inboxes;
  const std::string* web = nullptr;
};

BOOST_FIXTURE_TEST_SUITE(spread, SpreadFixture)

BOOST_AUTO_TEST_CASE(no_worker_gets_far_ahead_whoever_accepts) {
  const struct {
    const char* description;
    std::vector<double> shares;  // Of the connections that the kernel gives to each worker.
  } cases[] = {
      {"all to one", {1, 0, 0, 0}},
      {"as SO_REUSEPORT does", {1.2, 0.9, 1.1, 0.8}},
      {"two workers", {1.3, 0.7}},
      {"eight workers", {8, 1, 1, 1, 1, 1, 1, 1}},
  };
  for (const auto& test : cases) {
    BOOST_TEST_CONTEXT(test.description) {
      start(static_cast<uint32_t>(test.shares.size()));
      std::mt19937 random(1);
      std::discrete_distribution<uint32_t> acceptor(test.shares.begin(), test.shares.end());
      size_t kept = 0;
      for (io::Fd fd = 0; fd < 1000; ++fd) kept += spread->place(acceptor(random), web, fd) ? 0 : 1;
      size_t handed_over = 0;
      turn();
      for (uint32_t i = 0; i < inboxes.size(); ++i) {
        handed_over += inboxes[i].got.size();
        BOOST_TEST(spread->connections(i) <= 1.15 * 1000 / static_cast<double>(inboxes.size()));
      }
      BOOST_TEST(kept + handed_over == 1000u);
      BOOST_TEST(total() == 1000u);
      for (uint32_t i = 0; i < inboxes.size(); ++i) spread->close(i);
      turn();
      inboxes.clear();
    }
  }
}

BOOST_AUTO_TEST_CASE(a_worker_level_with_the_others_keeps_its_own) {
  start(2);
  for (uint32_t i = 0; i < Spread::lead(0); ++i) BOOST_TEST(!spread->place(0, web, 1));
  BOOST_TEST(spread->place(0, web, 4));
  turn();
  BOOST_REQUIRE(inboxes[1].got.size() == 1u);
  BOOST_TEST((inboxes[1].got[0] == std::pair(web, 4)));
  spread->ended(0);
  spread->ended(0);
  BOOST_TEST(!spread->place(0, web, 5));
}

BOOST_AUTO_TEST_CASE(a_full_worker_hands_over_although_it_is_not_far_ahead) {
  start(2, 33);
  for (int i = 0; i < 66; ++i) spread->place(static_cast<uint32_t>(i % 2), web, i);
  BOOST_TEST(spread->full());
  spread->ended(1);
  BOOST_TEST(!spread->full());
  BOOST_TEST(spread->place(0, web, 100));
  BOOST_TEST(!spread->place(0, web, 101));  // Nobody has room: it waits where it came in.
}

BOOST_AUTO_TEST_CASE(a_worker_behind_in_reloads_gets_nothing) {
  start(2);
  spread->use_generation(0, 2);
  for (io::Fd fd = 0; fd < 30; ++fd) BOOST_TEST(!spread->place(0, web, fd));
  spread->use_generation(1, 2);
  BOOST_TEST(spread->place(0, web, 100));
}

BOOST_AUTO_TEST_CASE(a_worker_that_closes_takes_what_is_on_its_way_and_no_more) {
  start(2);
  for (uint32_t i = 0; i < Spread::lead(0); ++i) spread->place(0, web, 1);
  BOOST_TEST(spread->place(0, web, 2));
  spread->close(1);
  BOOST_TEST(inboxes[1].got.size() == 1u);
  BOOST_TEST(!spread->place(0, web, 3));
  BOOST_TEST(spread->connections(0) == Spread::lead(0) + 1);
  run_until([&] { return !spread->receiving(1); });
}

BOOST_AUTO_TEST_CASE(one_that_does_not_take_its_mail_gets_no_more) {
  start(2, 100'000);
  int given = 0;
  for (io::Fd fd = 0; fd < 10'000; ++fd) given += spread->place(0, web, fd) ? 1 : 0;
  BOOST_TEST(given > 0);
  BOOST_TEST(given < 5000);
  BOOST_TEST(total() == 10'000u);
  BOOST_TEST(spread->connections(1) == static_cast<uint32_t>(given));
}

BOOST_AUTO_TEST_CASE(names_are_one_pointer_each) {
  start(2);
  BOOST_TEST(spread->name("web") == web);
  BOOST_TEST(spread->name("side") != web);
  BOOST_TEST(*spread->name("side") == "side");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::proxy
