// The second part of an exchange: a server, a connection to it, and the request on its way; again
// with another server or connection where that is safe.
#include <algorithm>

#include "io/proxy_protocol.h"
#include "proxy/action_values.h"
#include "proxy/exchange.h"
#include "proxy/session.h"

namespace shunt::proxy {
namespace {

// What of our cookies is not for servers.
CookieFilter cookie_filter(const config::Sticky& sticky) {
  using Mode = config::Sticky::Mode;
  if (sticky.mode != Mode::kInsert && sticky.mode != Mode::kPrefix) return {};
  return {sticky.cookie, sticky.mode == Mode::kPrefix};
}

}  // namespace

void Exchange::use_pool(const Pool& pool) {
  pool_ = &pool;
  local_ = generation_.pools[static_cast<size_t>(&pool - generation_.snapshot->pools.data())];
  local_->begin_request();
}

// `head` is the request if the scratch still holds it, else null.
void Exchange::try_server(const RequestHead* head) {
  while (attempts_left()) {
    // Whoever waits already comes first.
    if (attempts_ == 0 && local_->has_waiters()) return wait_for_server();
    server_ = find_server();
    if (server_ == nullptr) {
      if (pool_->servers->saturated(flow_)) return wait_for_server();
      break;
    }
    if (attempt(head)) return;
    if (last_failure_ == Reason::kNoDescriptor || last_failure_ == Reason::kNoMemory) break;
  }
  const bool none_known = last_failure_ == Reason::kNoServer && pool_->has_names;
  fail(none_known && pool_->servers->servers().empty() ? Reason::kNameUnresolved : last_failure_);
}

// With the server bound. False: it cannot even be connected to, and is left out from now on.
bool Exchange::attempt(const RequestHead* head) {
  judged_ = false;
  if (sticky_server_ != 0) note_affinity();
  if (sticky_key_) keep_affinity();
  if (attempts_++ > 0) {
    context_.metrics.retries.add();
    counts_as_retry_ = true;
    server_->retries.fetch_add(1, std::memory_order_relaxed);
  }
  // What cannot be sent a second time must not meet a connection that the server has just closed.
  const bool probe = !is_idempotent(method_) || !replayable_;
  if (!fresh_only_) connection_ = take_kept(*server_, *this, probe);
  if (connection_ != nullptr) {
    note_assignment();
    connected_ = assigned_;
    reused_ = true;
    arm_hedge();
    send_request(head);
    return true;
  }
  Reason failure = Reason::kDone;
  connection_ = connect(*server_, *this, failure);
  note_assignment();
  reused_ = false;
  if (connection_ != nullptr) {
    enter(Phase::kConnecting);
    pending_ = true;
    server_->pending.fetch_add(1, std::memory_order_relaxed);
    set_deadline(connect_timeout(), Reason::kConnectTimeout);
    arm_hedge();
    return true;
  }
  last_failure_ = failure;
  if (is_server_failure(failure)) judge(sched::Verdict::kFailure, info(failure).name);
  exclude_server();
  return false;
}

// Null also if the pool keeps none that this request may use.
UpstreamConnection* Exchange::take_kept(const sched::Server& server, UpstreamConnection::User& user,
                                        bool probe) {
  // One with a PROXY header is its client's, and so is a tunnel.
  if (tcp_ || pool_config().send_proxy != 0) return nullptr;
  return context_.upstreams->take(server, idle_limits(pool_config()), probe, user,
                                  pool_->tls_of(server));
}

// Null: `failure` says why.
UpstreamConnection* Exchange::connect(const sched::Server& server, UpstreamConnection::User& user,
                                      Reason& failure) {
  const Pool* known = pool_that_knows(server, *pool_, *context_.generation->snapshot);
  if (known == nullptr) {
    failure = Reason::kNoServer;
    return nullptr;
  }
  int error = 0;
  UpstreamConnection* connection =
      context_.upstreams->connect(server, user, error, known->tls_of(server));
  if (connection == nullptr) failure = reason_of_connect(error);
  return connection;
}

// The log names the server tried last; by then it may have been removed.
void Exchange::note_assignment() {
  assigned_ = context_.io.now();
  connected_ = kNever;
  note_server();
}

void Exchange::note_server() {
  if (!context_.log.enabled()) return;
  // The end of a long one tells more: of servers by name it is the address.
  const std::string& name = server_->spec.name;
  server_name_size_ = static_cast<uint8_t>(std::min(name.size(), sizeof(server_name_)));
  std::copy_n(name.end() - server_name_size_, server_name_size_, server_name_);
}

std::string_view Exchange::preamble(std::span<char> room) {
  const int version = pool_config().send_proxy;
  if (version == 0) return {};
  const size_t size =
      io::write_proxy_header(version, session_.client(), session_.destination(), room);
  return {room.data(), size};
}

void Exchange::on_connected(int32_t result) {
  SHUNT_ASSERT(phase_ == Phase::kConnecting);
  if (result < 0) {
    connection_ = nullptr;
    const Reason reason = reason_of_connect(result);
    if (reason == Reason::kServerTls) detail_ = context_.upstreams->tls_failure();
    return server_failed(reason);
  }
  connected_ = context_.io.now();
  end_pending();
  if (tcp_) return open_tunnel({});
  send_request(nullptr);
}

// What servers are told; a certificate's subject goes into `subject_room`.
RequestForwarding Exchange::forwarding(const config::Pool& pool,
                                       std::span<char> subject_room) const {
  RequestForwarding how;
  how.scheme = session_.scheme();
  how.client_ip = session_.client_ip();
  how.forwarded = pool.forwarded;
  how.host_header = pool.host_header;
  how.chunked = request_framing_ == Framing::kChunked;
  how.withheld = generation_.snapshot->client_headers;
  const std::string& client_header = session_.listener().config.tls.client_header;
  if (session_.stream().is_tls() && !client_header.empty()) {
    how.client_header = client_header;
    how.client_subject = session_.stream().tls()->peer_subject(subject_room);
  }
  return how;
}

// Into the scratch for heads, for the server that is bound. `head` as in try_server(). Empty: what
// the rule makes of it does not fit.
std::string_view Exchange::write_request(const RequestHead* head) {
  RequestHead& scratch = context_.request_head;
  if (head == nullptr) {
    parse_again(scratch);
    // It was fine the first time.
    const bool rewritten = rewrite_request(scratch);
    SHUNT_ASSERT(rewritten);
  }
  HeadBuffer out(head_memory());
  write_head(out, scratch, *pool_, *server_, upgrade_);
  if (out.overflowed()) {
    SHUNT_ASSERT(actions_ != nullptr);
    return {};
  }
  return out.view();
}

void Exchange::send_request(const RequestHead* head) {
  enter(Phase::kForwarding);
  const std::string_view text = write_request(head);
  if (text.empty()) return fail(Reason::kRewriteTooLarge);
  if (!replayable_) return relay_request(text, 0);

  // The common case: the whole request is here and leaves in one write; it stays here too, for a
  // retry.
  const std::string_view body =
      session_.input().view().substr(head_offset_ + head_size_, request_length_);
  const iovec parts[] = {{const_cast<char*>(text.data()), text.size()},
                         {const_cast<char*>(body.data()), body.size()}};
  const int64_t sent = connection_->stream().send_now(context_.io, {parts, body.empty() ? 1u : 2u});
  if (sent < 0 && sent != -EAGAIN) return server_failed(Reason::kServerReset);
  request_sent_ = sent > 0;
  if (sent == static_cast<int64_t>(text.size() + body.size())) {
    bytes_in_ += request_length_;
    return request_done();
  }
  relay_request(text, sent < 0 ? 0 : static_cast<size_t>(sent));
}

// The head as `server` of `pool` gets it.
void Exchange::write_head(HeadBuffer& out, const RequestHead& head, const Pool& pool,
                          const sched::Server& server, std::string_view upgrade) {
  const config::Pool& config = *pool.config;
  std::array<char, kClientSubjectMax> subject_room;
  RequestForwarding how = forwarding(config, subject_room);
  how.upgrade = upgrade;
  how.cookies = cookie_filter(config.sticky);
  std::string server_host;
  // A request without authority (HTTP/1.0) names nobody, and an empty Host helps no server.
  const bool names_server =
      config.host_header == config::HostHeader::kServer ||
      (config.host_header == config::HostHeader::kPass && head.authority.empty());
  if (names_server) server_host = pool.host_of(server.spec);
  how.host = names_server ? server_host : config.host;
  ActionValues values;
  if (actions_ != nullptr) edit_request(how, values, head, pool, server);
  write_request_head(out, head, how);
}

// The slow way, for bodies that have not arrived and servers that do not take everything at once.
// `sent` bytes of the head and of the body behind it in the input are out already.
void Exchange::relay_request(std::string_view head, size_t sent) {
  const size_t head_sent = std::min(sent, head.size());
  const size_t body_sent = sent - head_sent;
  request_sent_ = true;
  replayable_ = false;
  session_.input().consume(head_offset_ + head_size_ + body_sent);
  bytes_in_ += body_sent;
  request_half_ = Half::kBody;
  BodyRelay::Plan plan;
  plan.source = &session_.stream();
  plan.sink = &connection_->stream();
  plan.input = &session_.input();
  plan.excess = &session_.next_input();
  plan.framing = request_framing_;
  plan.length = request_length_ - body_sent;
  plan.chunk_output = request_framing_ == Framing::kChunked;
  if (request_relay_.start(plan, head.substr(head_sent))) return on_request_relay_end();
  set_relay_deadline();
}

void Exchange::on_request_relay_end() {
  switch (request_relay_.end()) {
    case BodyRelay::End::kDone:
      return request_done();
    case BodyRelay::End::kSourceEnded:
      return abort(Reason::kClientClosed);
    case BodyRelay::End::kSourceFailed:
      return abort(Reason::kClientReset);
    case BodyRelay::End::kBadFraming:
      detail_ = request_relay_.reject().why;
      return fail(Reason::kBadRequest);
    case BodyRelay::End::kSinkFailed:
      // The server may have answered before it stopped reading (RFC 9112 §9.5); if not, its receive
      // says what happened.
      request_half_ = Half::kFailed;
      if (response_half_ == Half::kOpen) set_deadline(response_timeout(), Reason::kResponseTimeout);
      return;
  }
}

void Exchange::request_done() {
  request_half_ = Half::kDone;
  const size_t used = replayable_ ? head_offset_ + head_size_ + request_length_ : 0;
  // What a client that may change the protocol sends next is for the tunnel, if there will be one.
  if (session_.input().size() == used && upgrade_.empty()) session_.watch_client();
  if (response_half_ == Half::kOpen) set_deadline(response_timeout(), Reason::kResponseTimeout);
}

}  // namespace shunt::proxy
