// The first part of an exchange: what is asked for, which rule takes it, and the answers that need
// no server.
#include <algorithm>

#include "core/wall_clock.h"
#include "proxy/action_values.h"
#include "proxy/error_page.h"
#include "proxy/exchange.h"
#include "proxy/flow_of.h"
#include "proxy/hop_headers.h"
#include "proxy/refused_head.h"
#include "proxy/session.h"
#include "rules/path.h"
#include "rules/text.h"

namespace shunt::proxy {
namespace {

// What those are told for whom no server had room in time, in seconds.
constexpr uint32_t kRetryAfter = 1;

}  // namespace

void Exchange::begin(const RequestHead& head, uint32_t offset) {
  context_.metrics.requests.add();
  remember(head, offset);
  route(head);
}

void Exchange::begin_refused(Reason reason, Reject reject) {
  begun_ = context_.io.now();
  if (context_.log.enabled()) {
    wall_time_ms_ = wall_clock_ms();
    const RefusedHead head = read_refused(session_.input().view());
    method_text_ = head.method;
    target_ = head.target;
    host_ = head.host;
    version_text_ = head.version;
  }
  detail_ = reject.why;
  bytes_in_ = session_.input().size();
  respond_with_error(reject.status, reason, reject.why);
}

void Exchange::begin_lost(Reason reason, const char* why, Afterwards afterwards) {
  begun_ = context_.io.now();
  if (context_.log.enabled()) wall_time_ms_ = wall_clock_ms();
  detail_ = why;
  afterwards_ = afterwards;
  finish(reason);
}

// Keeps what is needed beyond this callback; the parsed head is scratch of the worker.
void Exchange::remember(const RequestHead& head, uint32_t offset) {
  begun_ = context_.io.now();
  limit_whole(session_.listener().config.request_timeout);
  method_ = head.method;
  version_ = head.version;
  request_framing_ = head.framing;
  request_length_ = head.framing == Framing::kLength ? head.content_length : 0;
  keep_alive_ = head.keep_alive;
  head_offset_ = offset;
  head_bytes_ = session_.input().view().substr(offset, head.size);
  head_size_ = head.size;
  bytes_in_ = offset + head.size;
  replayable_ = request_is_in_input();
  take_request_id(head);
  if (!context_.log.enabled()) return;
  wall_time_ms_ = wall_clock_ms();
  method_text_ = head.method_text;
  target_ = head.target;
  host_ = head.host;
  version_text_ = version_ == Version::kHttp11 ? "HTTP/1.1" : "HTTP/1.0";
  for (const Field& field : head.fields()) {
    if (rules::equals_lower(field.name, "referer")) referer_ = field.value;
    if (rules::equals_lower(field.name, "user-agent")) user_agent_ = field.value;
  }
}

// One that is no name, or several of them, would be of no use in a log.
void Exchange::take_request_id(const RequestHead& head) {
  const std::string& wanted = session_.listener().config.request_id_header;
  if (wanted.empty()) return;
  uint32_t found = 0;
  for (const Field& field : head.fields()) {
    if (!rules::equals_lower(field.name, wanted)) continue;
    ++found;
    told_id_ = is_request_id(field.value) ? field.value : std::string_view();
  }
  if (found > 1) told_id_ = {};
}

bool Exchange::request_is_in_input() const {
  if (request_framing_ == Framing::kNone) return true;
  if (request_framing_ != Framing::kLength) return false;
  return session_.input().size() - head_offset_ - head_size_ >= request_length_;
}

// A head that is parsed again was within its listener's limits; a reload may have lowered them
// since.
void Exchange::parse_again(RequestHead& head) const {
  constexpr HeadLimits kAcceptedBefore{kBlockSize, kBlockSize, kFieldsMax};
  const auto rejected = parse_request(head_bytes_, kAcceptedBefore, head);
  SHUNT_ASSERT(!rejected);
}

void Exchange::view_request(const RequestHead& head, rules::RequestView& view) {
  view.method = head.method_text;
  view.scheme = session_.scheme();
  if (session_.stream().is_tls())
    view.sni = rules::to_lower(session_.stream().tls()->sni(), context_.sni_scratch);
  view.host = head.host;
  view.path = rules::normalise_path(head.path, context_.path_scratch);
  view.query = head.query;
  view.headers = head.fields();
  view.source = session_.client().ip();
  view.source_port = session_.client().port();
  view.listener = session_.listener().index;
}

void Exchange::route(const RequestHead& head) {
  const Snapshot& snapshot = *generation_.snapshot;
  rules::RequestView view;
  view_request(head, view);
  if (!within_listener_rate(view)) return;
  const uint32_t matched = snapshot.rules->match(view, context_.rule_scratch);
  if (!path_is_clear(head, view, matched)) return;
  if (matched == rules::kNoRule) return fail(Reason::kNoRule);
  rule_ = &snapshot.config.rules[matched];
  if (!within_rule_rate(matched, view)) return;
  if (rule_->request_timeout) limit_whole(*rule_->request_timeout);
  actions_ = snapshot.actions[matched].get();
  if (rule_->local()) return respond(head);
  constexpr auto kDestination = config::LocalityKey::Kind::kDestination;
  if (rule_->split_key.kind == kDestination) view.destination = session_.destination().ip();
  use_pool(choose_pool(view));
  upgrade_ = upgrade_wanted(head, pool_config().upgrade);
  if (!rewrite_request(head)) return;
  if (rule_->mirror != config::kNone) mirror_request(head, view);
  if (pool_->key.kind == kDestination && pool_->key_needed)
    view.destination = session_.destination().ip();
  flow_ = flow_of(*pool_, view, context_.io.now());
  if (pool_config().sticky.mode != config::Sticky::Mode::kOff) find_affinity(view);
  try_server(&head);
}

// `split_key` decides which of several; a request without one goes by its client's address.
const Pool& Exchange::choose_pool(const rules::RequestView& view) const {
  const std::vector<Pool>& pools = generation_.snapshot->pools;
  if (rule_->split.empty()) return pools[rule_->pool];
  return pools[actions_->split.choose(rules::split_hash(rule_->split_key, view))];
}

void Exchange::respond(const RequestHead& head) {
  const config::Rule& rule = *rule_;
  LocalResponse response;
  ActionValues values;
  if (rule.redirect) {
    response.status = rule.redirect->status;
    response.location = rule.redirect->to;
  } else {
    response.status = rule.respond->status;
    response.content_type = rule.respond->content_type;
    response.body = rule.respond->body;
  }
  if (actions_ != nullptr) {
    fill(values, &head, nullptr, nullptr);
    if (!write_own_answer(response, values)) return fail(Reason::kAnswerTooLarge);
  }
  respond_local(response, Reason::kLocal);
}

void Exchange::respond_with_error(uint16_t status, Reason reason, std::string_view text) {
  const ErrorPage page(status, reason, text);
  LocalResponse response;
  response.status = status;
  response.body = page.view();
  const bool busy = reason == Reason::kQueueFull || reason == Reason::kQueueTimeout ||
                    reason == Reason::kQueueShed;
  response.retry_after_s = busy ? kRetryAfter : retry_after_;
  respond_local(response, reason);
}

// The connection goes on only if the request has been read to its end: what is left of it would be
// taken for the next one.
void Exchange::respond_local(LocalResponse response, Reason reason) {
  give_up_server();
  enter(Phase::kForwarding);
  const bool request_read = replayable_ || request_half_ == Half::kDone;
  keep_alive_ = keep_alive_ && request_read && session_.may_keep_alive();
  afterwards_ = keep_alive_ ? Afterwards::kKeepAlive : Afterwards::kClose;
  if (replayable_) bytes_in_ += request_length_;
  give_up_at_ = kNever;  // It has had its effect, or the end is near anyway.
  reason_ = reason;
  response.date = context_.date.at(wall_clock_ms() / 1000);
  response.keep_alive = keep_alive_;
  response.head_only = method_ == Method::kHead;
  response.client_version = version_;
  HeadBuffer out(context_.head_scratch);
  write_local_response(out, response);
  if (out.overflowed()) {
    // Our own words always fit; what the rule adds to them may not.
    SHUNT_ASSERT(response.fields.edits != nullptr);
    reason_ = Reason::kAnswerTooLarge;
    const ErrorPage page(info(reason_).status, reason_, info(reason_).text);
    response.status = info(reason_).status;
    response.body = page.view();
    response.content_type = LocalResponse{}.content_type;
    response.location = {};
    response.fields = {};
    out = HeadBuffer(context_.head_scratch);
    write_local_response(out, response);
  }
  SHUNT_ASSERT(!out.overflowed());
  status_ = response.status;
  head_sent_ = true;
  response_half_ = Half::kBody;
  BodyRelay::Plan plan;
  plan.sink = &session_.stream();
  plan.input = &session_.input();
  if (response_relay_.start(plan, out.view())) return on_response_relay_end();
  set_relay_deadline();
}

}  // namespace shunt::proxy
