// dh and sh: the published slots of some addresses, quiescing, ports, the fallback's way around the
// table, and keys of more than 32 bits.
#include <algorithm>
#include <map>

#include "core/hash.h"
#include "farm.h"

namespace shunt::sched::test {
namespace {

uint32_t v4(const char* text) {
  return IpAddress::parse(text)->v4();
}

std::map<char, int> shares(Farm& farm) {
  std::map<char, int> count;
  bool seen[256] = {};
  int left = 256;
  for (uint32_t address = 0x0a000000; left > 0; ++address) {
    bool& slot = seen[hash_32(address, 8)];
    if (std::exchange(slot, true)) continue;
    --left;
    ++count[farm.pick({.source = address, .destination = address})];
  }
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hashing)

BOOST_AUTO_TEST_CASE(slots_of_known_addresses) {
  struct Row {
    const char* address;
    uint32_t slot;
    char source_hashed;
    char with_port_12345;
  };
  // Over A1 B2 C3 the slots of sh read CCCBBA from 0 on, those of dh CBA.
  const Row rows[] = {{"10.0.0.1", 39, 'B', 'C'},
                      {"192.168.1.1", 136, 'B', 'B'},
                      {"172.16.5.9", 115, 'C', 'A'},
                      {"203.0.113.77", 57, 'B', 'C'},
                      {"255.255.255.255", 158, 'C', 'C'}};
  for (const Row& row : rows) {
    const Flow flow{
        .source = v4(row.address), .source_port = 12345, .destination = v4(row.address)};
    BOOST_TEST(hash_32(v4(row.address), 8) == row.slot);
    Farm source("sh", "A1 B2 C3");
    BOOST_TEST(source.pick(flow) == row.source_hashed, row.address);
    Farm port("sh", "A1 B2 C3", {"sh-port"});
    BOOST_TEST(port.pick(flow) == row.with_port_12345, row.address);
    Farm destination("dh", "A1 B2 C3");
    BOOST_TEST(destination.pick(flow) == "CBA"[row.slot % 3], row.address);
  }
}

BOOST_AUTO_TEST_CASE(shares_of_the_table) {
  Farm source("sh", "A1 B2 C3");
  BOOST_TEST((shares(source) == std::map<char, int>{{'A', 42}, {'B', 85}, {'C', 129}}));
  Farm destination("dh", "A1 B2 C3");
  BOOST_TEST((shares(destination) == std::map<char, int>{{'A', 85}, {'B', 85}, {'C', 86}}));
}

// The slots stay with a quiesced server: its clients are refused, nobody else's move.
BOOST_AUTO_TEST_CASE(quiescing_moves_nobody) {
  Farm source("sh", "A0 B1");
  BOOST_TEST((shares(source) == std::map<char, int>{{'-', 128}, {'B', 128}}));
  Farm destination("dh", "A1 B1");
  destination.edit('A', 0);
  BOOST_TEST((shares(destination) == std::map<char, int>{{'-', 128}, {'B', 128}}));
}

BOOST_AUTO_TEST_CASE(the_fallback_serves_the_clients_of_a_quiesced_server) {
  Farm farm("sh", "A1 B1 C1 D0", {"sh-fallback"});
  const auto count = shares(farm);
  BOOST_TEST(count.count('-') == 0u);
  BOOST_TEST(count.count('D') == 0u);
  for (const char name : {'A', 'B', 'C'}) BOOST_TEST(count.at(name) >= 64, name);
}

// The first probe of the fallback is at twice the hash, as the kernel has it.
BOOST_AUTO_TEST_CASE(the_fallback_starts_at_twice_the_slot) {
  Farm farm("sh", "A1 B1 C1", {"sh-fallback"});  // CBA from slot 0 on.
  const Flow flow{.source = v4("10.0.0.1")};     // Slot 39: C. Twice that is 78: C; then 79: B.
  BOOST_TEST(farm.pick(flow) == 'C');
  farm.edit('C', 0);
  BOOST_TEST(farm.pick(flow) == 'B');             // Now C keeps one slot of three.
  const Flow other{.source = v4("192.168.1.1")};  // Slot 136: B.
  farm.edit('C', 1);
  farm.edit('B', 0);
  BOOST_TEST(farm.pick(other) == 'A');  // Slot 272 - 256 = 16: B; 17: A.
}

BOOST_AUTO_TEST_CASE(nobody_left) {
  Farm farm("sh", "A0 B0", {"sh-fallback"});
  BOOST_TEST(farm.picks(1) == "-");
  for (const char* scheduler : {"sh", "dh", "mh"}) {
    Farm empty(scheduler);
    BOOST_TEST(empty.picks(1) == "-", scheduler);
    empty.add('A', 1);
    BOOST_TEST(empty.picks(1) == "A", scheduler);
    empty->remove(empty['A']);
    BOOST_TEST(empty.picks(1) == "-", scheduler);
  }
}

BOOST_AUTO_TEST_CASE(both_halves_of_a_key_count) {
  Farm farm("dh", "A1 B1 C1");
  std::map<char, int> low;
  std::map<char, int> high;
  for (uint64_t key = 1; key <= 300; ++key) {
    ++low[farm.pick({.destination = key})];
    ++high[farm.pick({.destination = key << 32})];
  }
  BOOST_TEST((low == high));
  BOOST_TEST(low.size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
