// The life cycle of an exchange: deadlines, and the one way in which every exchange ends.
#include "proxy/exchange.h"

#include <algorithm>

#include "core/wall_clock.h"
#include "proxy/session.h"

namespace shunt::proxy {
namespace {

// A phase of the exchange; negative if it was not reached.
Duration between(Instant from, Instant to) {
  return from == kNever || to == kNever ? Duration(-1) : to - from;
}

}  // namespace

Exchange::Exchange(Context& context, Session& session)
    : context_(context),
      session_(session),
      generation_(*context.generation),
      body_patience_(session.listener().config.body_timeout,
                     session.listener().config.body_rate_min),
      send_patience_(session.listener().config.send_timeout,
                     session.listener().config.send_rate_min),
      id_(context.request_ids.next()),
      request_relay_(context, *this),
      response_relay_(context, *this) {
  bind<&Exchange::on_hedge_due>(hedge_timer_, *this);
  ++generation_.exchanges;
  context_.metrics.requests_active.add();
}

Exchange::~Exchange() {
  SHUNT_ASSERT(phase_ == Phase::kEnding);
  SHUNT_ASSERT(server_ == nullptr);
  SHUNT_ASSERT(connection_ == nullptr);
  SHUNT_ASSERT(hedge_.server == nullptr && hedge_.connection == nullptr);
  SHUNT_ASSERT(!hedge_timer_.armed());
  SHUNT_ASSERT(dropped_ == nullptr);
  if (tunnel_) context_.metrics.tunnels_active.subtract();
  --generation_.exchanges;
  context_.metrics.requests_active.subtract();
}

void Exchange::enter(Phase target) {
  const bool from_routing = target == Phase::kConnecting || target == Phase::kWaiting;
  const bool allowed = target == Phase::kEnding || (from_routing && phase_ == Phase::kRouting) ||
                       target == Phase::kForwarding || (target == Phase::kRouting && !head_sent_);
  SHUNT_ASSERT(allowed);
  SHUNT_ASSERT(phase_ != Phase::kEnding);
  phase_ = target;
}

// --- Deadlines ---

void Exchange::limit_whole(Duration longest) {
  give_up_at_ = longest > Duration::zero() ? begun_ + longest : kNever;
}

void Exchange::set_deadline(Duration after, Reason reason) {
  const Instant deadline = context_.io.now() + after;
  deadline_reason_ = give_up_at_ < deadline ? Reason::kRequestTimeout : reason;
  session_.set_deadline(std::min(deadline, give_up_at_));
}

// While bodies move, the deadline is on whoever is being waited for.
void Exchange::set_relay_deadline() {
  const Instant now = context_.io.now();
  if (send_patience_.waiting()) send_patience_.settle(now, taken_by_client());
  body_patience_.settle(now, request_relay_.bytes_read());
  if (response_relay_.active()) {
    if (!response_relay_.waits_for_sink() && pool_ != nullptr)
      return set_deadline(server_timeout(), Reason::kServerTimeout);
    send_patience_.wait(now);
    return set_deadline(send_patience_.left(), Reason::kClientSendTimeout);
  }
  if (request_relay_.active() && request_relay_.waits_for_source()) {
    body_patience_.wait(now);
    return set_deadline(body_patience_.left(), Reason::kRequestBodyTimeout);
  }
  set_deadline(server_timeout(), Reason::kServerTimeout);
}

// What the client's kernel has confirmed, not what ours has accepted: that holds megabytes of an
// answer nobody reads, and asks for more only when a third of them is gone. With TLS this is too
// low by what records add to bytes on their way, which is made up for when they arrive.
uint64_t Exchange::taken_by_client() const {
  const uint64_t sent = bytes_out_ + response_relay_.bytes_sent();
  return sent - std::min(sent, session_.stream().unacknowledged(context_.io));
}

void Exchange::on_deadline() {
  if (phase_ == Phase::kEnding) return;
  switch (deadline_reason_) {
    case Reason::kConnectTimeout:
      return server_failed(Reason::kConnectTimeout);
    case Reason::kClientSendTimeout:
      send_patience_.settle(context_.io.now(), taken_by_client());
      if (!send_patience_.over()) return set_relay_deadline();
      return fail(send_patience_.pausing() ? Reason::kClientSendTimeout : Reason::kClientSendSlow);
    case Reason::kRequestBodyTimeout:
      return fail(body_patience_.pausing() ? Reason::kRequestBodyTimeout
                                           : Reason::kRequestBodySlow);
    case Reason::kResponseTimeout:
    case Reason::kServerTimeout:
      return head_sent_ ? fail(deadline_reason_) : server_failed(deadline_reason_);
    default:
      return fail(deadline_reason_);
  }
}

// --- Relay events ---

void Exchange::on_relay_progress(BodyRelay&) {
  set_relay_deadline();
}

void Exchange::on_relay_end(BodyRelay& relay) {
  if (&relay == &request_relay_) return on_request_relay_end();
  on_response_relay_end();
}

void Exchange::on_relay_joined(BodyRelay&) {
  if (phase_ == Phase::kEnding) join();
}

bool Exchange::relays_busy() const {
  return request_relay_.busy() || response_relay_.busy() || (tunnel_ && tunnel_->busy());
}

// --- Ending ---

void Exchange::on_client_gone(Reason reason) {
  if (phase_ != Phase::kEnding) abort(reason);
}

void Exchange::abort(Reason reason) {
  if (phase_ == Phase::kEnding) return;
  afterwards_ = Afterwards::kReset;
  finish(reason);
}

// Answers with an error page if the client has received nothing yet; else the answer is cut short,
// in a way the client can tell.
void Exchange::fail(Reason reason) {
  leave_queue();
  end_hedge(sched::Verdict::kNone);
  if (is_server_failure(reason)) judge(sched::Verdict::kFailure, info(reason).name);
  if (request_relay_.active()) request_relay_.stop();
  if (response_relay_.active()) response_relay_.stop();
  drop_connection();
  if (tcp_) return abort(reason);  // No page can tell; a reset does.
  // A head that did not leave before the answer turned out bad gives way to an error page.
  if (bytes_out_ == 0 && response_relay_.bytes_sent() == 0 && !session_.stream().holds_unsent())
    head_sent_ = false;
  const bool client_is_gone = info(reason).status == 0;
  if (head_sent_ || client_is_gone) {
    afterwards_ = until_close_ || client_is_gone ? Afterwards::kReset : Afterwards::kClose;
    return finish(reason);
  }
  // An interim answer that is stuck half way leaves no clean place for another head.
  if (interim_) return abort(reason);
  respond_with_error(info(reason).status, reason, info(reason).text);
}

void Exchange::finish(Reason reason) {
  leave_queue();
  end_hedge(sched::Verdict::kNone);
  enter(Phase::kEnding);
  reason_ = reason;
  if (request_relay_.active()) request_relay_.stop();
  if (response_relay_.active()) response_relay_.stop();
  if (tunnel_) {
    tunnel_->stop();
    bytes_in_ += tunnel_->bytes_to_server();
    bytes_out_ += tunnel_->bytes_to_client();
  }
  if (!server_clean_) drop_connection();
  give_up_server();
  if (local_ != nullptr) local_->end_request(retried_);
  bytes_in_ += request_relay_.bytes_read();
  bytes_out_ += response_relay_.bytes_sent();
  context_.metrics.bytes_in.add(bytes_in_);
  context_.metrics.bytes_out.add(bytes_out_);
  context_.metrics.ended[static_cast<size_t>(reason)].add();
  if (context_.log.enabled()) write_log();
  join();
}

void Exchange::join() {
  if (relays_busy()) return;
  if (dropped_ != nullptr) context_.upstreams->let_go(*std::exchange(dropped_, nullptr));
  if (connection_ != nullptr) {
    context_.upstreams->park(*std::exchange(connection_, nullptr), idle_limits(pool_config()));
  }
  const size_t used = replayable_ ? head_offset_ + head_size_ + request_length_ : 0;
  LocalPool* pool = local_;
  session_.on_exchange_end(*this, used, afterwards_);
  // Only now: the connection that it used is there for the next one, and nothing of this one is.
  if (pool != nullptr) pool->on_server_freed();
}

std::string_view Exchange::name_request(RequestIdText& room) const {
  if (!told_id_.empty()) return told_id_;
  room = to_text(id_);
  return {room.data(), room.size()};
}

void Exchange::write_log() {
  AccessRecord record;
  RequestIdText id_room;
  record.request_id = name_request(id_room);
  record.wall_time_ms = wall_time_ms_;
  record.client = &session_.client();
  record.listener = session_.listener().config.name;
  record.method = method_text_;
  record.scheme = session_.scheme();
  record.sni = requested_name();
  record.host = host_;
  record.target = target_;
  record.version = version_text_;
  record.referer = referer_;
  record.user_agent = user_agent_;
  if (rule_ != nullptr) record.rule = rule_->name;
  if (pool_ != nullptr) {
    record.pool = pool_config().name;
    record.scheduler = pool_config().scheduler;
  }
  record.server = {server_name_, server_name_size_};
  record.sticky = sticky_outcome_;
  record.status = status_;
  record.reason = reason_;
  record.detail = detail_;
  record.attempts = attempts_;
  record.reused = reused_;
  record.bytes_in = bytes_in_;
  record.bytes_out = bytes_out_;
  record.queue = between(begun_, assigned_);
  record.connect = between(assigned_, connected_);
  record.first_byte = between(connected_, first_byte_);
  record.total = between(begun_, context_.io.now());
  context_.log.write(record);
}

}  // namespace shunt::proxy
