// ARP and ND: bytes read and written, what is refused, and the table's states over a virtual clock.
#include "l4/neighbour.h"

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "l4/checksum.h"
#include "l4/packet.h"
#include "unit/l4/packet_builder.h"

namespace shunt::l4::test {
namespace {

using namespace std::chrono_literals;

constexpr MacAddress kOurs = {2, 0, 0, 0, 0, 1};
constexpr MacAddress kTheirs = {2, 0, 0, 0, 0, 9};
constexpr MacAddress kOther = {2, 0, 0, 0, 0, 8};
constexpr Instant kStart{};

IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

std::string hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

Bytes unhex(std::string_view text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    bytes.push_back(static_cast<uint8_t>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16)));
    i += 2;
  }
  return bytes;
}

std::string text_of(const MacAddress& mac) {
  return hex(mac).substr(10);
}

// "10.0.0.9 at 09 has 10.0.0.1": as much as a table can compare.
std::string text_of(std::span<const uint8_t> frame) {
  const auto message = parse_neighbour(frame);
  if (!message) return "none";
  const bool asks = message->kind == NeighbourMessage::Kind::kRequest;
  return fmt::format("{} {}{}{}{}{}", message->sender.to_string(),
                     message->has_mac ? "at " + text_of(message->mac) : "somewhere",
                     asks ? " asks for " : " answers ", message->target.to_string(),
                     message->solicited ? " solicited" : "",
                     message->overrides && message->v6 ? " override" : "");
}

Bytes bytes_of(const NeighbourFrame& frame) {
  return {frame.bytes.begin(), frame.bytes.begin() + frame.size};
}

NeighbourFrame request_from(std::string_view sender, std::string_view target) {
  return write_request({kTheirs, ip(sender)}, ip(target));
}

NeighbourFrame answer_to(const Speaker& asker, std::string_view target, const MacAddress& mac) {
  const auto request = parse_neighbour(write_request(asker, ip(target)).span());
  BOOST_REQUIRE(request.has_value());
  return write_answer(mac, *request);
}

// With the ICMPv6 checksum mended after an edit.
Bytes edited(const NeighbourFrame& frame, size_t offset, uint8_t value) {
  Bytes bytes = bytes_of(frame);
  bytes.at(offset) = value;
  if (bytes[12] == 0x08) return bytes;
  Headers headers;
  headers.v6 = true;
  headers.tuple.protocol = kIcmpV6;
  const uint32_t length = static_cast<uint32_t>(bytes.size()) - 54;
  store_be16(bytes.data() + 56, 0);
  store_raw16(bytes.data() + 56, finish(add_bytes({bytes.data() + 54, length},
                                                  pseudo_sum(bytes.data() + 14, headers, length))));
  return bytes;
}

Bytes cut(Bytes bytes, size_t size) {
  bytes.resize(size);
  return bytes;
}

struct World final : NeighbourOutput {
  explicit World(const NeighbourLimits& limits = {}) : table(limits, *this, kStart) {
    table.add_link(1, kOurs, ip("10.0.0.1"), ip("fe80::1"));
  }
  void send_frame(uint16_t, std::span<const uint8_t> frame) override {
    sent.push_back((frame[0] & 1 ? "all: "
                                 : text_of(MacAddress{frame[0], frame[1], frame[2], frame[3],
                                                      frame[4], frame[5]}) +
                                       ": ") +
                   text_of(frame));
  }
  void resolved(const Packet& packet, const MacAddress& mac) override {
    sent.push_back(fmt::format("packet {} to {}", hex({packet.data, packet.size}), text_of(mac)));
  }
  std::string take() {
    const std::string all = fmt::format("{}", fmt::join(sent, " | "));
    sent.clear();
    return all;
  }
  bool knows(std::string_view address, Duration at) {
    return table.find(1, ip(address), kStart + at) != nullptr;
  }
  void hear(const NeighbourFrame& frame, Duration at) {
    BOOST_TEST(table.receive(1, frame.span(), kStart + at));
  }
  // The answer to the request that the table has just sent.
  void hear_answer(std::string_view address, Duration at, const MacAddress& mac = kTheirs) {
    hear(answer_to({kOurs, ip(address).is_v4() ? ip("10.0.0.1") : ip("fe80::1")}, address, mac),
         at);
  }

