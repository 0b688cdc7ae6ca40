// One request and its answer: routing, the choice of a server, retries, the bodies in both
// directions, the log line. Separate from the connection that carries it (session.h), which reads
// requests and owns the transport. Lives from the complete head to the last byte of the answer;
// made and freed by its session, on the worker's thread.
//
//   Session                     Exchange                               UpstreamPool /
//   UpstreamConnection head complete ─(a)→ begin ─(b)→ route ─(c)→ try_server ─(d)→ take or connect
//                                                send_request ←(e)─ on_connected
//                                          on_response_bytes ←(f)─ bytes of the answer
//                                 (g) send_response, relay
//   on_exchange_end ←(i)─ finish ─(h)→ park or close
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/body_relay.h"
#include "proxy/context.h"
#include "proxy/head_writer.h"
#include "proxy/http_parser.h"
#include "proxy/patience.h"
#include "proxy/request_id.h"
#include "proxy/retry.h"
#include "proxy/tunnel.h"
#include "proxy/upstream_pool.h"
#include "sched/flow.h"

namespace shunt::proxy {

struct ActionValues;

// How the client's connection goes on after an exchange.
enum class Afterwards : uint8_t {
  kKeepAlive,
  kClose,  // Our direction ends behind the answer.
  kReset,  // The answer was cut short and nothing but a reset can tell.
};

class Exchange;

// The second request of an exchange, while it has one.
class Hedge final : public UpstreamConnection::User {
 public:
  explicit Hedge(Exchange& owner) : exchange(owner) {}
  std::string_view preamble(std::span<char> room) override;
  void on_connected(int32_t result) override;
  void on_response_bytes() override;
  void on_response_end(int32_t result) override;

