// Sessions of servers. See the header.
#include "io/tls_sessions.h"

#include <openssl/ssl.h>

#include <utility>

namespace shunt::io {

void SessionFree::operator()(SSL_SESSION* session) const {
  SSL_SESSION_free(session);
}

void TlsSessions::keep(SessionHandle session, uint64_t settings) {
  if (kept_.size() == kKept) kept_.erase(kept_.begin());
  kept_.push_back({std::move(session), settings});
}

SessionHandle TlsSessions::take(uint64_t settings, int64_t now) {
  std::erase_if(kept_, [settings, now](const Kept& one) {
    const SSL_SESSION* session = one.session.get();
    return one.settings != settings || SSL_SESSION_is_resumable(session) == 0 ||
           now - int64_t{SSL_SESSION_get_time(session)} >= kSecondsLongest;
  });
  if (kept_.empty()) return nullptr;
  SSL_SESSION* newest = kept_.back().session.get();
  if (SSL_SESSION_get_protocol_version(newest) != TLS1_3_VERSION) {
    SSL_SESSION_up_ref(newest);
    return SessionHandle(newest);
  }
  SessionHandle session = std::move(kept_.back().session);
  kept_.pop_back();
  return session;
}

}  // namespace shunt::io
