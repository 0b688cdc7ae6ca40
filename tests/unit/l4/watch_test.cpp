// What somebody who follows packets is told: why each went where it went, and that packets with
// faults and servers that go meanwhile do no harm.
#include "l4/watch.h"

#include <boost/test/unit_test.hpp>

#include "unit/l4/world.h"

namespace shunt::l4::test {
namespace {

// A world somebody watches.
struct Watched {
  explicit Watched(DirectorSpec spec = {}) : world(spec) { world.director->watch(&watch); }
  ~Watched() { world.director->watch(nullptr); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  // Of this packet alone.
  Sighting see(const Bytes& packet) {
    batch.clear();
    watch.take(batch);  // What came before.
    world.in(packet);
    batch.clear();
    watch.take(batch);
    BOOST_REQUIRE(batch.sightings.size() == 1u);
    return batch.sightings.front();
  }
  Why why(const Bytes& packet) { return see(packet).why; }

  WatchBatch batch = WatchBatch::with_room(64, 64 * 1024);
  Watch watch{{}, WatchBatch::with_room(64, 64 * 1024)};
  World world;
};

constexpr const char* kServer = "10.1.0.1:8080";

}  // namespace

BOOST_AUTO_TEST_SUITE(watch)

BOOST_AUTO_TEST_CASE(new_and_known_connections) {
  Watched watched;
  add_default(watched.world, Method::kNat);
  BOOST_TEST((watched.why(Build::tcp(kClient, kVirtual)) == Why::kScheduled));
  BOOST_TEST((watched.why(Build::tcp(kServer, kClient, "SA")) == Why::kKnown));
  BOOST_TEST((watched.why(Build::tcp(kClient, kVirtual, "A")) == Why::kKnown));
}

BOOST_AUTO_TEST_CASE(persistent_clients) {
  Watched watched;
  Service& service = watched.world.add(
      kVirtual, kTcp, {.persistence = std::chrono::seconds(60), .expire_quiescent_template = true});
  RealServer& a = watched.world.server(service, "a");
  BOOST_TEST((watched.why(Build::tcp("192.0.2.7:1", kVirtual)) == Why::kScheduled));
  BOOST_TEST((watched.why(Build::tcp("192.0.2.7:2", kVirtual)) == Why::kPersistent));
  // Its template is given up, so the scheduler has chosen.
  watched.world.server(service, "b");
  watched.world.quiesce(a);
  BOOST_TEST((watched.why(Build::tcp("192.0.2.7:3", kVirtual)) == Why::kScheduled));
}

BOOST_AUTO_TEST_CASE(fragments_follow_the_first) {
  Watched watched;
  add_default(watched.world, Method::kNat);
  const auto request = fragments_of(Build::udp(kClient, kVirtual).payload(120), 48);
  BOOST_TEST((watched.why(request[0]) == Why::kScheduled));
  BOOST_TEST((watched.why(request[1]) == Why::kFragment));
  const auto answer = fragments_of(Build::udp(kServer, kClient).payload(120), 48);
  BOOST_TEST((watched.why(answer[0]) == Why::kKnown));
  const Sighting seen = watched.see(answer[1]);
  BOOST_TEST((seen.why == Why::kFragment));
  BOOST_TEST(seen.from_server);
  BOOST_TEST(watched.batch.text(seen.server) == "a");
}

// The last fragment of an answer is all that holds the server.
BOOST_AUTO_TEST_CASE(a_server_that_goes_between_fragments) {
  Watched watched;
  ServiceSpec spec{.expire_no_destination = true};
  RealServer& server = add_default(watched.world, Method::kNat, false, spec);
  // Its address goes on being a server's.
  watched.world.server(watched.world.add("198.51.100.1:81", kUdp), "a");
  watched.world.in(Build::udp(kClient, kVirtual));
  const auto answer = fragments_of(Build::udp(kServer, kClient).payload(80), 48);
  BOOST_REQUIRE(answer.size() == 2u);
  BOOST_TEST((watched.why(answer[0]) == Why::kKnown));
  watched.world.remove(server);
  watched.world.in(Build::udp(kClient, kVirtual));  // Ends the connection.
  const Sighting last = watched.see(answer[1]);
  BOOST_TEST((last.kind == Outcome::Kind::kForwarded));
  BOOST_TEST(watched.batch.text(last.server) == "");
}

// Headers that promise more than there is: an error about a packet that is not there.
BOOST_AUTO_TEST_CASE(packets_with_faults) {
  Watched watched;
  add_default(watched.world, Method::kNat);
  Bytes packet = Build::icmp("192.0.2.9", "198.51.100.1", 3, 4, 0, Bytes(1440));
  for (const size_t size : {20u, 21u, 27u, 28u, 29u, 47u, 48u, 60u, 67u}) {
    Bytes cut(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
    BOOST_TEST((watched.see(cut).kind == Outcome::Kind::kDropped), "cut after " << size);
    cut[0] = 0x4f;  // With options up to the sixtieth byte.
    if (size >= 60) BOOST_TEST((watched.see(cut).kind == Outcome::Kind::kDropped));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::l4::test