  Exchange& exchange;
  sched::Server* server = nullptr;  // Bound, as Exchange::server_ is.
  UpstreamConnection* connection = nullptr;
  bool kept = false;  // The connection had been used before.
  bool sent = false;
  Instant connected = kNever;
};

class Exchange final : public UpstreamConnection::User,
                       public BodyRelay::Owner,
                       public Tunnel::Owner,
                       public QueuedRequest {
 public:
  Exchange(Context& context, Session& session);
  virtual ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // `head` has been parsed from the session's input at `offset`; it is read within this call only.
  void begin(const RequestHead& head, uint32_t offset);
  // The request could not be parsed or did not arrive: answers, and the connection ends.
  void begin_refused(Reason reason, Reject reject);

  // Not a request but a whole connection, of a listener with protocol = "tcp": `name` is what its
  // client asks for by TLS, or empty. What the session has read goes to the server first.
  void begin_connection(std::string_view name);

  // No request came of the connection, and nobody is there to be answered: only the log tells.
  void begin_lost(Reason reason, const char* why, Afterwards afterwards);

  // The client's connection is gone; nothing more can be sent.
  void on_client_gone(Reason reason);
  // The deadline set last has passed.
  void on_deadline();
  // The worker stops: ends at once.
  void abort(Reason reason);

  bool request_complete() const { return request_half_ == Half::kDone; }

 private:
  friend class Hedge;
  enum class Phase : uint8_t { kRouting, kWaiting, kConnecting, kForwarding, kEnding };
  enum class Half : uint8_t { kOpen, kBody, kDone, kFailed };

  // UpstreamConnection::User
  std::string_view preamble(std::span<char> room) override;
  void on_connected(int32_t result) override;
  bool reads_stream() const override { return tcp_; }
  void on_response_bytes() override;
  void on_response_end(int32_t result) override;
  // BodyRelay::Owner
  void on_relay_progress(BodyRelay& relay) override;
  void on_relay_end(BodyRelay& relay) override;
  void on_relay_joined(BodyRelay& relay) override;

  // Tunnel::Owner
  void on_tunnel_progress() override;
  void on_tunnel_end() override;
  void on_tunnel_joined() override;

  // QueuedRequest
  sched::Server* find_server() override;
  void on_turn(sched::Server& server) override;
  void on_shed(sched::Server& server) override;

  // Tunnels: exchange_tunnel.cpp
  void route_connection();
  void open_tunnel(std::string_view head);
  void note_first_byte();
  std::string_view requested_name() const;

  // (b), (c): exchange_route.cpp
  void remember(const RequestHead& head, uint32_t offset);
  void take_request_id(const RequestHead& head);
  void route(const RequestHead& head);
  void parse_again(RequestHead& head) const;
  void view_request(const RequestHead& head, rules::RequestView& view);
  const Pool& choose_pool(const rules::RequestView& view) const;
  void respond(const RequestHead& head);
  void respond_with_error(uint16_t status, Reason reason, std::string_view text);
  void respond_local(LocalResponse response, Reason reason);
  bool request_is_in_input() const;

  // Before (c): exchange_guard.cpp. False: the request has been answered.
  bool path_is_clear(const RequestHead& head, const rules::RequestView& view, uint32_t matched);
  bool within_listener_rate(rules::RequestView& view);
  bool within_rule_rate(uint32_t matched, rules::RequestView& view);
  bool within_rate(RateLimiter& limiter, const config::RateLimit& limit, rules::RequestView& view);

  // What the rule does to the messages: exchange_actions.cpp
  void fill(ActionValues& out, const RequestHead* head, const Pool* pool,
            const sched::Server* server);
  void mirror_request(const RequestHead& head, rules::RequestView& view);
  bool rewrite_request(const RequestHead& head);
  void edit_request(RequestForwarding& how, ActionValues& values, const RequestHead& head,
                    const Pool& pool, const sched::Server& server);
  void edit_response(HeadEdits& edits, ActionValues& values);
  std::span<char> head_memory() const;
  bool write_own_answer(LocalResponse& response, ActionValues& values);

  // (d), (e): exchange_request.cpp
  void use_pool(const Pool& pool);
  void try_server(const RequestHead* head);
  bool attempt(const RequestHead* head);
  UpstreamConnection* take_kept(const sched::Server& server, UpstreamConnection::User& user,
                                bool probe);
  UpstreamConnection* connect(const sched::Server& server, UpstreamConnection::User& user,
                              Reason& failure);
  void note_assignment();
  void note_server();
  std::string_view write_request(const RequestHead* head);
  void send_request(const RequestHead* head);
  void write_head(HeadBuffer& out, const RequestHead& head, const Pool& pool,
                  const sched::Server& server, std::string_view upgrade = {});
  RequestForwarding forwarding(const config::Pool& pool, std::span<char> subject_room) const;
  void relay_request(std::string_view head, size_t sent);
  void request_done();
  void on_request_relay_end();

  // The servers tried, and the queue for them: exchange_server.cpp
  bool attempts_left() const;
  void wait_for_server();
  void leave_queue();
  void server_failed(Reason reason);
  bool discard_answer(const ResponseHead& head);
  bool hold_back(const ResponseHead& head) const;
  void start_over();
  Attempt describe_attempt() const;
  bool within_budget();
  void judge(sched::Verdict verdict, std::string_view why = {});
  void judge(sched::Server& server, sched::Verdict verdict, std::string_view why);
  void judge_answer(uint16_t status);
  void end_pending();
  void exclude_server();
  void drop_connection();
  void give_up_server();

  // Stickiness: exchange_sticky.cpp
  void find_affinity(rules::RequestView& view);
  sched::Server* claim_server();
  void note_affinity();
  void keep_affinity();
  StickyAnswer answer_sticky(const ResponseHead& head);
  void learn_cookies(const ResponseHead& head);

  // A second request: exchange_hedge.cpp
  void arm_hedge();
  void on_hedge_due();
  void on_hedge_connected(int32_t result);
  void send_hedge();
  void on_hedge_answer();
  void on_hedge_failed(Reason reason);
  void end_hedge(sched::Verdict verdict, std::string_view why = {});
  void adopt_hedge();

  // (f), (g): exchange_response.cpp
  void read_response_head();
  bool pass_on_interim(const ResponseHead& head);
  void send_response(const ResponseHead& head);
  void relay_response(std::string_view out, size_t sent, const ResponseHead& head, bool chunked);
  void on_response_relay_end();
  void switch_protocols(const ResponseHead& head);
  void response_done();

  // (h): exchange.cpp
  void enter(Phase target);
  void fail(Reason reason);
  void finish(Reason reason);
  void join();
  void write_log();
  void set_deadline(Duration after, Reason reason);
  void set_relay_deadline();
  bool relays_busy() const;
  uint64_t taken_by_client() const;
  // What it is called; in `room` if the name is ours.
  std::string_view name_request(RequestIdText& room) const;
  const config::Pool& pool_config() const { return *pool_->config; }
  // From the complete head on; 0: no limit.
  void limit_whole(Duration longest);
  // The rule's, else the pool's.
  Duration connect_timeout() const {
    return rule_->connect_timeout.value_or(pool_config().connect_timeout);
  }
  Duration response_timeout() const {
    return rule_->response_timeout.value_or(pool_config().response_timeout);
  }
  Duration server_timeout() const {
    return rule_->server_timeout.value_or(pool_config().server_timeout);
  }
  Duration tunnel_timeout() const {
    return rule_->tunnel_timeout.value_or(pool_config().tunnel_timeout);
  }
  uint32_t retries() const { return rule_->retries.value_or(pool_config().retries); }

  // Constant after construction.
  Context& context_;
  Session& session_;
  Generation& generation_;

  Phase phase_ = Phase::kRouting;
  Half request_half_ = Half::kOpen;
  Half response_half_ = Half::kOpen;
  Reason reason_ = Reason::kDone;  // Why it ends; of a local answer, known before it is sent.
  Reason last_failure_ = Reason::kNoServer;  // Of the servers tried.
  Afterwards afterwards_ = Afterwards::kClose;
  Reason deadline_reason_ = Reason::kDone;
  Instant give_up_at_ = kNever;  // The end of request_timeout.
  Patience body_patience_;       // With the client that sends its body…
  Patience send_patience_;       // …and that takes its answer.
  uint32_t retry_after_ = 0;     // Seconds; of a request over its rate.
  const char* detail_ = "";      // Of a malformed request or answer.

  // The request; views into the session's input, which keeps its memory until the end of the
  // exchange.
  Method method_ = Method::kGet;
  Version version_ = Version::kHttp11;
  Framing request_framing_ = Framing::kNone;
  bool keep_alive_ = false;   // Of the client's connection, after this exchange.
  uint32_t head_offset_ = 0;  // Where the head begins in the session's input.
  uint32_t head_size_ = 0;
  uint64_t request_length_ = 0;
  std::string_view method_text_, target_, host_, version_text_, referer_, user_agent_;
  std::string_view head_bytes_;

  bool tcp_ = false;      // A connection without requests.
  std::string tcp_name_;  // That it asks for by TLS, in lower case.

  // Routing.
  const config::Rule* rule_ = nullptr;
  const rules::Actions* actions_ = nullptr;  // The rule's, if it has any.
  const RequestId id_;
  std::string_view told_id_;  // The client's for it, if the listener takes that.
  const Pool* pool_ = nullptr;
  sched::Flow flow_;
  LocalPool* local_ = nullptr;  // Of pool_.

  uint64_t sticky_server_ = 0;          // The id of the server it belongs to; 0: none.
  std::optional<uint64_t> sticky_key_;  // Of its entry in the pool's table, if it may have one.
  bool sticky_busy_ = false;            // That server is full, so that another serves meanwhile.
  std::string_view sticky_outcome_;     // For the log, which names them; empty: it belongs nowhere.

  // The server.
  static constexpr uint32_t kAttemptsMax = 8;
  sched::Server* server_ = nullptr;  // Bound: counts as one of its active connections.
  UpstreamConnection* connection_ = nullptr;
  UpstreamConnection* dropped_ =
      nullptr;  // Closed, but for the operations that our relays have on it.
  std::array<uint64_t, kAttemptsMax> excluded_{};  // Ids: a server may be gone by now.
  uint32_t excluded_count_ = 0;
  uint32_t attempts_ = 0;
  bool fresh_only_ = false;       // The retry of a request that failed on a kept connection.
  bool retried_ = false;          // Counts against the pool's retry budget.
  bool judged_ = false;           // The server's set knows how this attempt ended.
  bool pending_ = false;          // Counts as a connection being established to the server.
  bool counts_as_retry_ = false;  // The same, as a request that others have failed.
  bool reused_ = false;
  bool replayable_ = false;    // The whole request is still in the session's input.
  bool request_sent_ = false;  // Bytes of it have gone to the server tried last.
  bool interim_ = false;       // The response relay carries a 1xx answer.

  Hedge hedge_{*this};
  Timer hedge_timer_;  // Until it is due.

  // The answer.
  HeadScanner response_scanner_{false};
  uint16_t status_ = 0;
  bool server_keep_alive_ = false;
  bool server_clean_ = false;  // The connection may be kept: both messages ended where they should.
  bool head_sent_ = false;     // The client has begun to receive the final answer.
  bool until_close_ = false;   // Its end is told to the client by the end of the connection.
  BodyRelay request_relay_;
  BodyRelay response_relay_;
  std::string_view upgrade_;        // What the server was offered to change to; of the pool's list.
  std::unique_ptr<Tunnel> tunnel_;  // Once it has, or a TCP connection has its server.

  // Accounting.
  int64_t wall_time_ms_ = 0;
  Instant begun_ = kNever, assigned_ = kNever, connected_ = kNever, first_byte_ = kNever;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  char server_name_[128];  // For the log: the server may be gone by then.
  uint8_t server_name_size_ = 0;
};

}  // namespace shunt::proxy
