// Connections to servers of one worker. Idle ones are kept per server, last-in first-out (the one
// used last is the one most likely alive and warm), within limits of age, idle time and count, and
// of all connections of the worker: those idle longest make room. A receive is armed on every idle
// connection: it notices at once when the server closes, and is the receive of the next answer
// already. Owned by the service; used on the worker's thread only.
//
//   connect() -> kConnecting -> kActive -> park() -> kIdle -> take() -> kActive -> ... -> close()
//   -> kClosing -> freed
#pragma once

#include <cstdint>
#include <unordered_map>

#include "core/instant.h"
#include "core/intrusive_list.h"
#include "core/slab.h"
#include "io/io.h"
#include "io/stream.h"
#include "io/tls_files.h"
#include "io/tls_sessions.h"
#include "proxy/context.h"
#include "proxy/http_parser.h"
#include "proxy/input.h"
#include "sched/server.h"

namespace shunt::proxy {

class UpstreamPool;
struct UpstreamServer;
struct ByUse;  // Tag of the list of all idle connections.

// One connection to a server. Owned by the pool; lent to one exchange at a time.
class UpstreamConnection : public ListNode<>, public ListNode<ByUse> {
 public:
  // What an exchange is told. Never called from inside a call of the exchange's own.
  class User {
   public:
    // What a new connection begins with, in clear and before all else, written into `room`; empty:
    // nothing. Called right before on_connected(0).
    virtual std::string_view preamble(std::span<char>) { return {}; }
    virtual void on_connected(
        int32_t result) = 0;  // 0 or a negative errno; then the connection is gone.
    // Whether the user reads the stream itself; then there is no answer to tell of.
    virtual bool reads_stream() const { return false; }
    virtual void on_response_bytes() = 0;  // More in input().
    virtual void on_response_end(
        int32_t result) = 0;  // 0: closed by the server; else a negative errno.

   protected:
    ~User() = default;
  };

  enum class State : uint8_t { kConnecting, kActive, kIdle, kClosing };

  UpstreamConnection(UpstreamPool& pool, UpstreamServer& server, io::Fd fd);

  io::Stream& stream() { return stream_; }
  Input& input() { return input_; }
  bool reused() const { return uses_ > 1; }

  // Changes hands between the users of one exchange.
  void lend(User& user) {
    SHUNT_ASSERT(user_ != nullptr);
    user_ = &user;
  }

  // Waits for more bytes; requires that none are being waited for.
  void receive();
  bool receiving() const { return receive_.submitted || more_.submitted; }

 private:
  friend class UpstreamPool;

  void on_connect(int32_t result);
  bool send_preamble();
  void on_handshake(int32_t result);
  void connected();
  void on_receive(int32_t result);
  void on_more(int32_t result);
  void on_idle_timeout();
  void close_when_joined();
  void enter(State target);

  UpstreamPool& pool_;
  UpstreamServer& server_;
  User* user_ = nullptr;  // Set exactly while lent.
  io::Stream stream_;     // Not open: connecting, and waits for a descriptor.
  State state_ = State::kConnecting;
  bool held_ = false;                        // Closing, but its descriptor is in use by a relay.
  const io::TlsClientFiles* tls_ = nullptr;  // While connecting.
  uint64_t tls_key_ = 0;                     // Of `tls_`; 0: plain.
  uint32_t uses_ = 0;
  Instant created_;
  Instant idle_since_;
  Timer idle_timer_;  // Armed by the first park(); from then on each only moves it.
  io::RecvOp receive_;
  io::Op more_;  // Connecting, and readiness for bytes behind an incomplete head.
  Input input_;
};

// What the pool knows of one server. Listed while no connection refers to it.
struct UpstreamServer : ListNode<> {
  IntrusiveList<UpstreamConnection> idle;  // Parked in an earlier turn; the one used last in front.
  IntrusiveList<UpstreamConnection> parked;  // Parked in the turn of `parked_at`.
  Instant parked_at;
  uint32_t idle_count = 0;   // In both lists.
  uint32_t connections = 0;  // In any state.
  uint64_t id = 0;           // sched::Server::id.
  SocketAddress address;     // Outlives the connect operations.
  io::TlsSessions sessions;  // If it speaks TLS.

