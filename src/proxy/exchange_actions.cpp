// What the rule does to the messages of an exchange: the target and Host rewritten, fields edited,
// answers with variables. Templates are written anew for each attempt, since they may name the
// server.
#include "proxy/action_values.h"
#include "proxy/exchange.h"
#include "proxy/flow_of.h"
#include "proxy/mirror.h"
#include "proxy/request_target.h"
#include "proxy/session.h"
#include "rules/rewrite.h"

namespace shunt::proxy {
namespace {

struct TextSink {
  std::string& text;
  void append(std::string_view piece) { text += piece; }
};

}  // namespace

// `head` must stay as it is while `out` is in use; null: nothing of the request will be asked for.
void Exchange::fill(ActionValues& out, const RequestHead* head, const Pool* pool,
                    const sched::Server* server) {
  if (head != nullptr) view_request(*head, out.view);
  rules::Values& values = out.values;
  values.request = &out.view;
  values.client_ip = session_.client_ip();
  values.listener = session_.listener().config.name;
  values.rule = rule_->name;
  values.request_id = name_request(out.request_id);
  if (pool != nullptr) values.pool = pool->config->name;
  if (server != nullptr) {
    values.server_name = server->spec.name;
    out.server_address = server->spec.address.to_string();
    values.server_address = out.server_address;
  }
  if (const io::TlsStream* tls = session_.stream().tls()) {
    values.tls_version = tls->version();
    values.tls_sni = tls->sni();
    values.tls_subject = tls->peer_subject(out.tls_subject);
  }
  if (head == nullptr || !actions_->uses_captures) return;
  actions_->capture(out.view.path, out.captures);
  values.captures = out.captures;
}

// Leaves target and Host in the context's scratch, empty where they stay as they came. On false the
// exchange has ended.
bool Exchange::rewrite_request(const RequestHead& head) {
  context_.target_scratch.clear();
  context_.host_scratch.clear();
  if (actions_ == nullptr || (!actions_->rewrites_target() && !actions_->host)) return true;
  ActionValues values;
  fill(values, &head, pool_, nullptr);
  switch (rules::rewrite_target(*actions_, head.path, head.query.data() != nullptr, values.values,
                                context_.target_scratch)) {
    case rules::Rewritten::kUnchanged:
    case rules::Rewritten::kChanged:
      break;
    case rules::Rewritten::kInvalid:
      fail(Reason::kRewriteInvalid);
      return false;
    case rules::Rewritten::kTooLong:
      fail(Reason::kRewriteTooLarge);
      return false;
  }
  if (!actions_->host) return true;
  TextSink sink{context_.host_scratch};
  actions_->host->write(values.values, sink);
  if (parse_authority(context_.host_scratch)) return true;
  fail(Reason::kRewriteInvalid);
  return false;
}

// `how` refers to `values` then, and to the context's scratch.
void Exchange::edit_request(RequestForwarding& how, ActionValues& values, const RequestHead& head,
                            const Pool& pool, const sched::Server& server) {
  how.target = context_.target_scratch;
  if (!context_.host_scratch.empty()) {
    how.host_header = config::HostHeader::kFixed;
    how.host = context_.host_scratch;
  }
  if (actions_->request_headers.empty()) return;
  fill(values, &head, &pool, &server);
  how.fields = {&actions_->request_headers, &values.values};
}

// Sends a copy to the rule's other pool, before the request goes its own way: by then its head is
// still parsed, and its body still here.
void Exchange::mirror_request(const RequestHead& head, rules::RequestView& view) {
  if (static_cast<double>(id_[1] >> 11) * 0x1p-53 >= rule_->mirror_share) return;
  if (!replayable_) return context_.metrics.mirrors_skipped.add();
  const Pool& pool = generation_.snapshot->pools[rule_->mirror];
  if (pool.key.kind == config::LocalityKey::Kind::kDestination && pool.key_needed)
    view.destination = session_.destination().ip();
  const MirrorSource source{method_, session_.client(), session_.destination()};
  Mirror* mirror = context_.mirrors->begin(pool, flow_of(pool, view, context_.io.now()), source);
  if (mirror == nullptr) return context_.metrics.mirrors_skipped.add();
  HeadBuffer out(mirror->memory());
  write_head(out, head, pool, mirror->server());
  out.append(session_.input().view().substr(head_offset_ + head_size_, request_length_));
  if (out.overflowed()) {
    context_.mirrors->drop(*mirror);
    return context_.metrics.mirrors_skipped.add();
  }
  context_.mirrors->send(*mirror, out.size());
}

// The request's head is in the session's memory still, but nobody keeps it parsed.
void Exchange::edit_response(HeadEdits& edits, ActionValues& values) {
  if (actions_->response_headers.empty()) return;
  const bool needed = actions_->response_headers.uses_request();
  if (needed) parse_again(context_.request_head);
  fill(values, needed ? &context_.request_head : nullptr, pool_, server_);
  edits = {&actions_->response_headers, &values.values};
}

// Where heads on their way out are written: all there is, unless they may grow as a rule says.
std::span<char> Exchange::head_memory() const {
  const std::span<char> all = context_.head_scratch;
  return actions_ != nullptr ? all.first(kHeadOutMax) : all;
}

// The text of a redirect or respond, in the context's scratch; false: it is too long.
bool Exchange::write_own_answer(LocalResponse& response, ActionValues& values) {
  // Percent-encoding may make a location three times as long.
  constexpr size_t kLocationMax = 16 * 1024;
  const size_t most = actions_->redirect_to ? kLocationMax : config::kRespondBodyMax;
  HeadBuffer text(std::span(context_.body_scratch).first(most));
  if (actions_->redirect_to) {
    actions_->redirect_to->write(values.values, text);
    response.location = text.view();
  } else {
    actions_->respond_body->write(values.values, text);
    response.body = text.view();
  }
  if (!actions_->response_headers.empty())
    response.fields = {&actions_->response_headers, &values.values};
  return !text.overflowed();
}

}  // namespace shunt::proxy
