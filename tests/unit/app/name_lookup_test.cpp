// Which questions a name takes, and which servers the replies make: written as text on both sides.
#include "app/name_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <map>
#include <string>

namespace shunt::app {
namespace {

using io::DnsReply;
using io::DnsStatus;
using io::DnsType;

using Replies = std::map<std::string, DnsReply>;  // By "A name".

DnsReply addresses(std::initializer_list<const char*> list, int ttl_s = 60) {
  DnsReply reply{.status = DnsStatus::kFine, .ttl = std::chrono::seconds(ttl_s)};
  for (const char* text : list) reply.addresses.push_back(*IpAddress::parse(text));
  return reply;
}

DnsReply offer(std::vector<io::DnsService> list, int ttl_s = 60) {
  return {
      .status = DnsStatus::kFine, .ttl = std::chrono::seconds(ttl_s), .services = std::move(list)};
}

const DnsReply kNoData{.status = DnsStatus::kNoData};
const DnsReply kNoName{.status = DnsStatus::kNoName};
const DnsReply kFailure{.status = DnsStatus::kFailure, .why = "no answer in time"};

std::string text_of(const Question& question) {
  constexpr const char* kTypes[] = {"A", "AAAA", "SRV"};
  return fmt::format("{} {}", kTypes[static_cast<size_t>(question.type)], question.name);
}

std::string text_of(const Found& found) {
  std::string text;
  for (const Member& member : found.members) {
    text += fmt::format("{}{}", text.empty() ? "" : " ", member.address.to_string());
    if (member.weight != 1) text += fmt::format("*{}", member.weight);
  }
  return text;
}

std::vector<Member> members(std::initializer_list<std::pair<const char*, const char*>> list) {
  std::vector<Member> all;
  for (const auto& [address, host] : list) all.push_back({*SocketAddress::parse(address), host});
  return all;
}

// Asks until there is nothing left to ask; what `replies` does not have is kNoData.
Found look_up(const config::DnsAddress& address, const Replies& replies,
              std::span<const Member> previous, std::string* asked = nullptr) {
  NameLookup lookup(address);
  std::deque<size_t> open;
  while (!lookup.done()) {
    while (const auto number = lookup.next()) open.push_back(*number);
    BOOST_REQUIRE(!open.empty());
    const std::string question = text_of(lookup.question(open.front()));
    if (asked != nullptr) *asked += question + "; ";
    const auto reply = replies.find(question);
    lookup.on_reply(open.front(), reply == replies.end() ? kNoData : reply->second);
    open.pop_front();
  }
  return evaluate(address, lookup.questions(), previous);
}

struct Case {
  const char* description;
  Replies replies;
  std::vector<Member> previous;
  const char* expected;
  const char* trouble = "";
  int ttl_s = 60;  // 0: none.
};

void check(const config::DnsAddress& address, const Case& test) {
  BOOST_TEST_CONTEXT(test.description) {
    const Found found = look_up(address, test.replies, test.previous);
    BOOST_TEST(text_of(found) == test.expected);
    BOOST_TEST(found.trouble == test.trouble);
    const Duration ttl = test.ttl_s == 0 ? DnsReply::kTtlNone : std::chrono::seconds(test.ttl_s);
    BOOST_TEST((found.ttl == ttl));
  }
}

BOOST_AUTO_TEST_SUITE(name_lookup)

BOOST_AUTO_TEST_CASE(addresses_of_both_families) {
  const config::DnsAddress name{.name = "a", .port = 80};
  const std::vector<Member> previous = members({{"10.0.0.9:80", "a"}, {"[2001:db8::9]:80", "a"}});
  const Case cases[] = {
      {"both",
       {{"A a", addresses({"10.0.0.1"})}, {"AAAA a", addresses({"2001:db8::1"})}},
       {},
       "10.0.0.1:80 [2001:db8::1]:80"},
      {"in the order of addresses, whatever that of the answer",
       {{"A a", addresses({"10.0.0.2", "10.0.0.10", "10.0.0.1"})}},
       {},
       "10.0.0.1:80 10.0.0.2:80 10.0.0.10:80"},
      {"the shortest TTL counts",
       {{"A a", addresses({"10.0.0.1"}, 9)}, {"AAAA a", addresses({"2001:db8::1"}, 7)}},
       {},
       "10.0.0.1:80 [2001:db8::1]:80",
       "",
       7},
      {"what is not in the answer leaves",
       {{"A a", addresses({"10.0.0.1"})}},
       previous,
       "10.0.0.1:80"},
      {"nobody knows one family: it stays",
       {{"A a", addresses({"10.0.0.1"})}, {"AAAA a", kFailure}},
       previous,
       "10.0.0.1:80 [2001:db8::9]:80",
       "AAAA a: no answer in time"},
      {"nobody knows anything: all stays",
       {{"A a", kFailure}, {"AAAA a", kFailure}},
       previous,
       "10.0.0.9:80 [2001:db8::9]:80",
       "A a: no answer in time",
       0},
      {"the name is gone",
       {{"A a", kNoName}, {"AAAA a", kNoName}},
       previous,
       "",
       "a does not exist (NXDOMAIN)",
       0},
      {"the name is empty", {}, previous, "", "a has no address", 0},
      {"only one family is known not to be there",
       {{"A a", kFailure}},
       {},
       "",
       "A a: no answer in time",
       0},
      {"twice the same", {{"A a", addresses({"10.0.0.1", "10.0.0.1"})}}, {}, "10.0.0.1:80"},
  };
  for (const Case& test : cases) check(name, test);
}

// Whoever answers for a name does not decide about our memory; what is left out is the same each
// time, in whatever order the answer has it.
BOOST_AUTO_TEST_CASE(only_so_many) {
  DnsReply many{.status = DnsStatus::kFine, .ttl = std::chrono::seconds(60)};
  for (uint32_t i = 2000; i > 0; --i) many.addresses.push_back(IpAddress::from_v4(0x0a000000 + i));
  const Found found = look_up({.name = "a", .port = 80}, {{"A a", many}}, {});
  BOOST_TEST(found.members.size() == kMembersMost);
  BOOST_TEST(found.members.front().address.to_string() == "10.0.0.1:80");
  BOOST_TEST(found.trouble == "a leads to more than 256 servers, the others get nothing");

  std::vector<io::DnsService> hosts;
  for (uint16_t i = 3000; i > 0; --i) hosts.push_back({fmt::format("h{:04}", i), 80, 0, 1});
  std::string asked;
  look_up({.name = "_s.a", .service = true}, {{"SRV _s.a", offer(std::move(hosts))}}, {}, &asked);
  BOOST_TEST(std::ranges::count(asked, ';') == 1 + 2 * kHostsMost);
  BOOST_TEST(asked.starts_with("SRV _s.a; A h0001; AAAA h0001; A h0002; "));
}

BOOST_AUTO_TEST_CASE(services) {
  const config::DnsAddress name{.name = "_s.a", .service = true};
  const std::vector<Member> previous = members({{"10.0.0.8:1", "x"}, {"10.0.0.9:1", "y"}});
  const Replies hosts = {{"A x", addresses({"10.0.0.1"})}, {"A y", addresses({"10.0.0.2"}, 30)}};
  const auto with = [&hosts](DnsReply srv, Replies others = {}) {
    others.emplace("SRV _s.a", std::move(srv));
    others.insert(hosts.begin(), hosts.end());
    return others;
  };
  const Case cases[] = {
      {"ports and weights",
       with(offer({{"x", 81, 0, 5}, {"y", 82, 0, 1}})),
       {},
       "10.0.0.1:81*5 10.0.0.2:82",
       "",
       30},
      {"the lowest priority serves",
       with(offer({{"y", 82, 2, 1}, {"x", 81, 1, 1}, {"x", 83, 1, 1}})),
       {},
       "10.0.0.1:81 10.0.0.1:83"},
      {"the next one, if nobody of it is there",
       with(offer({{"y", 82, 2, 1}, {"z", 81, 1, 1}})),
       {},
       "10.0.0.2:82",
       "",
       30},
      {"a host that nobody can tell of stays as it was",
       with(offer({{"x", 81, 1, 1}, {"y", 1, 1, 1}}), {{"A y", kFailure}}), previous,
       "10.0.0.1:81 10.0.0.9:1", "A y: no answer in time"},
      {"nobody knows the service: all stays", with(kFailure), previous, "10.0.0.8:1 10.0.0.9:1",
       "SRV _s.a: no answer in time", 0},
      {"the service is gone", with(kNoName), previous, "", "_s.a does not exist (NXDOMAIN)", 0},
      {"the service has no record", with(kNoData), previous, "", "_s.a has no SRV record", 0},
      {"the service is not offered (RFC 2782)", with(offer({{"", 0, 0, 0}})), previous, "",
       "_s.a offers no server"},
      {"no port, no server", with(offer({{"x", 0, 0, 1}})), previous, "", "_s.a offers no server"},
      {"one address twice has both weights",
       with(offer({{"x", 81, 0, 2}, {"x", 81, 0, 3}})),
       {},
       "10.0.0.1:81*5"},
  };
  for (const Case& test : cases) check(name, test);
}

BOOST_AUTO_TEST_CASE(each_question_is_asked_once) {
  const struct {
    config::DnsAddress address;
    const char* expected;
  } cases[] = {
      {{.name = "a", .port = 80}, "A a; AAAA a; "},
      {{.name = "a", .port = 80, .family = config::AddressFamily::kIpv4}, "A a; "},
      {{.name = "a", .port = 80, .family = config::AddressFamily::kIpv6}, "AAAA a; "},
      {{.name = "_s.a", .service = true}, "SRV _s.a; A x; AAAA x; A y; AAAA y; "},
      {{.name = "_s.a", .service = true, .family = config::AddressFamily::kIpv4},
       "SRV _s.a; A x; A y; "},
  };
  const Replies replies = {
      {"SRV _s.a", offer({{"x", 1, 0, 0}, {"", 1, 0, 0}, {"y", 2, 0, 0}, {"x", 3, 0, 0}})}};
  for (const auto& test : cases) {
    std::string asked;
    look_up(test.address, replies, {}, &asked);
    BOOST_TEST(asked == test.expected);
  }
}

BOOST_AUTO_TEST_CASE(weights_are_products_within_what_a_weight_may_be) {
  const struct {
    int32_t weight;
    std::vector<uint16_t> of_members;
    std::vector<int32_t> expected;
  } cases[] = {
      {1, {1, 1}, {1, 1}},
      {5, {1}, {5}},
      {2, {10, 30}, {20, 60}},
      {3, {0, 0}, {3, 3}},
      {3, {0, 10}, {3, 30}},
      {0, {1, 7}, {0, 0}},
      {65535, {1, 1}, {65535, 65535}},
      {2, {65535, 1, 32768}, {65535, 1, 32768}},
      {65535, {65535, 0}, {65535, 1}},
  };
  for (const auto& test : cases) {
    std::vector<Member> all;
    for (const uint16_t weight : test.of_members) all.push_back({.weight = weight});
    BOOST_TEST(weights_of(test.weight, all) == test.expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
