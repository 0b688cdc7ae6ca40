// Keys of session tickets: the same for all who ask, new ones in time, old ones gone for good.
#include "io/tls_tickets.h"

#include <boost/test/unit_test.hpp>

namespace shunt::io {
namespace {

constexpr int64_t kPeriod = TlsTicketKeys::kRotationSeconds;
constexpr int64_t kStart = 1'700'000'000;
using Secret = std::array<uint8_t, TlsTicketKey::kSecretSize>;

BOOST_AUTO_TEST_SUITE(tls_tickets)

BOOST_AUTO_TEST_CASE(all_who_ask_at_a_time_get_the_same) {
  TlsTicketKeys keys(kStart);
  const TlsTicketRing first = keys.ring(kStart);
  BOOST_TEST((keys.ring(kStart + kPeriod - 1).newest().name == first.newest().name));
  BOOST_TEST(first.until == kStart + kPeriod);
  BOOST_TEST((keys.ring(kStart - kPeriod).newest().name == first.newest().name));
}

BOOST_AUTO_TEST_CASE(a_ticket_lives_for_two_rotations_more) {
  TlsTicketKeys keys(kStart);
  const TlsTicketKey issued = keys.ring(kStart).newest();
  for (const int64_t rotations : {1, 2}) {
    const TlsTicketRing ring = keys.ring(kStart + rotations * kPeriod);
    BOOST_TEST((ring.newest().name != issued.name));
    const TlsTicketKey* found = ring.find(issued.name);
    BOOST_REQUIRE(found != nullptr);
    BOOST_TEST((found->encryption == issued.encryption));
    BOOST_TEST((found->integrity == issued.integrity));
  }
  BOOST_TEST((keys.ring(kStart + 3 * kPeriod).find(issued.name) == nullptr));
}

BOOST_AUTO_TEST_CASE(a_pause_of_days_is_made_up_for) {
  TlsTicketKeys often(Secret{1}, kStart);
  TlsTicketKeys seldom(Secret{1}, kStart);
  for (int64_t i = 1; i <= 20; ++i) often.ring(kStart + i * kPeriod);
  const TlsTicketRing ring = seldom.ring(kStart + 20 * kPeriod);
  BOOST_TEST((ring.newest().name == often.ring(kStart + 20 * kPeriod).newest().name));
  BOOST_TEST(ring.until == kStart + 21 * kPeriod);
}

BOOST_AUTO_TEST_CASE(processes_have_keys_of_their_own) {
  TlsTicketKeys one(kStart);
  TlsTicketKeys other(kStart);
  BOOST_TEST((one.ring(kStart).newest().encryption != other.ring(kStart).newest().encryption));
  const TlsTicketKey key = one.ring(kStart).newest();
  BOOST_TEST((key.encryption != key.integrity));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace shunt::io