  std::vector<std::string> sent;
  Neighbours table;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(neighbour)

BOOST_AUTO_TEST_CASE(bytes_written) {
  const MacAddress known = kTheirs;
  struct Row {
    const char* description;
    NeighbourFrame frame;
    const char* bytes;
  };
  const Row rows[] = {
      {"ARP request", write_request({kOurs, ip("10.0.0.1")}, ip("10.0.0.9")),
       "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 "
       "0a000009"},
      {"ARP probe of a known neighbour",
       write_request({kOurs, ip("10.0.0.1")}, ip("10.0.0.9"), &known),
       "020000000009 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 "
       "0a000009"},
      {"ARP request without an address of ours", write_request({kOurs, {}}, ip("10.0.0.9")),
       "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 "
       "0a000009"},
      {"ARP reply", answer_to({kTheirs, ip("10.0.0.9")}, "10.0.0.100", kOurs),
       "020000000009 020000000001 0806 0001 0800 06 04 0002 020000000001 0a000064 020000000009 "
       "0a000009"},
      {"gratuitous ARP", write_announcement(kOurs, ip("10.0.0.100")),
       "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a000064 000000000000 "
       "0a000064"},
      {"solicitation", write_request({kOurs, ip("fe80::1")}, ip("fe80::9")),
       "3333ff000009 020000000001 86dd 60000000 0020 3a ff fe800000000000000000000000000001"
       "ff0200000000000000000001ff000009 87007a89 00000000 fe800000000000000000000000000009"
       "0101 020000000001"},
      {"advertisement", answer_to({kTheirs, ip("fe80::9")}, "fe80::64", kOurs),
       "020000000009 020000000001 86dd 60000000 0020 3a ff fe800000000000000000000000000064"
       "fe800000000000000000000000000009 8800 174f 60000000 fe800000000000000000000000000064"
       "0201 020000000001"},
      {"unsolicited advertisement", write_announcement(kOurs, ip("fe80::64")),
       "333300000001 020000000001 86dd 60000000 0020 3a ff fe800000000000000000000000000064"
       "ff020000000000000000000000000001 8800 56d5 20000000 fe800000000000000000000000000064"
       "0201 020000000001"},
      {"to one that has no address yet", answer_to({kTheirs, {}}, "fe80::64", kOurs),
       "333300000001 020000000001 86dd 60000000 0020 3a ff fe800000000000000000000000000064"
       "ff020000000000000000000000000001 8800 56d5 20000000 fe800000000000000000000000000064"
       "0201 020000000001"},
  };
  for (const Row& row : rows) {
    BOOST_TEST_CONTEXT(row.description) {
      BOOST_TEST(hex(row.frame.span()) == hex(unhex(row.bytes)));
    }
  }
}

BOOST_AUTO_TEST_CASE(bytes_read) {
  const NeighbourFrame arp = request_from("10.0.0.9", "10.0.0.1");
  const NeighbourFrame ask = request_from("fe80::9", "fe80::1");
  const NeighbourFrame tell = answer_to({kOurs, ip("fe80::1")}, "fe80::9", kTheirs);
  const NeighbourFrame probe = write_request({kTheirs, {}}, ip("fe80::1"));
  struct Row {
    const char* description;
    Bytes frame;
    const char* message;
  };
  const Row rows[] = {
      {"ARP request", bytes_of(arp), "10.0.0.9 at 09 asks for 10.0.0.1"},
      {"padded to 60 bytes", cut(bytes_of(arp), 60), "10.0.0.9 at 09 asks for 10.0.0.1"},
      {"ARP reply", edited(arp, 21, 2), "10.0.0.9 at 09 answers 10.0.0.1 solicited"},
      {"gratuitous reply", edited(write_announcement(kTheirs, ip("10.0.0.9")), 21, 2),
       "10.0.0.9 at 09 answers 10.0.0.9"},
      {"ARP probe", bytes_of(request_from("0.0.0.0", "10.0.0.1")),
       "0.0.0.0 at 09 asks for 10.0.0.1"},
      {"solicitation", bytes_of(ask), "fe80::9 at 09 asks for fe80::1"},
      {"advertisement", bytes_of(tell), "fe80::9 at 09 answers fe80::9 solicited override"},
      {"duplicate address detection", bytes_of(probe), ":: somewhere asks for fe80::1"},
      {"nothing", {}, "none"},
      {"only an Ethernet header", cut(bytes_of(arp), 14), "none"},
      {"ARP, a byte short", cut(bytes_of(arp), 41), "none"},
      {"ARP for another link type", edited(arp, 15, 6), "none"},
      {"ARP for another protocol", edited(arp, 16, 0x86), "none"},
      {"ARP with long link addresses", edited(arp, 18, 8), "none"},
      {"ARP operation 3", edited(arp, 21, 3), "none"},
      {"ARP from a group's link address", edited(arp, 22, 3), "none"},
      {"ARP from no link address", bytes_of(write_request({{}, ip("10.0.0.9")}, ip("10.0.0.1"))),
       "none"},
      {"ARP from a group", edited(arp, 28, 224), "none"},
      {"IPv4", edited(arp, 13, 0), "none"},
      {"ND, a byte short", cut(bytes_of(ask), 85), "none"},
      {"ND that went through a router", edited(ask, 21, 254), "none"},
      {"ND, version 4", edited(ask, 14, 0x40), "none"},
      {"not ICMPv6", edited(ask, 20, 17), "none"},
      {"a router advertisement", edited(ask, 54, 134), "none"},
      {"ND with a code", edited(ask, 55, 1), "none"},
      {"ND about a group", edited(ask, 62, 0xff), "none"},
      {"ND from a group", edited(ask, 22, 0xff), "none"},
      {"an option of size 0", edited(ask, 79, 0), "none"},
      {"an option beyond the end", edited(ask, 79, 2), "none"},
      {"an option that is not known", edited(ask, 78, 14), "fe80::9 somewhere asks for fe80::1"},
      {"a group's link address in the option", edited(ask, 80, 3), "none"},
      {"length beyond the frame", edited(ask, 19, 33), "none"},
      {"detection, but sent to one", edited(probe, 38, 0xfe), "none"},
      {"solicited, but to a group", edited(tell, 38, 0xff), "none"},
  };
  for (const Row& row : rows) {
    BOOST_TEST_CONTEXT(row.description) {
      BOOST_TEST(text_of(row.frame) == row.message);
    }
  }
  Bytes bad = bytes_of(ask);
  bad[57] ^= 1;
  BOOST_TEST(text_of(bad) == "none");
}

BOOST_AUTO_TEST_CASE(a_neighbours_life) {
  for (const char* address : {"10.0.0.9", "fe80::9"}) {
    BOOST_TEST_CONTEXT(address) {
      World world;
      const std::string own = ip(address).is_v4() ? "10.0.0.1" : "fe80::1";
      const std::string asks = fmt::format("{} at 01 asks for {}", own, address);
      BOOST_TEST(!world.knows(address, 0s));
      BOOST_TEST(world.take() == "all: " + asks);
      BOOST_TEST(!world.knows(address, 100ms));
      BOOST_TEST(world.take() == "");  // Once an interval, however many packets.
      world.table.advance(kStart + 1s);
      BOOST_TEST(world.take() == "all: " + asks);
      world.hear_answer(address, 1100ms);
      BOOST_TEST(world.knows(address, 1200ms));
      BOOST_TEST(*world.table.find(1, ip(address), kStart + 2s) == kTheirs);
      BOOST_TEST(world.take() == "");
      // Grown old it is still used, and asked itself.
      BOOST_TEST(world.knows(address, 32s));
      BOOST_TEST(world.take() == "09: " + asks);
      BOOST_TEST(world.knows(address, 33s));
      world.hear_answer(address, 33s);
      BOOST_TEST((*world.table.state(1, ip(address)) == NeighbourState::kReachable));
      // It goes away.
      BOOST_TEST(world.knows(address, 64s));
      for (const Duration at : {65s, 66s}) {
        world.table.advance(kStart + at);
        BOOST_TEST(world.knows(address, at));
      }
      world.table.advance(kStart + 67s);
      BOOST_TEST(world.table.size() == 0u);
      BOOST_TEST(world.table.counters.unresolved.value() == 1u);
      world.take();
      BOOST_TEST(!world.knows(address, 68s));
      BOOST_TEST(world.take() == "all: " + asks);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_neighbour_that_nobody_uses_is_forgotten) {
  World world;
  world.knows("10.0.0.9", 0s);
  world.hear_answer("10.0.0.9", 0s);
  world.take();
  world.table.advance(kStart + 599s);
  BOOST_TEST(world.table.size() == 1u);
  world.table.advance(kStart + 600s);
  BOOST_TEST(world.table.size() == 0u);
  BOOST_TEST(world.take() == "");
}

BOOST_AUTO_TEST_CASE(held_packets_leave_when_the_answer_comes) {
  World world({.held = 4, .held_each = 3});
  Bytes bytes(kHeadroom + 4);
  const auto hold = [&](std::string_view address, uint8_t mark) {
    bytes[kHeadroom] = mark;
    Packet packet{
        .data = bytes.data() + kHeadroom, .size = 1, .headroom = kHeadroom, .interface = 1};
    return world.table.hold(packet, ip(address));
  };
  BOOST_TEST(!hold("10.0.0.9", 1));  // Nobody asked for it.
  world.knows("10.0.0.9", 0s);
  world.knows("10.0.0.8", 0s);
  for (uint8_t mark = 1; mark <= 3; ++mark) BOOST_TEST(hold("10.0.0.9", mark));
  BOOST_TEST(!hold("10.0.0.9", 4));
  BOOST_TEST(hold("10.0.0.8", 5));
  BOOST_TEST(!hold("10.0.0.8", 6));  // No room of all.
  world.take();
  world.hear_answer("10.0.0.9", 10ms);
  BOOST_TEST(world.take() == "packet 01 to 09 | packet 02 to 09 | packet 03 to 09");
  BOOST_TEST(!hold("10.0.0.9", 7));  // Known.
  BOOST_TEST(hold("10.0.0.8", 8));
  for (const Duration at : {1s, 2s, 3s}) world.table.advance(kStart + at);
  BOOST_TEST(!world.table.state(1, ip("10.0.0.8")));
  BOOST_TEST(world.table.counters.held.value() == 5u);
  BOOST_TEST(world.table.counters.held_dropped.value() == 6u);
  Packet large{.data = bytes.data(), .size = Neighbours::kHeldMax + 1, .interface = 1};
  world.knows("10.0.0.7", 4s);
  BOOST_TEST(!world.table.hold(large, ip("10.0.0.7")));
}

BOOST_AUTO_TEST_CASE(virtual_addresses) {
  World world;
  world.table.serve(1, ip("10.0.0.100"), kStart);
  world.table.serve(1, ip("fe80::64"), kStart);
  const std::string both =
      "all: 10.0.0.100 at 01 asks for 10.0.0.100 | all: fe80::64 at 01 answers fe80::64 override";
  BOOST_TEST(world.take() == both);
  world.table.advance(kStart + 500ms);
  BOOST_TEST(world.take() == "");
  world.table.advance(kStart + 1s);
  BOOST_TEST(world.take() == both);
  world.table.advance(kStart + 2s);
  BOOST_TEST(world.take() == both);
  // Then whoever else has them is asked for, now and then.
  const std::string question =
      "all: 0.0.0.0 at 01 asks for 10.0.0.100 | all: :: somewhere asks for fe80::64";
  world.table.advance(kStart + 3s);
  BOOST_TEST(world.take() == question);
  world.table.advance(kStart + 62s);
  BOOST_TEST(world.take() == "");
  world.table.advance(kStart + 63s);
  BOOST_TEST(world.take() == question);

  world.hear(request_from("10.0.0.9", "10.0.0.100"), 4s);
  BOOST_TEST(world.take() == "09: 10.0.0.100 at 01 answers 10.0.0.9 solicited");
  world.hear(request_from("0.0.0.0", "10.0.0.100"), 4s);
  BOOST_TEST(world.take() == "09: 10.0.0.100 at 01 answers 0.0.0.0 solicited");
  world.hear(request_from("fe80::9", "fe80::64"), 4s);
  BOOST_TEST(world.take() == "09: fe80::64 at 01 answers fe80::64 solicited override");
  world.hear(write_request({kTheirs, {}}, ip("fe80::64")), 4s);
  BOOST_TEST(world.take() == "all: fe80::64 at 01 answers fe80::64 override");
  // The host answers for its own, nobody for others; nobody is learned from what he asks.
  world.hear(request_from("10.0.0.9", "10.0.0.1"), 4s);
  world.hear(request_from("10.0.0.9", "10.0.0.99"), 4s);
  BOOST_TEST(world.take() == "");
  BOOST_TEST(world.table.size() == 0u);

  world.table.announce(kStart + 5s);
  BOOST_TEST(world.take() == both);
  world.table.withdraw(1, ip("10.0.0.100"));
  world.hear(request_from("10.0.0.9", "10.0.0.100"), 5s);
  BOOST_TEST(world.take() == "");
}

BOOST_AUTO_TEST_CASE(somebody_else_speaks_for_our_address) {
  World world;
  world.table.serve(1, ip("10.0.0.100"), kStart);
  world.take();
  world.hear(write_announcement(kOther, ip("10.0.0.100")), 1s);
  BOOST_TEST(world.table.counters.conflicts.value() == 1u);
  BOOST_TEST((world.table.last_conflict().mac == kOther));
  BOOST_TEST((world.table.last_conflict().address == ip("10.0.0.100")));
  BOOST_TEST(world.table.last_conflict().interface == 1);
  BOOST_TEST(world.take() == "");
  // Our own announcement, come back by a bridge, is none.
  world.hear(write_announcement(kOurs, ip("10.0.0.100")), 1s);
  BOOST_TEST(world.table.counters.conflicts.value() == 1u);
}

BOOST_AUTO_TEST_CASE(a_neighbour_moves) {
  World world;
  world.knows("10.0.0.9", 0s);
  world.hear_answer("10.0.0.9", 0s);
  world.hear(write_announcement(kOther, ip("10.0.0.9")), 1s);
  BOOST_TEST((*world.table.find(1, ip("10.0.0.9"), kStart + 2s) == kOther));

  world.knows("fe80::9", 0s);
  world.hear_answer("fe80::9", 0s);
  NeighbourFrame weak = answer_to({kOurs, ip("fe80::1")}, "fe80::9", kOther);
  const Bytes without_override = edited(weak, 58, 0x40);
  BOOST_TEST(world.table.receive(1, without_override, kStart + 1s));
  // Not believed, but doubted (RFC 4861 §7.2.5).
  BOOST_TEST((*world.table.state(1, ip("fe80::9")) == NeighbourState::kStale));
  BOOST_TEST((*world.table.find(1, ip("fe80::9"), kStart + 2s) == kTheirs));
}

BOOST_AUTO_TEST_CASE(limits) {
  World world({.neighbours = 2, .requests = 4, .answers = 4});
  BOOST_TEST(!world.knows("224.0.0.1", 0s));
  BOOST_TEST(!world.knows("0.0.0.0", 0s));
  BOOST_TEST(world.table.find(7, ip("10.0.0.9"), kStart) == nullptr);  // No such link.
  BOOST_TEST(world.table.size() == 0u);
  world.knows("10.0.0.9", 0s);
  world.hear_answer("10.0.0.9", 0s);
  for (int i = 10; i < 40; ++i) world.knows(fmt::format("10.0.0.{}", i), 10ms * i);
  // Only those who do not answer push each other out, and few are asked for.
  BOOST_TEST(world.table.size() == 2u);
  BOOST_TEST(world.knows("10.0.0.9", 1s));
  BOOST_TEST(world.table.counters.requests.value() <= 3u);
  BOOST_TEST(world.table.counters.suppressed.value() > 20u);

  world.table.serve(1, ip("10.0.0.100"), kStart);
  world.take();
  for (int i = 0; i < 10; ++i) world.hear(request_from("10.0.0.8", "10.0.0.100"), 2s);
  BOOST_TEST(world.table.counters.answers.value() == 1u);
}

// Of those that are not known to be there: never asked for again, or silent, or not used for long.
BOOST_AUTO_TEST_CASE(the_longest_unused_makes_room) {
  World world({.neighbours = 4});
  const auto known = [&](int host) {
    return world.table.state(1, ip(fmt::format("10.0.0.{}", host))) != nullptr;
  };
  for (int host = 11; host <= 14; ++host) world.knows(fmt::format("10.0.0.{}", host), 0s);
  world.hear_answer("10.0.0.12", 0s);
  world.knows("10.0.0.11", 1ms);  // Used again.
  world.knows("10.0.0.15", 2ms);
  BOOST_TEST((known(11) && known(12) && !known(13) && known(14) && known(15)));
  world.knows("10.0.0.16", 3ms);
  BOOST_TEST((known(11) && known(12) && !known(14) && known(15) && known(16)));
  // An answer that is no longer good protects no more; one that was forgotten makes no trouble.
  world.hear_answer("10.0.0.15", 3ms);
  world.hear_answer("10.0.0.16", 4ms);
  world.table.advance(kStart + 31s);
  world.knows("10.0.0.15", 31s);
  for (int host = 21; host <= 23; ++host) world.knows(fmt::format("10.0.0.{}", host), 32s);
  BOOST_TEST((known(15) && !known(11) && !known(12) && !known(16)));
  world.table.advance(kStart + 20min);
  BOOST_TEST(world.table.size() == 0u);
  for (int host = 31; host <= 39; ++host) world.knows(fmt::format("10.0.0.{}", host), 20min);
  BOOST_TEST(world.table.size() == 4u);
  BOOST_TEST((known(36) && known(39)));
}

BOOST_AUTO_TEST_CASE(groups) {
  BOOST_TEST(hex(solicited_node_group(ip("2001:db8::12:3456"))) == "3333ff123456");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
