// The second part of an exchange: a server, a connection to it, and the request on its way; again
// with another server or connection where that is safe.
#include <algorithm>
#include <cerrno>

#include "io/proxy_protocol.h"
#include "proxy/action_values.h"
#include "proxy/exchange.h"
#include "proxy/hop_headers.h"
#include "proxy/session.h"

namespace shunt::proxy {
namespace {

Reason reason_of_connect(int result) {
  switch (-result) {
    case ECONNREFUSED:
    case ENOENT:  // A unix socket that is not there.
      return Reason::kConnectRefused;
    case ETIMEDOUT:
      return Reason::kConnectTimeout;
    case EPROTO:
    case ECONNABORTED:
      return Reason::kServerTls;
    case EMFILE:
    case ENFILE:
      return Reason::kNoDescriptor;
    case ENOBUFS:
    case ENOMEM:
      return Reason::kNoMemory;
    default:
      return Reason::kConnectFailed;
  }
}

// What Host says when it names the server itself.
std::string host_of(const SocketAddress& address) {
  return address.is_ip() ? address.to_string() : "localhost";
}

}  // namespace

// `head` is the request if the scratch still holds it, else null.
void Exchange::try_server(const RequestHead* head) {
  const uint32_t attempts_max = std::min(retries() + 1, kAttemptsMax);
  while (attempts_ < attempts_max + (fresh_only_ ? 1 : 0)) {
    flow_.excluded = {excluded_.data(), excluded_count_};
    server_ = pool_->servers->schedule(flow_, sched::Counted::kActive);
    if (server_ == nullptr) break;
    if (attempts_++ > 0) context_.metrics.retries.add();
    // What cannot be sent a second time must not meet a connection that the server has just closed.
    const bool probe = !is_idempotent(method_) || !replayable_;
    // A connection with a PROXY header is its client's.
    if (!fresh_only_ && pool_config().send_proxy == 0) {
      connection_ = context_.upstreams->take(*server_, idle_limits(pool_config()), probe, *this,
                                             pool_->tls_of(*server_));
      if (connection_ != nullptr) {
        note_assignment();
        connected_ = assigned_;
        reused_ = true;
        return send_request(head);
      }
    }
    int error = 0;
    connection_ = context_.upstreams->connect(*server_, *this, error, pool_->tls_of(*server_));
    note_assignment();
    reused_ = false;
    if (connection_ != nullptr) {
      enter(Phase::kConnecting);
      return set_deadline(connect_timeout(), Reason::kConnectTimeout);
    }
    last_failure_ = reason_of_connect(error);
    exclude_server();
    if (last_failure_ == Reason::kNoDescriptor || last_failure_ == Reason::kNoMemory) break;
  }
  fail(last_failure_);
}

// The log names the server tried last; by then it may have been removed.
void Exchange::note_assignment() {
  assigned_ = context_.io.now();
  connected_ = kNever;
  if (!context_.log.enabled()) return;
  const std::string& name = server_->spec.name;
  server_name_size_ = static_cast<uint8_t>(std::min(name.size(), sizeof(server_name_)));
  std::copy_n(name.data(), server_name_size_, server_name_);
}

void Exchange::exclude_server() {
  if (excluded_count_ < kAttemptsMax) excluded_[excluded_count_++] = server_;
  give_up_server();
}

// No more of the server's answer is wanted. Relays may still have operations on its descriptor,
// which are waited for.
void Exchange::drop_connection() {
  if (connection_ == nullptr) return;
  UpstreamConnection& connection = *std::exchange(connection_, nullptr);
  if (!relays_busy()) return context_.upstreams->close(connection);
  SHUNT_ASSERT(dropped_ == nullptr);
  context_.upstreams->close_held(connection);
  dropped_ = &connection;
}

void Exchange::give_up_server() {
  if (server_ == nullptr) return;
  pool_->servers->unbind(*std::exchange(server_, nullptr), sched::Counted::kActive);
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

void Exchange::send_request(const RequestHead* head) {
  enter(Phase::kForwarding);
  RequestHead& scratch = context_.request_head;
  if (head == nullptr) {
    parse_again(scratch);
    // It was fine the first time.
    const bool rewritten = rewrite_request(scratch);
    SHUNT_ASSERT(rewritten);
  }
  upgrade_ = upgrade_wanted(scratch, pool_config().upgrade);
  HeadBuffer out(head_memory());
  write_head(out, scratch, *pool_, *server_, upgrade_);
  if (out.overflowed()) {
    SHUNT_ASSERT(actions_ != nullptr);
    return fail(Reason::kRewriteTooLarge);
  }
  const std::string_view text = out.view();
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
  std::string server_host;
  // A request without authority (HTTP/1.0) names nobody, and an empty Host helps no server.
  const bool names_server =
      config.host_header == config::HostHeader::kServer ||
      (config.host_header == config::HostHeader::kPass && head.authority.empty());
  if (names_server) server_host = host_of(server.spec.address);
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

// The server tried last has not answered: another connection or server, if the request can be sent
// again safely.
void Exchange::server_failed(Reason reason) {
  drop_connection();
  last_failure_ = reason;
  if (phase_ == Phase::kConnecting) {
    // Nothing was sent; the one that refused is left out of the next choice.
    exclude_server();
    enter(Phase::kRouting);
    return try_server(nullptr);
  }
  // A kept connection may have been closed by the server just when it was used again: that says
  // nothing about the server, so the request gets a fresh connection, once (RFC 9110 §9.2.2, RFC
  // 9112 §9.3.1).
  const bool safe = replayable_ && (!request_sent_ || is_idempotent(method_));
  const bool answered = first_byte_ != kNever;
  if (reused_ && safe && !answered && !fresh_only_) {
    give_up_server();
    fresh_only_ = true;
    request_half_ = Half::kOpen;
    response_scanner_ = HeadScanner(false);
    enter(Phase::kRouting);
    return try_server(nullptr);
  }
  fail(reason);
}

}  // namespace shunt::proxy
