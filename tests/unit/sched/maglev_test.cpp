// mh: the table's known first slots and shares, how few slots a removal moves, quiescing by last
// weight, the fallback.
#include <map>

#include "core/hash.h"
#include "farm.h"

namespace shunt::sched::test {
namespace {

constexpr uint32_t kTableSize = 4093;
constexpr uint64_t kKey = 2654435761;

uint32_t v4(const char* text) {
  return IpAddress::parse(text)->v4();
}

uint32_t raw_hash(uint32_t value) {
  const char bytes[4] = {static_cast<char>(value), static_cast<char>(value >> 8),
                         static_cast<char>(value >> 16), static_cast<char>(value >> 24)};
  return static_cast<uint32_t>(siphash_1_3({bytes, 4}, kKey, kKey));
}

// A source address for each slot.
const std::vector<uint32_t>& sources() {
  static const std::vector<uint32_t> by_slot = [] {
    std::vector<uint32_t> found(kTableSize);
    size_t left = kTableSize;
    for (uint32_t address = 1; left > 0; ++address) {
      uint32_t& place = found[raw_hash(address) % kTableSize];
      if (place == 0) --left;
      if (place == 0) place = address;
    }
    return found;
  }();
  return by_slot;
}

std::string table_of(Farm& farm) {
  std::string table;
  for (const uint32_t source : sources()) table += farm.pick({.source = source});
  return table;
}

std::map<char, int> shares(const std::string& table) {
  std::map<char, int> count;
  for (const char name : table) ++count[name];
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(maglev)

BOOST_AUTO_TEST_CASE(hashes_of_known_addresses) {
  BOOST_TEST(raw_hash(v4("10.0.0.1")) == 0x03080ce4u);
  BOOST_TEST(raw_hash(v4("192.168.1.1")) == 0xd3f1b4d3u);
  BOOST_TEST(raw_hash(v4("172.16.5.9")) == 0x4bc196deu);
  BOOST_TEST(raw_hash(v4("203.0.113.77")) == 0xd668af81u);
  BOOST_TEST(raw_hash(v4("255.255.255.255")) == 0x22c5d719u);
}

BOOST_AUTO_TEST_CASE(lookups_of_known_addresses) {
  struct Row {
    const char* address;
    char plain;
    char with_port;
  };
  const Row rows[] = {{"10.0.0.1", 'A', 'A'},
                      {"192.168.1.1", 'C', 'C'},
                      {"172.16.5.9", 'A', 'B'},
                      {"203.0.113.77", 'A', 'B'}};
  for (const Row& row : rows) {
    const Flow flow{.source = v4(row.address), .source_port = 12345};
    Farm plain("mh", "A1 B1 C1");
    BOOST_TEST(plain.pick(flow) == row.plain, row.address);
    Farm port("mh", "A1 B1 C1", {"mh-port"});
    BOOST_TEST(port.pick(flow) == row.with_port, row.address);
  }
}

BOOST_AUTO_TEST_CASE(slots_and_shares) {
  Farm equal("mh", "A1 B1 C1");
  const std::string table = table_of(equal);
  BOOST_TEST(table.substr(0, 32) == "CCCACBCBCABACACACACBBBBBAACBAACB");
  BOOST_TEST((shares(table) == std::map<char, int>{{'A', 1364}, {'B', 1364}, {'C', 1365}}));
  Farm hundreds("mh", "A100 B200 C300");
  BOOST_TEST(
      (shares(table_of(hundreds)) == std::map<char, int>{{'A', 682}, {'B', 1364}, {'C', 2047}}));
  Farm steep("mh", "A1 B1000");
  BOOST_TEST((shares(table_of(steep)) == std::map<char, int>{{'A', 64}, {'B', 4029}}));
}

BOOST_AUTO_TEST_CASE(a_removal_moves_few_of_the_others_slots) {
  Farm farm("mh", "A1 B1 C1");
  const std::string before = table_of(farm);
  farm->remove(farm['C']);
  const std::string after = table_of(farm);
  int moved = 0;
  for (size_t slot = 0; slot < before.size(); ++slot) {
    moved += before[slot] != 'C' && before[slot] != after[slot];
  }
  BOOST_TEST(moved == 5);
}

BOOST_AUTO_TEST_CASE(quiescing_keeps_the_slots) {
  Farm farm("mh", "A1 B2 C3");
  std::string expected = table_of(farm);
  farm.edit('B', 0);
  std::ranges::replace(expected, 'B', '-');
  BOOST_TEST(table_of(farm) == expected);
}

BOOST_AUTO_TEST_CASE(a_server_added_with_weight_0_has_no_slots) {
  Farm farm("mh", "A1 B0");
  BOOST_TEST((shares(table_of(farm)) == std::map<char, int>{{'A', 4093}}));
  Farm nobody("mh", "A0 B0");
  BOOST_TEST(nobody.pick({}) == '-');
}

BOOST_AUTO_TEST_CASE(the_fallback_serves_the_clients_of_a_quiesced_server) {
  Farm farm("mh", "A1 B1 C1 D1", {"mh-fallback"});
  const std::string before = table_of(farm);
  farm.edit('D', 0);
  const std::string after = table_of(farm);
  BOOST_TEST(shares(after).count('-') == 0u);
  BOOST_TEST(shares(after).count('D') == 0u);
  for (size_t slot = 0; slot < before.size(); ++slot) {
    if (before[slot] != 'D') BOOST_TEST(after[slot] == before[slot]);
  }
  for (const char name : {'A', 'B', 'C'}) farm.edit(name, 0);
  BOOST_TEST(farm.pick({.source = 1}) == '-');
}

BOOST_AUTO_TEST_CASE(more_servers_than_slots) {
  auto set = ServerSet::create("mh", {}, 1);
  for (uint32_t i = 0; i < 5000; ++i) {
    const SocketAddress address(IpAddress::from_v4(0x0a020000 + i), 80);
    BOOST_REQUIRE((*set)->add({.name = std::to_string(i), .address = address}).has_value());
  }
  for (uint32_t source = 0; source < 100; ++source) {
    BOOST_TEST((*set)->schedule({.source = source}, Counted::kActive) != nullptr);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::sched::test
