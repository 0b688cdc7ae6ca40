// The third part of an exchange: the answer, from its first byte to its last.
#include <cerrno>
#include <utility>

#include "core/wall_clock.h"
#include "proxy/action_values.h"
#include "proxy/exchange.h"
#include "proxy/session.h"

namespace shunt::proxy {
namespace {

// What a server may send as a head. Wider than what clients may: it is our own farm.
constexpr HeadLimits kResponseLimits{8 * 1024, 64 * 1024, kFieldsMax};

}  // namespace

void Exchange::on_response_bytes() {
  SHUNT_ASSERT(phase_ == Phase::kForwarding);
  SHUNT_ASSERT(response_half_ == Half::kOpen);
  if (first_byte_ == kNever) {
    first_byte_ = context_.io.now();
    end_hedge(sched::Verdict::kNone);
    if (pool_config().hedge.percentile > 0) local_->latency().add(first_byte_ - assigned_);
  }
  read_response_head();
}

void Exchange::on_response_end(int32_t result) {
  SHUNT_ASSERT(phase_ == Phase::kForwarding);
  if (response_half_ != Half::kOpen) return;  // The relay reads by itself and notices by itself.
  const bool begun = !connection_->input().empty();
  if (begun) return server_failed(Reason::kServerTruncated);
  server_failed(result == 0 ? Reason::kServerClosed : Reason::kServerReset);
}

void Exchange::read_response_head() {
  for (;;) {
    Input& input = connection_->input();
    if (input.empty()) return connection_->receive();
    switch (response_scanner_.scan(input.view(), kResponseLimits)) {
      case Scan::kIncomplete:
        return connection_->receive();
      case Scan::kReject:
        detail_ = response_scanner_.reject().why;
        return server_failed(Reason::kServerBadResponse);
      case Scan::kComplete:
        break;
    }
    ResponseHead& head = context_.response_head;
    const auto rejected = parse_response(input.view().substr(0, response_scanner_.head_size()),
                                         kResponseLimits, method_, head, upgrade_);
    if (rejected) {
      detail_ = rejected->why;
      return server_failed(Reason::kServerBadResponse);
    }
    response_scanner_ = HeadScanner(false);
    if (head.status >= 200) {
      if (discard_answer(head)) return;
      if (!hold_back(head)) return send_response(head);
      set_deadline(server_timeout(), Reason::kServerTimeout);
      return connection_->receive();
    }
    if (head.status == 101) return switch_protocols(head);
    if (!pass_on_interim(head)) return;
  }
}

// 1xx answers go on to clients that know them (RFC 9110 §15.2). False if the client has to be
// waited for.
bool Exchange::pass_on_interim(const ResponseHead& head) {
  std::string_view text;
  HeadBuffer out(context_.head_scratch);
  if (version_ == Version::kHttp11) {
    write_response_head(out, head, {});
    SHUNT_ASSERT(!out.overflowed());
    text = out.view();
  }
  connection_->input().consume(head.size);
  if (text.empty()) return true;
  interim_ = true;
  BodyRelay::Plan plan;
  plan.sink = &session_.stream();
  plan.input = &connection_->input();
  if (!response_relay_.start(plan, text)) {
    set_relay_deadline();
    return false;
  }
  interim_ = false;
  if (response_relay_.end() == BodyRelay::End::kDone) return true;
  abort(Reason::kClientReset);
  return false;
}

void Exchange::send_response(const ResponseHead& head) {
  response_half_ = Half::kBody;
  status_ = head.status;
  server_keep_alive_ = head.keep_alive && head.framing != Framing::kUntilClose;
  const bool needs_framing =
      head.framing == Framing::kChunked || head.framing == Framing::kUntilClose;
  const bool chunked = needs_framing && version_ == Version::kHttp11;
  until_close_ = needs_framing && !chunked;
  // An answer before the end of the request: what is left of that would be taken for the next
  // request.
  const bool request_read = request_half_ == Half::kDone;
  keep_alive_ = keep_alive_ && request_read && !until_close_ && session_.may_keep_alive();
  afterwards_ = keep_alive_ ? Afterwards::kKeepAlive : Afterwards::kClose;

  HeadBuffer out(head_memory());
  ResponseForwarding how{version_, keep_alive_, chunked, pool_config().forwarded};
  how.date = context_.date.at(wall_clock_ms() / 1000);
  if (pool_config().sticky.mode != config::Sticky::Mode::kOff) how.sticky = answer_sticky(head);
  ActionValues values;
  if (actions_ != nullptr) edit_response(how.fields, values);
  write_response_head(out, head, how);
  if (out.overflowed() && how.fields.edits != nullptr) return fail(Reason::kAnswerTooLarge);
  if (out.overflowed()) {
    detail_ = "the answer head does not fit";
    return fail(Reason::kServerBadResponse);
  }
  const std::string_view text = out.view();
  Input& input = connection_->input();
  input.consume(head.size);
  head_sent_ = true;
  const uint64_t length = head.framing == Framing::kLength ? head.content_length : 0;
  if (needs_framing || input.size() < length) return relay_response(text, 0, head, chunked);

  // The common case: the whole answer is here and leaves in one write.
  const std::string_view body = input.view().substr(0, length);
  const iovec parts[] = {{const_cast<char*>(text.data()), text.size()},
                         {const_cast<char*>(body.data()), body.size()}};
  const int64_t sent = session_.stream().send_now(context_.io, {parts, body.empty() ? 1u : 2u});
  if (sent < 0 && sent != -EAGAIN) return abort(Reason::kClientReset);
  if (sent == static_cast<int64_t>(text.size() + body.size())) {
    bytes_out_ += static_cast<uint64_t>(sent);
    input.consume(length);
    return response_done();
  }
  relay_response(text, sent < 0 ? 0 : static_cast<size_t>(sent), head, false);
}

void Exchange::relay_response(std::string_view out, size_t sent, const ResponseHead& head,
                              bool chunked) {
  const size_t head_sent = std::min(sent, out.size());
  const size_t body_sent = sent - head_sent;
  connection_->input().consume(body_sent);
  bytes_out_ += sent;
  BodyRelay::Plan plan;
  plan.source = &connection_->stream();
  plan.sink = &session_.stream();
  plan.input = &connection_->input();
  plan.framing = head.framing;
  plan.length = head.framing == Framing::kLength ? head.content_length - body_sent : 0;
  plan.chunk_output = chunked;
  if (response_relay_.start(plan, out.substr(head_sent))) return on_response_relay_end();
  set_relay_deadline();
}

void Exchange::on_response_relay_end() {
  if (interim_ && response_relay_.end() == BodyRelay::End::kDone) {
    interim_ = false;
    set_deadline(response_timeout(), Reason::kResponseTimeout);
    return read_response_head();
  }
  switch (response_relay_.end()) {
    case BodyRelay::End::kDone:
      return response_done();
    case BodyRelay::End::kSinkFailed:
      return abort(Reason::kClientReset);
    case BodyRelay::End::kSourceEnded:
      return fail(Reason::kServerTruncated);
    case BodyRelay::End::kSourceFailed:
      return fail(Reason::kServerReset);
    case BodyRelay::End::kBadFraming:
      detail_ = response_relay_.reject().why;
      return fail(Reason::kServerBadResponse);
  }
}

// From here on the connection is the tunnel's, in both directions.
void Exchange::switch_protocols(const ResponseHead& head) {
  if (request_half_ != Half::kDone) {
    detail_ = "101 before the end of the request";
    return fail(Reason::kServerBadResponse);
  }
  status_ = head.status;
  HeadBuffer out(context_.head_scratch);
  write_response_head(out, head, {.via = pool_config().forwarded, .upgrade = upgrade_});
  if (out.overflowed()) {
    detail_ = "the answer head does not fit";
    return fail(Reason::kServerBadResponse);
  }
  connection_->input().consume(head.size);
  if (std::exchange(replayable_, false)) session_.input().consume(head_offset_ + head_size_);
  response_half_ = Half::kBody;
  judge(sched::Verdict::kSuccess);
  head_sent_ = true;
  give_up_at_ = kNever;  // Tunnels have their own end.
  open_tunnel(out.view());
}

void Exchange::response_done() {
  response_half_ = Half::kDone;
  judge_answer(status_);
  server_clean_ = connection_ != nullptr && server_keep_alive_ && request_half_ == Half::kDone &&
                  connection_->input().empty() && !response_relay_.has_excess();
  finish(reason_);
}

}  // namespace shunt::proxy
