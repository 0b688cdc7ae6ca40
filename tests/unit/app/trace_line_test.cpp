// What `shunt ctl trace` says of packets that go through a real director: which of them it follows,
// what was decided and why, and what was rewritten.
#include "app/trace_line.h"

#include <boost/test/unit_test.hpp>

#include "app/pcap.h"
#include "unit/l4/world.h"

namespace shunt::app {
namespace {

using l4::kTcp;
using l4::kUdp;
using l4::Method;
using l4::ServiceSpec;
using l4::test::add_default;
using l4::test::Build;
using l4::test::Bytes;
using l4::test::kClient;
using l4::test::kClient6;
using l4::test::kVirtual;
using l4::test::kVirtual6;
using l4::test::World;

constexpr size_t kRoom = 64;
constexpr int64_t kTime = 1'700'000'000'000'001;

// Somebody who follows packets as long as it lives.
class Follower {
 public:
  Follower(World& world, l4::WatchFilter filter, size_t packets = kRoom, size_t bytes = 65'536)
      : world_(world),
        watch_(std::move(filter), l4::WatchBatch::with_room(packets, bytes)),
        spare_(l4::WatchBatch::with_room(packets, bytes)) {
    world_.director->watch(&watch_);
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower() { world_.director->watch(nullptr); }

  // What has been seen since the last call.
  std::vector<TraceLine> take() {
    spare_.clear();
    watch_.take(spare_);
    std::vector<TraceLine> lines;
    for (const l4::Sighting& sighting : spare_.sightings)
      lines.push_back(trace_line(spare_, sighting, {"eth0"}, kTime));
    return lines;
  }
  TraceLine of(const Bytes& packet) {
    world_.in(packet);
    std::vector<TraceLine> lines = take();
    BOOST_REQUIRE(lines.size() == 1u);
    return lines.front();
  }
  uint64_t lost() const { return spare_.lost; }

 private:
  World& world_;
  l4::Watch watch_;
  l4::WatchBatch spare_;
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

BOOST_AUTO_TEST_SUITE(trace_line_words)

BOOST_AUTO_TEST_CASE(a_connection_from_its_first_packet_to_its_last) {
  World world;
  add_default(world, Method::kNat);
  Follower follower(world, {});

  const TraceLine first = follower.of(Build::tcp(kClient, kVirtual));
  BOOST_TEST(first.time == "2023-11-14T22:13:20.000001Z");
  BOOST_TEST(first.packet == "TCP 192.0.2.7:1000 > 198.51.100.1:80 SYN, 40 bytes, ttl 64");
  BOOST_TEST(!first.from_server);
  BOOST_TEST(first.server == "a");
  BOOST_TEST(has(first.decision, "new connection: "), first.decision);
  BOOST_TEST(has(first.decision, " chose a (10.1.0.1:8080, nat), weight 1, now "), first.decision);
  BOOST_TEST(first.state == "NONE -> SYN_RECV");
  BOOST_REQUIRE(first.sent.size() == 1u);
  BOOST_TEST(first.sent[0].packet == "TCP 192.0.2.7:1000 > 10.1.0.1:8080 SYN, 40 bytes, ttl 63");
  BOOST_TEST(first.sent[0].changes ==
             std::vector<std::string>{"destination 198.51.100.1:80 -> 10.1.0.1:8080"});

  const TraceLine answer = follower.of(Build::tcp("10.1.0.1:8080", kClient, "SA"));
  BOOST_TEST(answer.from_server);
  BOOST_TEST(answer.decision == "answer of a (10.1.0.1:8080, nat)");
  BOOST_TEST(answer.sent.at(0).changes ==
             std::vector<std::string>{"source 10.1.0.1:8080 -> 198.51.100.1:80"});
  const TraceLine third = follower.of(Build::tcp(kClient, kVirtual, "A"));
  BOOST_TEST(third.decision == "known connection to a (10.1.0.1:8080, nat)");
  BOOST_TEST(third.state == "SYN_RECV -> ESTABLISHED");
  BOOST_TEST(follower.of(Build::tcp(kClient, kVirtual, "PA").payload(10)).state == "ESTABLISHED");
  BOOST_TEST(follower.of(Build::tcp(kClient, kVirtual, "R")).state == "ESTABLISHED -> CLOSE");
  const TraceLine anew = follower.of(Build::tcp(kClient, kVirtual));
  BOOST_TEST(has(anew.decision, "a closed connection"), anew.decision);
}

BOOST_AUTO_TEST_CASE(what_each_method_changes) {
  struct Case {
    Method method;
    l4::TunnelKind tunnel;
    bool v6;
    const char* change;
  };
  for (const auto& [method, tunnel, v6, change] :
       {Case{Method::kDirect, {}, false, "only the link addresses changed"},
        Case{Method::kDirect, {}, true, "only the link addresses changed"},
        Case{Method::kTunnel, {}, false, "wrapped in IPIP from 10.1.0.254 to 10.1.0.1"},
        Case{Method::kTunnel, {}, true, "wrapped in IPIP from 2001:db8:2::fe to 2001:db8:2::1"},
        Case{Method::kTunnel, l4::TunnelKind::kGue, false,
             "wrapped in GUE from 10.1.0.254 to 10.1.0.1"}}) {
    World world;
    add_default(world, method, v6, {}, {.tunnel = tunnel});
    Follower follower(world, {});
    const Bytes packet =
        v6 ? Build::udp(kClient6, kVirtual6).bytes() : Build::udp(kClient, kVirtual).bytes();
    const TraceLine line = follower.of(packet);
    BOOST_TEST(line.sent.at(0).changes == std::vector<std::string>{change});
    BOOST_TEST(line.state == "");
  }
}

BOOST_AUTO_TEST_CASE(why_a_server) {
  {
    World world;
    add_default(world, Method::kNat, false, {.persistence = std::chrono::minutes(5)});
    Follower follower(world, {});
    BOOST_TEST(has(follower.of(Build::tcp(kClient, kVirtual)).decision, " chose a "));
    BOOST_TEST(has(follower.of(Build::tcp("192.0.2.7:1001", kVirtual)).decision,
                   "its client is persistent to a "));
  }
  {
    World world({.connections = 1});
    add_default(world, Method::kNat);
    world.in(Build::udp("192.0.2.8:1000", kVirtual));
    Follower follower(world, {});
    BOOST_TEST(has(follower.of(Build::udp(kClient, kVirtual)).decision,
                   "placed at a (10.1.0.1:8080, nat) by hash, not remembered"));
  }
  World world;
  add_default(world, Method::kDirect, false, {.one_packet = true});
  Follower follower(world, {});
  const std::string decision = follower.of(Build::udp(kClient, kVirtual)).decision;
  BOOST_TEST(has(decision, "a datagram by itself: "), decision);
}

BOOST_AUTO_TEST_CASE(what_is_dropped_and_what_is_answered) {
  World world;
  add_default(world, Method::kNat);
  Follower follower(world, {});
  const TraceLine no_service = follower.of(Build::tcp(kClient, "198.51.100.1:81"));
  BOOST_TEST(no_service.drop == "no_service");
  BOOST_TEST(has(no_service.decision, "dropped, no_service: A virtual address, but no service"));
  BOOST_REQUIRE(no_service.sent.size() == 1u);
  BOOST_TEST(has(no_service.sent[0].packet, " RST ACK,"), no_service.sent[0].packet);
  BOOST_TEST(no_service.sent[0].changes == std::vector<std::string>{"an answer to its sender"});
  BOOST_TEST(follower.of(Build::tcp(kClient, kVirtual, "A")).drop == "no_connection");
  BOOST_TEST(follower.of(Build::tcp(kClient, kVirtual).poke(37, 0)).drop == "bad_checksum");
  const TraceLine broken = follower.of(Build::tcp(kClient, kVirtual).poke(11, 0));
  BOOST_TEST(broken.drop == "bad_header_checksum");
  BOOST_TEST(broken.packet == "a packet with faults, 40 bytes");
}

BOOST_AUTO_TEST_CASE(only_what_was_asked_for_is_followed) {
  struct Case {
    const char* description;
    l4::WatchFilter filter;
    size_t followed;  // Of the five below.
  };
  const std::string name = "web";
  const auto client = [](const char* address, uint16_t port) {
    return l4::WatchFilter{.client = *IpAddress::parse(address), .client_port = port};
  };
  for (const Case& test : {
           Case{"all", {}, 5},
           Case{"a service, and its address's other ports", {.service = name}, 5},
           Case{"another service", {.service = "dns"}, 0},
           Case{"a client, both ways", client("192.0.2.7", 0), 4},
           Case{"one flow, both ways", client("192.0.2.7", 1000), 2},
           Case{"another client", client("192.0.2.9", 0), 0},
       }) {
    World world;
    add_default(world, Method::kNat, false, {.name = name});
    Follower follower(world, test.filter);
    world.in(Build::tcp(kClient, kVirtual));
    world.in(Build::tcp("10.1.0.1:8080", kClient, "SA"));
    world.in(Build::tcp("192.0.2.7:1001", kVirtual));
    world.in(Build::tcp("192.0.2.7:1001", "198.51.100.1:81"));
    world.in(Build::tcp("192.0.2.8:1000", kVirtual));
    BOOST_TEST(follower.take().size() == test.followed, test.description);
  }
}

BOOST_AUTO_TEST_CASE(what_finds_no_room_is_counted_and_forwarded_all_the_same) {
  World world;
  add_default(world, Method::kNat);
  Follower follower(world, {}, 3);
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(has(world.in(Build::udp(kClient, kVirtual)), "10.1.0.1:8080 udp"));
  BOOST_TEST(follower.take().size() == 3u);
  BOOST_TEST(follower.lost() == 2u);
  BOOST_TEST(follower.of(Build::udp(kClient, kVirtual)).server == "a");
  BOOST_TEST(follower.lost() == 0u);
}

BOOST_AUTO_TEST_CASE(nobody_is_told_when_nobody_follows) {
  World world;
  add_default(world, Method::kNat);
  {
    const Follower follower(world, {});
    BOOST_TEST(world.director->is_watched());
  }
  BOOST_TEST(!world.director->is_watched());
  BOOST_TEST(has(world.in(Build::udp(kClient, kVirtual)), "10.1.0.1:8080 udp"));
}

BOOST_AUTO_TEST_CASE(json_and_back_and_text) {
  const TraceLine line{.time = "2023-11-14T22:13:20.000001Z",
                       .from_server = true,
                       .interface = "eth0",
                       .packet = "TCP a > b",
                       .service = "web",
                       .server = "s1",
                       .decision = "answer of s1",
                       .state = "ESTABLISHED",
                       .sent = {{"eth1", "02:00:00:00:00:01", "TCP c > b", {"source a -> c"}}}};
  const auto back = trace_line_from_json(to_json(line));
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((*back == line));
  BOOST_TEST(to_text(line) ==
             "22:13:20.000001Z eth0 from server TCP a > b\n"
             "    web: answer of s1 [ESTABLISHED]\n"
             "    -> eth1 02:00:00:00:00:01: TCP c > b (source a -> c)\n");
  const auto lost = trace_line_from_json(to_json(TraceLine{.lost = 7}));
  BOOST_REQUIRE(lost.has_value());
  BOOST_TEST(lost->lost == 7u);
  BOOST_TEST(has(to_text(*lost), "7 packets were not followed"));
  BOOST_TEST(!trace_line_from_json("{}").has_value());
}

BOOST_AUTO_TEST_CASE(pcap_files) {
  std::string file;
  append_pcap_header(file, 96);
  append_pcap_frame(file, 1'500'000'002, "abc", 60);
  const auto word = [&](size_t at) {
    uint32_t number = 0;
    std::copy_n(file.data() + at, sizeof number, reinterpret_cast<char*>(&number));
    return number;
  };
  BOOST_TEST(file.size() == 24u + 16u + 3u);
  BOOST_TEST(word(0) == 0xa1b23c4d);
  BOOST_TEST(word(16) == 96u);
  BOOST_TEST(word(20) == 1u);
  BOOST_TEST(word(24) == 1u);
  BOOST_TEST(word(28) == 500'000'002u);
  BOOST_TEST(word(32) == 3u);
  BOOST_TEST(word(36) == 60u);
  BOOST_TEST(file.substr(40) == "abc");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::app
