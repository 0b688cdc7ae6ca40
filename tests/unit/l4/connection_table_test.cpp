// The connection table: both directions, deletion in crowded indexes, the limit, and time.
#include "l4/connection_table.h"

#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

#include "l4/service.h"

namespace shunt::l4::test {
namespace {

using std::chrono::seconds;

struct Fixture : Expiry {
  void on_expired(Connection& connection, Instant) override {
    expired.push_back(connection.client_port);
    table.remove(connection);
  }

  Connection* add(uint16_t client_port, bool replies = true) {
    Connection* connection = table.make();
    if (connection == nullptr) return nullptr;
    connection->client = IpAddress::from_v4(0x0a000001);
    connection->address = IpAddress::from_v4(0xc0000201);
    connection->client_port = client_port;
    connection->port = 80;
    connection->server_port = 8080;
    connection->protocol = kTcp;
    connection->server = &server;
    if (table.link(*connection, replies)) return connection;
    table.remove(*connection);
    return nullptr;
  }

  ~Fixture() override {
    table.visit(0, table.maximum(), [&](Connection& connection) { table.remove(connection); });
  }

  Tuple client(uint16_t port) const {
    return {IpAddress::from_v4(0x0a000001), IpAddress::from_v4(0xc0000201), port, 80, kTcp};
  }
  Tuple reply(uint16_t port) const {
    return {server.spec.address, IpAddress::from_v4(0x0a000001), 8080, port, kTcp};
  }
  Instant at(int64_t after) const { return start + seconds(after); }

  const Instant start{seconds(1000)};
  RealServer server{.spec = {.name = "a", .address = IpAddress::from_v4(0x0a010001)}};
  std::vector<uint16_t> expired;
  ConnectionTable table{100, 42, start, *this};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(connection_table, Fixture)

BOOST_AUTO_TEST_CASE(found_from_both_sides) {
  Connection* connection = add(1);
  BOOST_REQUIRE(connection != nullptr);
  BOOST_TEST(table.find(client(1)).connection == connection);
  BOOST_TEST(!table.find(client(1)).reply);
  BOOST_TEST(table.find(reply(1)).connection == connection);
  BOOST_TEST(table.find(reply(1)).reply);
  BOOST_TEST(table.find(client(2)).connection == nullptr);
  BOOST_TEST(table.find(client(1).reversed()).connection == nullptr);
  Tuple udp = client(1);
  udp.protocol = kUdp;
  BOOST_TEST(table.find(udp).connection == nullptr);
}

BOOST_AUTO_TEST_CASE(one_way_only) {
  BOOST_REQUIRE(add(1, false) != nullptr);
  BOOST_TEST(table.find(client(1)).connection != nullptr);
  BOOST_TEST(table.find(reply(1)).connection == nullptr);
}

BOOST_AUTO_TEST_CASE(the_same_addresses_twice) {
  BOOST_REQUIRE(add(1) != nullptr);
  BOOST_TEST(add(1) == nullptr);
  BOOST_TEST(table.size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_limit) {
  for (uint16_t port = 1; port <= 100; ++port) BOOST_REQUIRE(add(port) != nullptr);
  BOOST_TEST(add(101) == nullptr);
  table.remove(*table.find(client(50)).connection);
  BOOST_TEST(add(101) != nullptr);
  BOOST_TEST(table.size() == 100u);
}

BOOST_AUTO_TEST_CASE(any_order_of_adding_and_removing) {
  std::mt19937 random(3);
  std::map<uint16_t, Connection*> model;
  for (int step = 0; step < 20000; ++step) {
    const auto port = static_cast<uint16_t>(random() % 150 + 1);
    if (const auto known = model.find(port); known != model.end()) {
      BOOST_REQUIRE(table.find(client(port)).connection == known->second);
      BOOST_REQUIRE(table.find(reply(port)).connection == known->second);
      table.remove(*known->second);
      model.erase(known);
    } else if (Connection* connection = add(port); connection != nullptr) {
      model.emplace(port, connection);
    } else {
      BOOST_REQUIRE(model.size() == 100);
    }
    BOOST_REQUIRE(table.size() == model.size());
  }
  for (uint16_t port = 1; port <= 150; ++port) {
    const auto known = model.find(port);
    Connection* expected = known == model.end() ? nullptr : known->second;
    BOOST_TEST(table.find(client(port)).connection == expected);
    BOOST_TEST(table.find(reply(port)).connection == expected);
  }
}

BOOST_AUTO_TEST_CASE(expiry) {
  table.reschedule(*add(1), at(0), seconds(10));
  table.reschedule(*add(2), at(0), seconds(900));
  Connection* busy = add(3);
  table.reschedule(*busy, at(0), seconds(120));
  table.advance(at(9));
  BOOST_TEST(expired.empty());
  table.advance(at(11));
  BOOST_TEST((expired == std::vector<uint16_t>{1}));
  ConnectionTable::refresh(*busy, at(100), seconds(120));
  table.advance(at(219));
  BOOST_TEST((expired == std::vector<uint16_t>{1}));
  table.advance(at(221));
  BOOST_TEST((expired == std::vector<uint16_t>{1, 3}));
  table.advance(at(899));
  BOOST_TEST(table.size() == 1u);
  table.advance(at(901));
  BOOST_TEST((expired == std::vector<uint16_t>{1, 3, 2}));
  BOOST_TEST((table.next() == kNever));
}

BOOST_AUTO_TEST_CASE(a_shorter_timeout_counts_at_once) {
  Connection* connection = add(1);
  table.reschedule(*connection, at(0), seconds(900));
  table.reschedule(*connection, at(1), seconds(10));
  table.advance(at(10));
  BOOST_TEST(expired.empty());
  table.advance(at(12));
  BOOST_TEST((expired == std::vector<uint16_t>{1}));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
