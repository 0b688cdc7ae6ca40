// The servers of an exchange one after the other: waiting for one with room, what becomes of the
// request when one fails, and what the set of servers learns from it.
#include <algorithm>

#include "core/log.h"
#include "proxy/exchange.h"
#include "proxy/session.h"

namespace shunt::proxy {
namespace {

// Answers of up to this are held back until they are complete, where truncated ones are tried
// again.
constexpr size_t kHeldBackMax = 64 * 1024;
static_assert(kHeldBackMax < kBlockSize);

}  // namespace

bool Exchange::attempts_left() const {
  const uint32_t most = std::min(retries() + 1, kAttemptsMax);
  return attempts_ < most + (fresh_only_ ? 1 : 0);
}

// --- Waiting ---

sched::Server* Exchange::find_server() {
  flow_.excluded = {excluded_.data(), excluded_count_};
  flow_.now = context_.io.now();
  if (sticky_server_ != 0) {
    if (sched::Server* server = claim_server()) return server;
  }
  return pool_->servers->schedule(flow_, sched::Counted::kActive);
}

// Calls may end the exchange.
void Exchange::wait_for_server() {
  enter(Phase::kWaiting);
  const config::Queue& queue = pool_config().queue;
  priority = static_cast<uint8_t>(rule_->priority);
  picky = excluded_count_ > 0;
  context_.metrics.queued_now.add();
  if (!local_->enqueue(*this, queue)) return fail(Reason::kQueueFull);
  context_.metrics.queued.add();
  set_deadline(queue.timeout, Reason::kQueueTimeout);
  const bool whole_input = session_.input().size() == head_offset_ + head_size_ + request_length_;
  if (replayable_ && whole_input && upgrade_.empty() && !tcp_) {
    session_.watch_client();
  } else {
    session_.watch_end();
  }
  local_->pump();
}

void Exchange::leave_queue() {
  if (phase_ != Phase::kWaiting) return;
  if (linked()) local_->dequeue(*this);
  session_.unwatch_end();
  if (assigned_ == kNever) assigned_ = context_.io.now();  // The log tells how long it waited.
  context_.metrics.queued_now.subtract();
}

void Exchange::on_turn(sched::Server& server) {
  leave_queue();
  enter(Phase::kRouting);
  server_ = &server;
  if (!attempt(nullptr)) try_server(nullptr);
}

void Exchange::on_shed(sched::Server& server) {
  leave_queue();
  enter(Phase::kRouting);
  server_ = &server;
  judged_ = false;
  fail(Reason::kQueueShed);
}

// --- Failures ---

Attempt Exchange::describe_attempt() const {
  return {.sent = request_sent_,
          .idempotent = is_idempotent(method_),
          .replayable = replayable_,
          .answer_begun = first_byte_ != kNever,
          .passed_on = head_sent_ || interim_,
          .kept = reused_,
          .fresh_tried = fresh_only_};
}

// A retry after a failed connect is the first time that a server gets the request: it adds no load,
// and so costs no budget.
bool Exchange::within_budget() {
  if (retried_ || phase_ == Phase::kConnecting) return true;
  retried_ = local_->begin_retry(pool_config().retry_budget);
  if (!retried_) context_.metrics.retries_denied.add();
  return retried_;
}

// The server tried last has not answered: another connection or server, if the request can be sent
// again safely.
void Exchange::server_failed(Reason reason) {
  last_failure_ = reason;
  const Retry retry = decide_retry(describe_attempt(), reason, pool_config().retry_on);
  if (hedge_.sent && may_repeat(describe_attempt())) {
    if (is_server_failure(reason)) judge(sched::Verdict::kFailure, info(reason).name);
    return adopt_hedge();
  }
  end_hedge(sched::Verdict::kNone);
  drop_connection();
  if (retry == Retry::kFreshConnection) {
    give_up_server();
    fresh_only_ = true;
  } else {
    if (is_server_failure(reason)) judge(sched::Verdict::kFailure, info(reason).name);
    if (retry == Retry::kNo || !attempts_left() || !within_budget()) return fail(reason);
    exclude_server();
  }
  start_over();
  try_server(nullptr);
}

// An answer with a status to be tried again after goes to nobody, if there is another server to
// try.
bool Exchange::discard_answer(const ResponseHead& head) {
  if (!pool_config().retry_on.has(head.status) || !attempts_left()) return false;
  if (!may_repeat(describe_attempt()) || excluded_count_ == kAttemptsMax) return false;
  excluded_[excluded_count_++] = server_->id;
  sched::Server* other = find_server();
  const bool allowed = other != nullptr && within_budget();
  if (!allowed) {
    --excluded_count_;
    if (other != nullptr) pool_->servers->unbind(*other, sched::Counted::kActive);
    return false;
  }
  judge_answer(head.status);
  const bool has_end = head.framing == Framing::kNone || head.framing == Framing::kLength;
  const size_t size = head.size + (head.framing == Framing::kLength ? head.content_length : 0);
  const bool whole = has_end && connection_->input().size() == size;
  if (whole && head.keep_alive && request_half_ == Half::kDone) {
    connection_->input().consume(size);
    context_.upstreams->park(*std::exchange(connection_, nullptr), idle_limits(pool_config()));
  } else {
    drop_connection();
  }
  give_up_server();
  start_over();
  server_ = other;
  if (!attempt(nullptr)) try_server(nullptr);
  return true;
}

// Whether the head waits for the rest of its answer: as long as the client has nothing, one that is
// cut short can be tried again.
bool Exchange::hold_back(const ResponseHead& head) const {
  if (!pool_config().retry_on.truncated || head.framing != Framing::kLength) return false;
  if (!may_repeat(describe_attempt())) return false;
  if (head.content_length > kHeldBackMax || head.size + head.content_length > kHeldBackMax)
    return false;
  return connection_->input().size() < head.size + head.content_length;
}

// As if nothing had been sent.
void Exchange::start_over() {
  if (request_half_ == Half::kDone) bytes_in_ -= request_length_;
  request_half_ = Half::kOpen;
  request_sent_ = false;
  first_byte_ = kNever;
  response_scanner_ = HeadScanner(false);
  enter(Phase::kRouting);
}

// --- The server that is bound ---

void Exchange::judge(sched::Verdict verdict, std::string_view why) {
  if (server_ == nullptr || std::exchange(judged_, true)) return;
  judge(*server_, verdict, why);
}

void Exchange::judge(sched::Server& server, sched::Verdict verdict, std::string_view why) {
  const sched::Judged judged = pool_->servers->judge(server, verdict, context_.io.now());
  const std::string_view pool = pool_config().name;
  if (judged.tripped != nullptr) {
    context_.metrics.breaks.add();
    log::warning("pool {}: server {} is left out: its breaker's limit of {} is reached", pool,
                 server.spec.name, judged.tripped);
  }
  if (judged.closed) log::info("pool {}: server {} is back", pool, server.spec.name);
  if (!judged.opened) return;
  context_.metrics.ejections.add();
  log::warning("pool {}: server {} is left out for {} ms after {} failures, the last: {}", pool,
               server.spec.name, to_ms(judged.out), judged.failures, why);
}

void Exchange::judge_answer(uint16_t status) {
  if (!is_gateway_error(status)) return judge(sched::Verdict::kSuccess);
  judge(sched::Verdict::kFailure, reason_phrase(status));
}

void Exchange::exclude_server() {
  if (excluded_count_ < kAttemptsMax) excluded_[excluded_count_++] = server_->id;
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

void Exchange::end_pending() {
  if (std::exchange(pending_, false)) server_->pending.fetch_sub(1, std::memory_order_relaxed);
}

void Exchange::give_up_server() {
  if (server_ == nullptr) return;
  judge(sched::Verdict::kNone);
  end_pending();
  if (std::exchange(counts_as_retry_, false))
    server_->retries.fetch_sub(1, std::memory_order_relaxed);
  pool_->servers->unbind(*std::exchange(server_, nullptr), sched::Counted::kActive);
}

}  // namespace shunt::proxy
