// Connections to servers of one worker. Idle ones are kept per server, last-in first-out (the one
// used last is the one most likely alive and warm), within limits of age, idle time and count. A
// receive is armed on every idle connection: it notices at once when the server closes, and is the
// receive of the next answer already.
//
//   connect() -> kConnecting -> kActive -> park() -> kIdle -> take() -> kActive -> ... -> close()
//   -> kClosing -> freed
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/instant.h"
#include "core/intrusive_list.h"
#include "core/slab.h"
#include "io/io.h"
#include "proxy/context.h"
#include "proxy/http_parser.h"
#include "proxy/input.h"
#include "sched/server.h"

namespace shunt::proxy {

class UpstreamPool;
struct UpstreamServer;

// One connection to a server. Owned by the pool; lent to one exchange at a time.
class UpstreamConnection : public ListNode<> {
 public:
  // What an exchange is told. Never called from inside a call of the exchange's own.
  class User {
   public:
    virtual void on_connected(
        int32_t result) = 0;               // 0 or a negative errno; then the connection is gone.
    virtual void on_response_bytes() = 0;  // More in input().
    virtual void on_response_end(
        int32_t result) = 0;  // 0: closed by the server; else a negative errno.

   protected:
    ~User() = default;
  };

  enum class State : uint8_t { kConnecting, kActive, kIdle, kClosing };

  UpstreamConnection(UpstreamPool& pool, UpstreamServer& server, io::Fd fd);

  io::Fd fd() const { return fd_; }
  Input& input() { return input_; }
  bool reused() const { return uses_ > 1; }

  // Waits for more bytes; requires that none are being waited for.
  void receive();
  bool receiving() const { return receive_.submitted || more_.submitted; }

 private:
  friend class UpstreamPool;

  void on_connect(int32_t result);
  void on_receive(int32_t result);
  void on_more(int32_t result);
  void close_when_joined();
  void enter(State target);

  UpstreamPool& pool_;
  UpstreamServer& server_;
  User* user_ = nullptr;  // Set exactly while lent.
  const io::Fd fd_;
  State state_ = State::kConnecting;
  bool held_ = false;  // Closing, but its descriptor is in use by a relay.
  uint32_t uses_ = 0;
  Instant created_;
  Instant idle_since_;
  Instant idle_deadline_;  // Closed by the sweep from then on.
  io::RecvOp receive_;
  io::Op more_;  // Connecting, and readiness for bytes behind an incomplete head.
  Input input_;
};

// What the pool knows of one server.
struct UpstreamServer {
  IntrusiveList<UpstreamConnection> idle;  // The one used last in front.
  uint32_t idle_count = 0;
  SocketAddress address;  // Outlives the connect operations.
};

struct IdleLimits {
  uint32_t count = 0;  // Per server.
  Duration timeout{};  // Since the last use.
  Duration age{};      // Since the connection was made.
};

inline IdleLimits idle_limits(const config::Pool& pool) {
  return {pool.idle_connections, pool.idle_timeout, pool.idle_age};
}

class UpstreamPool {
 public:
  explicit UpstreamPool(Context& context);
  ~UpstreamPool();  // Requires empty().
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // An idle connection to `server`, or null. `probe`: looks whether the server has closed it (for
  // requests that must not be sent twice).
  UpstreamConnection* take(const sched::Server& server, const IdleLimits& limits, bool probe,
                           UpstreamConnection::User& user);

  // Begins a new connection; on_connected follows. On failure null, and `error` is a negative
  // errno.
  UpstreamConnection* connect(const sched::Server& server, UpstreamConnection::User& user,
                              int& error);

  // The exchange is over and left the connection clean: keeps it, within the limits, or closes it.
  void park(UpstreamConnection& connection, const IdleLimits& limits);
  // Takes the connection away from its exchange and closes it.
  void close(UpstreamConnection& connection);
  // The same while the exchange's relays still have operations on its descriptor: that stays open
  // until let_go().
  void close_held(UpstreamConnection& connection);
  void let_go(UpstreamConnection& connection);

  void close_idle();  // All of them: drain and stop.
  bool empty() const { return connections_.in_use() == 0; }

 private:
  friend class UpstreamConnection;

  UpstreamServer& of(const sched::Server& server);
  void unlink_idle(UpstreamConnection& connection);
  void on_sweep();

  Context& context_;
  Slab<UpstreamConnection> connections_;
  std::vector<std::unique_ptr<UpstreamServer>>
      servers_;  // By sched::Server::id; ids are never used twice.
  Timer sweep_;  // Closes what has been idle too long, once a second while anything is idle.
  uint32_t idle_ = 0;
};

}  // namespace shunt::proxy
