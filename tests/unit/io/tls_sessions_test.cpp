// Which session a connection resumes by: the newest of the same settings, of TLS 1.3 once, and
// never one that is too old.
#include "io/tls_sessions.h"

#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>

namespace shunt::io {
namespace {

constexpr int64_t kNow = 1'700'000'000;

// As OpenSSL makes them: resumable with an id.
TlsSession session(int version, unsigned char id, int64_t proven_at = kNow) {
  SessionHandle made(SSL_SESSION_new());
  SSL_SESSION_set_protocol_version(made.get(), version);
  SSL_SESSION_set1_id(made.get(), &id, 1);
  SSL_SESSION_set_time(made.get(), static_cast<long>(kNow));
  return {std::move(made), proven_at};
}

int id_of(const TlsSession& session) {
  unsigned size = 0;
  return session.handle ? *SSL_SESSION_get_id(session.handle.get(), &size) : -1;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tls_sessions)

BOOST_AUTO_TEST_CASE(of_tls_1_3_the_newest_and_each_once) {
  TlsSessions sessions;
  BOOST_TEST(id_of(sessions.take(1, kNow)) == -1);
  for (unsigned char id = 1; id <= 6; ++id) sessions.keep(session(TLS1_3_VERSION, id), 1);
  BOOST_TEST(sessions.size() == TlsSessions::kKept);
  for (const int expected : {6, 5, 4, 3, -1}) BOOST_TEST(id_of(sessions.take(1, kNow)) == expected);
}

BOOST_AUTO_TEST_CASE(of_tls_1_2_the_newest_again_and_again) {
  TlsSessions sessions;
  for (unsigned char id = 1; id <= 2; ++id) sessions.keep(session(TLS1_2_VERSION, id), 1);
  for (int i = 0; i < 3; ++i) BOOST_TEST(id_of(sessions.take(1, kNow)) == 2);
}

BOOST_AUTO_TEST_CASE(never_of_other_settings) {
  TlsSessions sessions;
  sessions.keep(session(TLS1_2_VERSION, 1), 1);
  BOOST_TEST(id_of(sessions.take(2, kNow)) == -1);
  BOOST_TEST(id_of(sessions.take(1, kNow)) ==
             -1);  // They have changed once: nothing says that they are back.
}

// Whenever OpenSSL got it: that is when the last connection was, which may itself have resumed.
BOOST_AUTO_TEST_CASE(not_for_long_after_the_proof) {
  TlsSessions sessions;
  const int64_t proven_at = kNow - 1000;
  sessions.keep(session(TLS1_2_VERSION, 1, proven_at), 1);
  const TlsSession taken = sessions.take(1, proven_at + TlsSessions::kSecondsLongest - 1);
  BOOST_TEST(id_of(taken) == 1);
  BOOST_TEST(taken.proven_at == proven_at);
  BOOST_TEST(id_of(sessions.take(1, proven_at + TlsSessions::kSecondsLongest)) == -1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace shunt::io
