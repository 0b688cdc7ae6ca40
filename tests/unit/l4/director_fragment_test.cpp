// Fragments: the others follow the first, in whatever order they come, in NAT and without; what
// overlaps, hides or floods is dropped.
#include <boost/test/unit_test.hpp>

#include "unit/l4/world.h"

namespace shunt::l4::test {
namespace {

Bytes large(bool v6, uint32_t id = 0x1234) {
  return v6 ? Build::udp(kClient6, kVirtual6).payload(120)
            : Build::udp(kClient, kVirtual).payload(120).id(id);
}

// The data of all that left, put together by their offsets; from the transport header on.
Bytes together(const std::vector<Bytes>& packets, bool v6) {
  Bytes whole;
  for (const Bytes& packet : packets) {
    const size_t header = v6 ? 48 : 20;
    const size_t offset = v6 ? static_cast<size_t>((packet[42] << 8 | packet[43]) & 0xfff8)
                             : static_cast<size_t>((packet[6] << 8 | packet[7]) & 0x1fff) * 8;
    const size_t size = packet.size() - header;
    if (whole.size() < offset + size) whole.resize(offset + size);
    std::copy(packet.begin() + static_cast<ptrdiff_t>(header), packet.end(),
              whole.begin() + static_cast<ptrdiff_t>(offset));
  }
  return whole;
}

// A whole packet again, so that the printer checks the transport checksum over all fragments.
std::string joined(const std::vector<Bytes>& packets, bool v6) {
  const Bytes data = together(packets, v6);
  Bytes packet(packets[0].begin(), packets[0].begin() + (v6 ? 40 : 20));
  if (v6) {
    packet[6] = packets[0][40];
    packet[4] = static_cast<uint8_t>(data.size() >> 8);
    packet[5] = static_cast<uint8_t>(data.size());
  } else {
    packet = fragment(packet, 0, false, {});
    packet = fragment(packet, 0, false, data);
    return describe(packet);
  }
  packet.insert(packet.end(), data.begin(), data.end());
  return describe(packet);
}

struct Order {
  const char* description;
  std::vector<size_t> order;
};

const Order kOrders[] = {
    {"in order", {0, 1, 2}},  {"last first", {2, 0, 1}},  {"first last", {1, 2, 0}},
    {"backwards", {2, 1, 0}}, {"middle last", {0, 2, 1}}, {"middle first", {1, 0, 2}},
};

}  // namespace

BOOST_AUTO_TEST_SUITE(director_fragment)

BOOST_AUTO_TEST_CASE(to_the_server_in_every_order) {
  for (const bool v6 : {false, true}) {
    for (const Method method : {Method::kNat, Method::kDirect}) {
      for (const Order& row : kOrders) {
        World world;
        add_default(world, method, v6);
        const auto parts = fragments_of(large(v6), 48);
        BOOST_REQUIRE(parts.size() == 3u);
        std::vector<Bytes> left;
        for (const size_t part : row.order) {
          world.in(parts[part]);
          left.insert(left.end(), world.out.begin(), world.out.end());
        }
        BOOST_REQUIRE_MESSAGE(left.size() == 3u, row.description);
        std::string to = method == Method::kNat ? (v6 ? "[2001:db8:2::1]:8080" : "10.1.0.1:8080")
                                                : (v6 ? kVirtual6 : kVirtual);
        BOOST_TEST(joined(left, v6) ==
                       std::string(v6 ? kClient6 : kClient) + " > " + to + " udp data 120 ttl 63",
                   row.description);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(to_the_client_in_every_order) {
  for (const Order& row : kOrders) {
    World world;
    add_default(world, Method::kNat);
    world.in(Build::udp(kClient, kVirtual));
    const auto parts = fragments_of(Build::udp("10.1.0.1:8080", kClient).payload(120), 48);
    std::vector<Bytes> left;
    for (const size_t part : row.order) {
      world.in(parts[part]);
      left.insert(left.end(), world.out.begin(), world.out.end());
    }
    BOOST_REQUIRE_MESSAGE(left.size() == 3u, row.description);
    BOOST_TEST(joined(left, false) == "198.51.100.1:80 > 192.0.2.7:1000 udp data 120 ttl 63",
               row.description);
  }
}

BOOST_AUTO_TEST_CASE(through_a_tunnel) {
  World world;
  add_default(world, Method::kTunnel);
  const auto parts = fragments_of(large(false), 64);
  BOOST_TEST(world.in(parts[1]) == "held");
  BOOST_TEST(world.in(parts[0]) ==
             "10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7:1000 > 198.51.100.1:80 udp data 56 ttl 63 frag "
             "0+} ttl 63 id 0 @a | 10.1.0.254 > 10.1.0.1 ip4 {192.0.2.7 > 198.51.100.1 proto 17 "
             "data 64 ttl 63 frag 64} ttl 63 id 1 @a");
}

BOOST_AUTO_TEST_CASE(what_is_not_let_through) {
  struct Case {
    const char* description;
    std::vector<Bytes> packets;
    std::vector<const char*> results;
  };
  const Bytes packet = large(false);
  const auto parts = fragments_of(packet, 48);
  const auto nowhere = fragments_of(Build::udp(kClient, "198.51.100.1:81").payload(120), 48);
  const auto piece = [&](size_t offset, bool more, size_t size) {
    return fragment(packet, offset, more, Bytes(size, 1));
  };
  const char* first = "192.0.2.7:1000 > 10.1.0.1:8080 udp data 40 ttl 63 frag 0+ @a";
  const char* second = "192.0.2.7 > 10.1.0.1 proto 17 data 48 ttl 63 frag 48+ @a";
  const Case cases[] = {
      {"a duplicate", {parts[0], parts[1], parts[1]}, {first, second, "!fragment_duplicate"}},
      {"a duplicate inside",
       {parts[0], parts[1], piece(56, true, 8)},
       {first, second, "!fragment_duplicate"}},
      {"an overlap from behind", {parts[0], piece(40, true, 16)}, {first, "!fragment_overlap"}},
      {"all that follows an overlap",
       {parts[0], piece(40, true, 16), parts[1], parts[2]},
       {first, "!fragment_overlap", "!fragment_refused", "!fragment_refused"}},
      {"an overlap from before",
       {parts[0], parts[2], piece(88, true, 16)},
       {first, "192.0.2.7 > 10.1.0.1 proto 17 data 32 ttl 63 frag 96 @a", "!fragment_overlap"}},
      {"data behind the end",
       {parts[0], parts[2], piece(128, true, 8)},
       {first, "192.0.2.7 > 10.1.0.1 proto 17 data 32 ttl 63 frag 96 @a", "!fragment_overlap"}},
      {"an end before data",
       {parts[0], parts[1], piece(48, false, 8)},
       {first, second, "!fragment_duplicate"}},
      {"two ends",
       {parts[0], parts[2], piece(48, false, 16)},
       {first, "192.0.2.7 > 10.1.0.1 proto 17 data 32 ttl 63 frag 96 @a", "!fragment_overlap"}},
      {"a held one that overlaps the first",
       {piece(40, true, 16), parts[0]},
       {"held", "!fragment_overlap"}},
      {"held ones are bounded per packet",
       {piece(48, true, 8), piece(56, true, 8), piece(64, true, 8), piece(72, true, 8),
        piece(80, true, 8), piece(88, true, 8), piece(96, true, 8), piece(104, true, 8),
        piece(112, true, 8)},
       {"held", "held", "held", "held", "held", "held", "held", "held", "!fragments_full"}},
      {"holes are bounded",
       {parts[0], piece(64, true, 8), piece(80, true, 8), piece(96, true, 8), piece(112, true, 8),
        piece(128, true, 8), piece(144, true, 8), piece(160, true, 8), piece(176, true, 8)},
       {first, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, "!fragments_full"}},
      {"a first one for no service",
       {nowhere[0], nowhere[1]},
       {"198.51.100.1 > 192.0.2.7 icmp 3/3 {192.0.2.7:1000 > 198.51.100.1:81 udp data 40 ttl 64 "
        "frag 0+} ttl 64 id 0 @gw | !no_service",
        "!fragment_refused"}},
      {"not for us",
       {fragment(Build::udp(kClient, "203.0.113.1:80"), 8, false, Bytes(8))},
       {"ignored"}},
      {"from a martian",
       {fragment(Build::udp("127.0.0.1:1", kVirtual), 8, false, Bytes(8))},
       {"!martian_source"}},
  };
  for (const Case& row : cases) {
    World world;
    add_default(world, Method::kNat);
    BOOST_REQUIRE(row.packets.size() == row.results.size());
    for (size_t i = 0; i < row.packets.size(); ++i) {
      const std::string result = world.in(row.packets[i]);
      if (row.results[i] != nullptr)
        BOOST_TEST(result == row.results[i], row.description << ", packet " << i);
    }
  }
}

// The others of a refused packet are refused; after its time the id may be used again.
BOOST_AUTO_TEST_CASE(refused_and_forgotten) {
  World world;
  add_default(world, Method::kNat);
  const auto parts = fragments_of(Build::udp(kClient, "198.51.100.1:81").payload(120), 48);
  BOOST_TEST(world.in(parts[0]).ends_with("!no_service"));
  BOOST_TEST(world.in(parts[1]) == "!fragment_refused");
  world.pass(std::chrono::seconds(31));
  const auto others = fragments_of(large(false), 48);
  BOOST_TEST(world.in(others[1]) == "held");
  BOOST_TEST(world.in(others[0]) != "!fragment_refused");
}

BOOST_AUTO_TEST_CASE(held_ones_that_wait_in_vain) {
  World world;
  add_default(world, Method::kNat);
  const auto parts = fragments_of(large(false), 48);
  BOOST_TEST(world.in(parts[1]) == "held");
  BOOST_TEST(world.in(parts[2]) == "held");
  world.pass(std::chrono::seconds(29));
  BOOST_TEST(world.director->dropped(Drop::kFragmentTimeout).value() == 0u);
  world.pass(std::chrono::seconds(2));
  BOOST_TEST(world.director->dropped(Drop::kFragmentTimeout).value() == 2u);
}

// Any number of packets that begin and never end leaves room for those that do.
BOOST_AUTO_TEST_CASE(a_flood_of_fragments) {
  World world;
  add_default(world, Method::kNat);
  size_t held = 0;
  for (uint32_t id = 1; id < 20000; ++id) {
    held += world.in(fragment(Build::udp(kClient, kVirtual).id(id), 48, true, Bytes(8))) == "held";
  }
  BOOST_TEST(held >= FragmentTable::kHeldMax);
  const auto parts = fragments_of(large(false, 0xffff), 48);
  for (const Bytes& part : parts) BOOST_TEST(world.in(part).ends_with("@a"));
  // Some of the flood comes between the parts of those that come in another order.
  for (const Order& row : kOrders) {
    World flooded;
    add_default(flooded, Method::kNat);
    uint32_t id = 1;
    const auto flood = [&](uint32_t count) {
      for (; count > 0; --count)
        flooded.in(fragment(Build::udp(kClient, kVirtual).id(id++), 48, true, Bytes(8)));
    };
    flood(1000);
    std::vector<Bytes> left;
    for (const size_t part : row.order) {
      flooded.in(parts[part]);
      left.insert(left.end(), flooded.out.begin(), flooded.out.end());
      flood(20);
    }
    BOOST_TEST(left.size() == 3u, row.description);
  }
}

// Who fills all places with few packets does not keep the others out until they are forgotten.
BOOST_AUTO_TEST_CASE(packets_that_fill_all_places) {
  World world;
  add_default(world, Method::kNat);
  for (uint32_t id = 1; id <= 8; ++id)
    for (size_t i = 1; i <= FragmentTable::kHeldPerPacketMax; ++i)
      BOOST_TEST(world.in(fragment(Build::udp(kClient, kVirtual).id(id), 16 * i, true, Bytes(8))) ==
                 "held");
  const auto parts = fragments_of(large(false, 0xffff), 48);
  BOOST_TEST(world.in(parts[2]) == "held");
  BOOST_TEST(world.in(parts[1]) == "held");
  world.in(parts[0]);
  BOOST_TEST(world.out.size() == 3u);
}

// Both fragments of the same id of two clients are told apart.
BOOST_AUTO_TEST_CASE(ids_are_per_pair_of_addresses) {
  World world;
  add_default(world, Method::kNat);
  const auto one = fragments_of(Build::udp("192.0.2.1:1", kVirtual).payload(96), 56);
  const auto two = fragments_of(Build::udp("192.0.2.2:1", kVirtual).payload(96), 56);
  BOOST_TEST(world.in(one[1]) == "held");
  BOOST_TEST(world.in(two[0]).starts_with("192.0.2.2:1 > 10.1.0.1:8080 udp"));
  BOOST_TEST(world.in(two[1]).starts_with("192.0.2.2 > 10.1.0.1 proto 17"));
  BOOST_TEST(world.in(one[0]).ends_with("frag 56 @a"));
}

// A server's removal does not leave the fragments of its packets with nothing to hold on to.
BOOST_AUTO_TEST_CASE(the_server_goes_between_two_fragments) {
  World world;
  RealServer& server = add_default(world, Method::kNat);
  const auto parts = fragments_of(large(false), 48);
  BOOST_TEST(world.in(parts[0]).ends_with("@a"));
  world.remove(server);
  BOOST_TEST(world.in(parts[1]) == "!server_gone");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