  // Turn by turn: what was parked in an earlier one counts as idle.
  void settle(Instant now);
};

struct IdleLimits {
  uint32_t count = 0;  // Per server.
  Duration timeout{};  // Since the last use.
  Duration age{};      // Since the connection was made.
};

inline IdleLimits idle_limits(const config::Pool& pool) {
  // A connection with a PROXY header is its client's, and of no use to another.
  const uint32_t kept = pool.send_proxy == 0 ? pool.idle_connections : 0;
  return {kept, pool.idle_timeout, pool.idle_age};
}

// A server that sends more than it was asked for must not answer another client's request with it.
// What arrived up to the loop's last look at the socket is known: as bytes in the input (then the
// exchange closes), as a receive that has `arrived`. A connection parked in this very turn has not
// been looked at since its answer, behind which the surplus may lie; such a one is taken last, and
// only after a look into the socket. What arrives between the loop's look and the request cannot be
// told from an early answer: a look at each take would cost a system call per request and only
// narrow that window, since bytes may be on the way in any case. Requests that must not be sent
// twice pay for it, for another reason.
class UpstreamPool {
 public:
  // `connections_max`: from so many connections on, in any state, a new one takes the place of the
  // one that has been idle longest; if none is idle, it is made all the same.
  explicit UpstreamPool(Context& context, uint32_t connections_max = UINT32_MAX);
  ~UpstreamPool();  // Requires empty().
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // An idle connection to `server` that was made as `tls` says (null: plain), or null. `probe`:
  // looks whether the server has closed it (for requests that must not be sent twice).
  UpstreamConnection* take(const sched::Server& server, const IdleLimits& limits, bool probe,
                           UpstreamConnection::User& user, const io::TlsClientFiles* tls = nullptr);

  // Begins a new connection, with TLS if `tls` is given; on_connected follows. Out of descriptors
  // or memory, idle connections are closed, and the new one waits for the room that leaves. On
  // failure null, and `error` is a negative errno.
  UpstreamConnection* connect(const sched::Server& server, UpstreamConnection::User& user,
                              int& error, const io::TlsClientFiles* tls = nullptr);
  // Why the last handshake with a server failed; a constant text.
  const char* tls_failure() const { return tls_failure_; }

  // The exchange is over and left the connection clean: keeps it, within the limits, or closes it.
  void park(UpstreamConnection& connection, const IdleLimits& limits);
  // Takes the connection away from its exchange and closes it.
  void close(UpstreamConnection& connection);
  // The same while the exchange's relays still have operations on its descriptor: that stays open
  // until let_go().
  void close_held(UpstreamConnection& connection);
  void let_go(UpstreamConnection& connection);

  void close_idle();  // All of them: drain and stop.
  // Closes up to `count` idle connections, those used longest ago first; how many there were. Their
  // descriptors are free after the operations on them have come back, in one of the next turns.
  uint32_t evict_idle(uint32_t count);
  uint32_t idle() const { return idle_; }
  size_t servers_known() const { return servers_.size(); }
  bool empty() const { return connections_.in_use() == 0; }

 private:
  friend class UpstreamConnection;

  UpstreamServer& of(const sched::Server& server);
  UpstreamConnection* take_idle(UpstreamServer& server);
  bool usable(UpstreamConnection& connection, const IdleLimits& limits, bool probe,
              const io::TlsClientFiles* tls);
  void unlink_idle(UpstreamConnection& connection);
  bool room_comes(int error);
  void serve_waiting();
  void on_wait_over();
  void free(UpstreamConnection& connection);

  Context& context_;
  const uint32_t connections_max_;
  Slab<UpstreamConnection> connections_;
  // By sched::Server::id; ids are never used twice.
  std::unordered_map<uint64_t, UpstreamServer> servers_;
  IntrusiveList<UpstreamServer> unused_;                 // Without a connection, longest first.
  IntrusiveList<UpstreamConnection, ByUse> idle_order_;  // All idle ones, used longest ago first.
  uint32_t idle_ = 0;
  uint32_t closing_ = 0;                       // Their descriptors will be free soon.
  IntrusiveList<UpstreamConnection> waiting_;  // For a descriptor, longest first.
  uint32_t waiting_count_ = 0;
  const char* tls_failure_ = "";
  int shortage_ = 0;  // Why they wait, a negative errno.
  Timer wait_over_;   // Armed while any waits.
};

}  // namespace shunt::proxy
