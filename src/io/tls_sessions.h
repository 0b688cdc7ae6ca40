// What a server gave us to resume TLS by: a few sessions, the newest of which serves the next
// connection. Owned by whoever knows the server (one for each worker), used on that thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

struct ssl_session_st;

namespace shunt::io {

struct SessionFree {
  void operator()(ssl_session_st* session) const;
};
using SessionHandle = std::unique_ptr<ssl_session_st, SessionFree>;

struct TlsSession {
  SessionHandle handle;   // Null: none.
  int64_t proven_at = 0;  // When the server's certificate was seen; seconds since 1970.
};

class TlsSessions {
 public:
  // A server of TLS 1.3 gives one or two with each connection, and a connection uses one up.
  static constexpr size_t kKept = 4;
  // A resumed connection does not see the server's certificate again: the proof may be so old,
  // however often sessions were given out anew meanwhile.
  static constexpr int64_t kSecondsLongest = 3600;

  // `settings`: TlsClientFiles::key of the connection that got it, whose checks it has passed.
  void keep(TlsSession session, uint64_t settings);
  // The newest of those settings; null if there is none. Times are seconds since 1970. One of TLS
  // 1.3 is handed out once, so that nobody can tell that connections belong together (RFC 8446
  // §C.4). Those of other settings are forgotten: they have changed.
  TlsSession take(uint64_t settings, int64_t now);

  size_t size() const { return kept_.size(); }

 private:
  struct Kept {
    TlsSession session;
    uint64_t settings;
  };
  std::vector<Kept> kept_;  // The newest last.
};

}  // namespace shunt::io
