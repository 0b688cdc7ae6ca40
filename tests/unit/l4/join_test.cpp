// Segments put together again: what split.h makes of a packet becomes that packet, and what must
// not go together does not.
#include "l4/join.h"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "l4/split.h"
#include "unit/l4/packet_builder.h"

namespace shunt::l4::test {
namespace {

constexpr const char* kClient = "192.0.2.7:1000";
constexpr const char* kVirtual = "198.51.100.1:80";
constexpr const char* kClient6 = "[2001:db8::7]:1000";
constexpr const char* kVirtual6 = "[2001:db8:1::1]:80";
constexpr uint16_t kSegment = 1000;

Inner inner_of(Bytes& packet) {
  Inner inner{.data = packet.data(), .size = static_cast<uint32_t>(packet.size())};
  BOOST_REQUIRE(parse(packet, inner.headers) == Drop::kNone);
  return inner;
}

std::vector<Bytes> split(Bytes whole, uint16_t segment) {
  Headers headers;
  BOOST_REQUIRE(parse(whole, headers) == Drop::kNone);
  const Packet packet{.data = whole.data(),
                      .size = static_cast<uint32_t>(whole.size()),
                      .offload = {.partial = true, .segment_size = segment}};
  std::vector<uint8_t> room(kPieceMax);
  std::vector<Bytes> pieces;
  Segments segments(packet, headers, room.data());
  Packet piece;
  while (segments.next(piece)) pieces.emplace_back(piece.data, piece.data + piece.size);
  return pieces;
}

struct Joined {
  Bytes bytes;
  Offload offload;
  size_t segments = 0;
  uint32_t header_size = 0;
};

// As many of the pieces as go together.
Joined join(std::vector<Bytes> pieces) {
  Join join;
  std::vector<Inner> inners;
  for (Bytes& piece : pieces) inners.push_back(inner_of(piece));
  join.begin(inners[0]);
  for (size_t i = 1; i < inners.size(); ++i)
    if (!join.add(inners[i])) break;
  const Join::Whole whole = join.finish();
  BOOST_TEST(join.empty());
  Joined joined{
      .offload = whole.offload, .segments = whole.segments, .header_size = whole.header_size};
  for (const auto part : whole.parts)
    joined.bytes.insert(joined.bytes.end(), part.begin(), part.end());
  return joined;
}

Build segment(uint32_t number, const char* flags = "A", const char* from = kClient) {
  return Build::tcp(from, kVirtual, flags)
      .payload(100)
      .df()
      .id(0x1234 + number)
      .sequence(1000 + 100 * number, 2000);
}

struct Case {
  const char* description;
  std::function<Bytes(Build)> second;
  size_t together;  // Of three.
};

bool same_but_checksum(Bytes a, Bytes b, bool v6) {
  const size_t checksum = (v6 ? 40 : 20) + 16;
  for (Bytes* each : {&a, &b}) (*each)[checksum] = (*each)[checksum + 1] = 0;
  return a == b;
}

BOOST_AUTO_TEST_SUITE(join_segments)

BOOST_AUTO_TEST_CASE(what_was_split_comes_together) {
  for (const bool v6 : {false, true}) {
    for (const char* flags : {"A", "PA", "FA", "FPA"}) {
      for (const size_t size : {1001u, 2000u, 4500u, 60000u}) {
        BOOST_TEST_CONTEXT(flags << " " << size << (v6 ? " v6" : " v4")) {
          const Bytes whole = Build::tcp(v6 ? kClient6 : kClient, v6 ? kVirtual6 : kVirtual, flags)
                                  .payload(size)
                                  .tos(v6 ? 0 : 8)
                                  .partial_sum();
          const std::vector<Bytes> pieces = split(whole, kSegment);
          const Joined joined = join(pieces);
          BOOST_TEST(joined.segments == pieces.size());
          BOOST_TEST((joined.bytes == whole));
          BOOST_TEST(joined.offload.partial);
          BOOST_TEST(joined.offload.start == (v6 ? 40 : 20));
          BOOST_TEST(joined.offload.offset == 16);
          BOOST_TEST(joined.offload.segment_size == kSegment);
          BOOST_TEST(joined.offload.segment_type == (v6 ? 4 : 1));
          BOOST_TEST(joined.header_size == (v6 ? 60u : 40u));
          BOOST_TEST((split(joined.bytes, joined.offload.segment_size) == pieces));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(one_alone_stays_as_it_is) {
  for (const Bytes& packet : {Build::tcp(kClient, kVirtual).bytes(),
                              Build::tcp(kClient, kVirtual, "A").payload(9).bytes(),
                              Build::udp(kClient, kVirtual).bytes(),
                              Build::tcp(kClient6, kVirtual6, "PA").payload(9).bytes()}) {
    const Joined joined = join({packet});
    BOOST_TEST((joined.bytes == packet));
    BOOST_TEST((joined.offload == Offload{}));
    BOOST_TEST(joined.segments == 1u);
  }
}

// The second of three segments, changed; where its checksum is still to hold, by the builder.
BOOST_AUTO_TEST_CASE(what_does_not_go_together) {
  for (const Case& test : {
           Case{"nothing", [](Build b) { return b.bytes(); }, 3},
           Case{"pushed: the last", [](Build) { return segment(1, "PA").bytes(); }, 2},
           Case{"the last is smaller", [](Build b) { return b.payload(60).bytes(); }, 2},
           Case{"larger", [](Build b) { return b.payload(101).bytes(); }, 1},
           Case{"empty", [](Build b) { return b.payload(0).bytes(); }, 1},
           Case{"a gap", [](Build b) { return b.sequence(1101, 2000).bytes(); }, 1},
           Case{"seen before", [](Build b) { return b.sequence(1000, 2000).bytes(); }, 1},
           Case{"acknowledges more", [](Build b) { return b.sequence(1100, 2001).bytes(); }, 1},
           Case{"another TTL", [](Build b) { return b.ttl(63).bytes(); }, 1},
           Case{"a congestion mark", [](Build b) { return b.tos(3).bytes(); }, 1},
           Case{"may be fragmented", [](Build b) { return b.df(false).bytes(); }, 1},
           Case{"another identification", [](Build b) { return b.id(0x1240).bytes(); }, 1},
           Case{"the same identification, which says nothing",
                [](Build b) { return b.id(0x1234).bytes(); }, 2},
           Case{"IP options", [](Build b) { return b.options({1, 1, 1, 1}).bytes(); }, 1},
           Case{"another window", [](Build b) { return b.poke(34, 0x77).partial_sum().bytes(); },
                1},
           Case{"urgent", [](Build b) { return b.poke(39, 1).bytes(); }, 1},
           Case{"a wrong checksum", [](Build b) { return b.poke(60, 0xee).bytes(); }, 1},
           Case{"an unfinished checksum", [](Build b) { return b.partial_sum().bytes(); }, 1},
           Case{"the end of another flow",
                [](Build) { return segment(1, "A", "192.0.2.7:1001").bytes(); }, 1},
           Case{"a reset", [](Build) { return segment(1, "RA").bytes(); }, 1},
       }) {
    BOOST_TEST_CONTEXT(test.description) {
      const Joined joined = join({segment(0), test.second(segment(1)), segment(2)});
      BOOST_TEST(joined.segments == test.together);
    }
  }
  // A wrong checksum of the first is not made right either.
  const Joined wrong = join({segment(0).poke(60, 0xee), segment(1)});
  BOOST_TEST(wrong.segments == 1u);
  BOOST_TEST((wrong.bytes == segment(0).poke(60, 0xee).bytes()));
}

// Whatever goes together is split into the same packets again, or was not alike.
BOOST_AUTO_TEST_CASE(random_changes_are_not_lost) {
  std::mt19937 random(7);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  size_t joined_some = 0;
  for (int round = 0; round < 3000; ++round) {
    const bool v6 = round % 2 != 0;
    const Bytes whole = Build::tcp(v6 ? kClient6 : kClient, v6 ? kVirtual6 : kVirtual, "PA")
                            .payload(250)
                            .partial_sum();
    std::vector<Bytes> pieces = split(whole, 100);
    Bytes& changed = pieces[below(pieces.size())];
    const size_t place = below(v6 ? 70 : 50);
    changed[place] = static_cast<uint8_t>(changed[place] ^ 1u << below(8));
    // Unfinished, so that a checksum does not give the change away.
    Join join;
    std::vector<Inner> inners;
    for (Bytes& piece : pieces) {
      Inner inner{
          .data = piece.data(), .size = static_cast<uint32_t>(piece.size()), .partial = true};
      if (parse(piece, inner.headers) != Drop::kNone) break;
      inner.size = inner.headers.size;
      inners.push_back(inner);
    }
    if (inners.empty()) continue;
    const std::vector<Bytes> before = pieces;
    join.begin(inners[0]);
    size_t count = 1;
    while (count < inners.size() && join.add(inners[count])) ++count;
    const Join::Whole together = join.finish();
    BOOST_TEST(together.segments == count);
    if (count == 1) continue;
    ++joined_some;
    Bytes bytes;
    for (const auto part : together.parts) bytes.insert(bytes.end(), part.begin(), part.end());
    std::vector<Bytes> again = split(bytes, together.offload.segment_size);
    BOOST_REQUIRE(again.size() == count);
    for (size_t i = 0; i < count; ++i) {
      Bytes expected = before[i];
      expected.resize(inners[i].size);
      BOOST_TEST(same_but_checksum(again[i], expected, v6),
                 "round " << round << ", byte " << place);
    }
  }
  BOOST_TEST(joined_some > 500u);
}

BOOST_AUTO_TEST_CASE(no_more_than_a_packet_holds) {
  std::vector<Bytes> pieces;
  for (uint32_t i = 0; i < 80; ++i)
    pieces.push_back(
        Build::tcp(kClient, kVirtual, "A").payload(1400).id(7 + i).sequence(1000 + 1400 * i, 2000));
  BOOST_TEST(join(pieces).segments == 46u);  // 65,535 bytes.
  pieces.clear();
  for (uint32_t i = 0; i < 80; ++i)
    pieces.push_back(
        Build::tcp(kClient, kVirtual, "A").payload(10).id(7 + i).sequence(1000 + 10 * i, 2000));
  BOOST_TEST(join(pieces).segments == Join::kSegmentsMost);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::l4::test
