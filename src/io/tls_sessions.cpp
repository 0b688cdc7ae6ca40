// Sessions of servers. See the header.
#include "io/tls_sessions.h"

#include <openssl/ssl.h>

#include <utility>

namespace shunt::io {

void SessionFree::operator()(SSL_SESSION* session) const {
  SSL_SESSION_free(session);
}

void TlsSessions::keep(TlsSession session, uint64_t settings) {
  if (kept_.size() == kKept) kept_.erase(kept_.begin());
  kept_.push_back({std::move(session), settings});
}

TlsSession TlsSessions::take(uint64_t settings, int64_t now) {
  std::erase_if(kept_, [settings, now](const Kept& one) {
    const TlsSession& session = one.session;
    return one.settings != settings || SSL_SESSION_is_resumable(session.handle.get()) == 0 ||
           now - session.proven_at >= kSecondsLongest;
  });
  if (kept_.empty()) return {};
  TlsSession& newest = kept_.back().session;
  if (SSL_SESSION_get_protocol_version(newest.handle.get()) != TLS1_3_VERSION) {
    SSL_SESSION_up_ref(newest.handle.get());
    return {SessionHandle(newest.handle.get()), newest.proven_at};
  }
  TlsSession session = std::move(newest);
  kept_.pop_back();
  return session;
}

}  // namespace shunt::io
