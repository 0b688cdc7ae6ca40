// One client connection speaking HTTP/1: reads request heads, hands each to an exchange, keeps the
// order of pipelined requests (the next head is not looked at before the answer to the last is
// out), and closes. Owned by the service; used on the worker's thread only.
//
//   kPreface (a PROXY header, if the listener wants one) ──→ kHandshake (TLS, if it has any) ──→
//   kReading ──head complete──→ kExchange ──answered──→ kReading … or kLingering → kTerminating →
//   freed
//
// On a listener with protocol = "tcp" it reads a ClientHello at most (session_tcp.cpp), and the
// exchange is a tunnel from the start.
//
// Closing is terminate() → join() → close: nothing is freed while the loop may still complete one
// of its operations.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/intrusive_list.h"
#include "core/key_counts.h"
#include "io/stream.h"
#include "proxy/context.h"
#include "proxy/exchange.h"
#include "proxy/http_parser.h"
#include "proxy/input.h"

namespace shunt::proxy {

class Session;
struct AwaitsRequest;  // Tag of the list of sessions that wait for one.

// A listener as its sessions see it; owned by the service, follows the listener's name over
// reloads.
struct ListenerState {
  config::Listener config;
  const std::string* shared_name = nullptr;  // As the workers name it to each other; may be null.
  uint32_t index =
      config::kNone;  // In the snapshot in use; kNone once it is gone from the configuration.
  uint32_t sessions = 0;
  io::TlsServerContext* tls = nullptr;  // Null: plain.
  bool wants_name = false;  // TCP: which name a client asks for decides what becomes of it.
};

// What the service does for its sessions.
class SessionOwner {
 public:
  virtual Exchange* make_exchange(Session& session) = 0;
  virtual void free_exchange(Exchange& exchange) = 0;
  // The session has closed its descriptor and is freed by this call.
  virtual void on_session_closed(Session& session) = 0;

 protected:
  ~SessionOwner() = default;
};

class Session : public ListNode<>, public ListNode<AwaitsRequest> {
 public:
  // `source`: where its client is counted, for the owner.
  Session(Context& context, SessionOwner& owner, ListenerState& listener, io::Fd fd,
          const SocketAddress& client, KeyCounts::Ticket source);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  void start();
  // Ends an idle connection now, a busy one after its answer.
  void drain();
  void stop();
  // Makes room for a new client: requires that it awaits a request.
  void evict();
  Instant awaiting_since() const { return awaiting_since_; }
  KeyCounts::Ticket source() const { return source_; }

  // --- For the exchange ---
  io::Stream& stream() { return stream_; }
  std::string_view scheme() const { return tcp_ ? "tcp" : stream_.is_tls() ? "https" : "http"; }
  Input& input() { return input_; }            // Begins with the request of the exchange.
  Input& next_input() { return next_input_; }  // What arrived behind it meanwhile.
  const ListenerState& listener() const { return listener_; }
  ListenerState& listener_state() { return listener_; }  // For the service.
  // Whose connection it is, and to which address: what a PROXY header told, else what the kernel
  // says.
  const SocketAddress& client() const { return client_; }
  SocketAddress destination() const;
  std::string_view client_ip() const { return {client_ip_.data(), client_ip_size_}; }
  bool may_keep_alive() const;  // But for what the request itself says.
  void set_deadline(Instant deadline);
  // The request has been read to its end, all that has arrived is used up: watches the client while
  // the answer is awaited.
  void watch_client();
  // The same where bytes of the client may still be to come, or are here unused: only a reset, or
  // an end of both directions, is heard. Until unwatch_end().
  void watch_end();
  void unwatch_end();
  // The exchange is over and has no operation left; it is freed by this call. `used`: bytes of
  // input() it took.
  void on_exchange_end(Exchange& exchange, size_t used, Afterwards afterwards);

 private:
  enum class Phase : uint8_t {
    kPreface,  // Up to kReading: awaits a request.
    kHandshake,
    kReading,
    kExchange,
    kLingering,
    kTerminating
  };

  void set_client(const SocketAddress& client);
  bool may_send_preface() const;
  void read_preface();
  bool take_preface(std::span<char> seen);
  void begin_stream();
  void start_tls();
  void on_handshake(int32_t result);
  void lose(Reason reason, const char* why, Afterwards afterwards);
  void begin_tcp();
  bool process_hello();
  void begin_connection(std::string_view name);
  void on_hello_end(int32_t result);
  void on_hello_timeout();
  void read_more();
  void on_receive(int32_t result);
  void on_ready(int32_t result);
  void process_input();
  bool process_head();
  HeadLimits head_limits() const;
  void refuse(Reason reason, Reject reject);
  void linger(Duration longest);
  void discard();
  void on_timer();
  void end_idle();
  void enter(Phase target);
  bool awaits_request() const { return phase_ <= Phase::kReading; }
  void await_request();
  void terminate(bool reset);
  void join();

  // Constant after construction.
  Context& context_;
  SessionOwner& owner_;
  ListenerState& listener_;
  // As it was when the client came.
  const bool tcp_ = listener_.config.protocol == config::Protocol::kTcp;

  io::Stream stream_;
  Phase phase_ = Phase::kReading;
  bool processing_ =
      false;  // Inside process_input(): ends are left to it, so that pipelining does not recurse.
  bool head_begun_ = false;    // Some of the next head is here: its deadline runs.
  bool client_ended_ = false;  // The client has closed its direction.
  bool watching_end_ = false;  // ready_ is watch_end()'s.
  bool reset_ = false;
  uint32_t requests_ = 0;
  Instant awaiting_since_ = kNever;  // For a request, or the rest of one.
  Exchange* exchange_ = nullptr;
  io::RecvOp receive_;  // Into next_input_ during an exchange, else into input_.
  io::Op ready_;
  Timer timer_;
  HeadScanner scanner_{true};
  HeadLimits limits_;  // Of the head being read: a reload may change the listener's meanwhile.
  Input input_;
  Input next_input_;
  SocketAddress client_;
  std::unique_ptr<const SocketAddress> told_destination_;  // By a PROXY header.
  const KeyCounts::Ticket source_;
  std::array<char, 46> client_ip_;
  uint8_t client_ip_size_ = 0;
};

}  // namespace shunt::proxy
