// A name over time: when it is asked for again, and what stays of an answer.
#include "app/name_state.h"

#include <boost/test/unit_test.hpp>
#include <string>

namespace shunt::app {
namespace {

using namespace std::chrono_literals;
using News = NameState::News;

const config::Resolver kSettings{
    .nameservers = {}, .ttl_min = 2s, .ttl_max = 100s, .retry_min = 1s, .retry_max = 10s};

Member member(int last, uint16_t weight = 1) {
  return {
      .address = SocketAddress(IpAddress::from_v4(0x0a000000 + static_cast<uint32_t>(last)), 80),
      .host = "a",
      .weight = weight};
}

Found good(std::vector<Member> members, Duration ttl = 60s) {
  return {.members = std::move(members), .ttl = ttl, .trouble = {}};
}

Found bad(std::vector<Member> members = {}, Duration ttl = io::DnsReply::kTtlNone) {
  return {.members = std::move(members), .ttl = ttl, .trouble = "no answer"};
}

BOOST_AUTO_TEST_SUITE(name_state)

BOOST_AUTO_TEST_CASE(it_is_asked_for_again_when_it_is_due) {
  struct Step {
    const char* description;
    Found found;
    Duration pause;
    News news = News::kNone;
  };
  Step steps[] = {
      {"its TTL", good({member(1)}), 60s},
      {"not sooner than ttl_min", good({member(1)}, 0s), 2s},
      {"not later than ttl_max", good({member(1)}, 24h), 100s},
      {"trouble: after retry_min", bad(), 1s, News::kTrouble},
      {"twice as long, and no second word", bad(), 2s},
      {"twice", bad(), 4s},
      {"twice", bad(), 8s},
      {"not longer than retry_max", bad(), 10s},
      {"nor then", bad(), 10s},
      {"over: as at first", good({member(1)}), 60s, News::kOver},
      {"the pauses begin anew", bad(), 1s, News::kTrouble},
      {"a part missing: as soon as if all were", bad({member(2)}, 60s), 2s},
      {"but not after the TTL of the rest", bad({member(2)}, 3s), 3s},
      {"no TTL at all", good({member(1)}, io::DnsReply::kTtlNone), 100s, News::kOver},
  };
  NameState state;
  Instant now{};
  BOOST_TEST(!state.asked());
  BOOST_TEST((state.due() <= now));  // At once.
  for (Step& step : steps) {
    BOOST_TEST_CONTEXT(step.description) {
      const auto outcome = state.take(std::move(step.found), now, kSettings);
      BOOST_TEST((state.due() - now == step.pause));
      BOOST_TEST((outcome.news == step.news));
      BOOST_TEST(state.asked());
    }
    now = state.due();
  }
}

BOOST_AUTO_TEST_CASE(members_follow_good_answers_only) {
  struct Step {
    const char* description;
    Found found;
    std::vector<Member> expected;
    std::vector<Member> added;
    std::vector<Member> removed;
    bool changed = true;
  };
  Step steps[] = {
      {"trouble from the start", bad(), {}, {}, {}, false},
      {"the first answer",
       good({member(1), member(2)}),
       {member(1), member(2)},
       {member(1), member(2)},
       {}},
      {"the same again", good({member(1), member(2)}), {member(1), member(2)}, {}, {}, false},
      {"trouble without members", bad(), {member(1), member(2)}, {}, {}, false},
      {"trouble with some",
       bad({member(2), member(3)}),
       {member(2), member(3)},
       {member(3)},
       {member(1)}},
      {"all others", good({member(4)}), {member(4)}, {member(4)}, {member(2), member(3)}},
      {"another weight", good({member(4, 2)}), {member(4, 2)}, {}, {}},
      {"nothing found keeps what was", good({}), {member(4, 2)}, {}, {}, false},
  };
  NameState state;
  for (Step& step : steps) {
    BOOST_TEST_CONTEXT(step.description) {
      const auto outcome = state.take(std::move(step.found), Instant{}, kSettings);
      BOOST_TEST((state.members() == step.expected));
      BOOST_TEST((outcome.added == step.added));
      BOOST_TEST((outcome.removed == step.removed));
      BOOST_TEST(outcome.changed == step.changed);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
