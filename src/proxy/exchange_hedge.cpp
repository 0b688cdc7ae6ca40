// Hedging: a request that takes longer than most is sent a second time, to another server; the
// first answer wins and the other request is given up. Only what does no harm twice and has no
// body, and only within the retry budget, so that a slow farm does not get twice the work.
#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/session.h"

namespace shunt::proxy {
namespace {

// So many latencies have to be known before one is called long.
constexpr uint32_t kSamplesLeast = 100;

}  // namespace

std::string_view Hedge::preamble(std::span<char> room) {
  return exchange.preamble(room);
}

void Hedge::on_connected(int32_t result) {
  exchange.on_hedge_connected(result);
}

void Hedge::on_response_bytes() {
  exchange.on_hedge_answer();
}

void Hedge::on_response_end(int32_t) {
  exchange.on_hedge_failed(Reason::kServerClosed);
}

// For the first attempt: the timer runs from when the server was chosen.
void Exchange::arm_hedge() {
  const config::Hedge& hedge = pool_config().hedge;
  if (hedge.percentile <= 0 || attempts_ != 1) return;
  if (tcp_ || !upgrade_.empty()) return;
  if (!is_idempotent(method_) || request_framing_ != Framing::kNone) return;
  if (sticky_server_ != 0) return;  // The session is with the first server.
  if (local_->latency().count() < kSamplesLeast) return;
  const Duration usual = local_->latency().quantile(hedge.percentile / 100);
  context_.io.arm(hedge_timer_, assigned_ + std::max(usual, hedge.delay_min));
}

void Exchange::on_hedge_due() {
  const bool unanswered = phase_ == Phase::kConnecting || phase_ == Phase::kForwarding;
  if (!unanswered || first_byte_ != kNever || hedge_.server != nullptr) return;
  if (!may_repeat(describe_attempt()) || excluded_count_ == kAttemptsMax) return;
  excluded_[excluded_count_++] = server_->id;
  sched::Server* other = find_server();
  --excluded_count_;
  if (other == nullptr) return;
  hedge_.server = other;
  retried_ = retried_ || local_->begin_retry(pool_config().retry_budget);
  if (!retried_) {
    context_.metrics.retries_denied.add();
    return end_hedge(sched::Verdict::kNone);
  }
  context_.metrics.hedges.add();
  hedge_.connection = take_kept(*other, hedge_, false);
  hedge_.kept = hedge_.connection != nullptr;
  if (hedge_.kept) return send_hedge();
  Reason failure = Reason::kDone;
  hedge_.connection = connect(*other, hedge_, failure);
  if (hedge_.connection == nullptr) on_hedge_failed(failure);
}

void Exchange::on_hedge_connected(int32_t result) {
  if (result < 0) {
    hedge_.connection = nullptr;
    return on_hedge_failed(reason_of_connect(result));
  }
  send_hedge();
}

// All at once or not at all: it has no body, and a socket that is new or idle has room for a head.
void Exchange::send_hedge() {
  hedge_.connected = context_.io.now();
  std::swap(server_, hedge_.server);  // Rules may name the server in the request.
  const std::string_view text = write_request(nullptr);
  std::swap(server_, hedge_.server);
  const iovec part{const_cast<char*>(text.data()), text.size()};
  const int64_t sent = hedge_.connection->stream().send_now(context_.io, {&part, 1});
  if (sent != static_cast<int64_t>(text.size())) return on_hedge_failed(Reason::kServerReset);
  hedge_.sent = true;
}

// The other request goes on alone.
void Exchange::on_hedge_failed(Reason reason) {
  if (hedge_.kept || !is_server_failure(reason)) return end_hedge(sched::Verdict::kNone);
  end_hedge(sched::Verdict::kFailure, info(reason).name);
}

void Exchange::end_hedge(sched::Verdict verdict, std::string_view why) {
  if (hedge_timer_.armed()) context_.io.cancel(hedge_timer_);
  if (hedge_.connection != nullptr)
    context_.upstreams->close(*std::exchange(hedge_.connection, nullptr));
  if (hedge_.server == nullptr) return;
  judge(*hedge_.server, verdict, why);
  pool_->servers->unbind(*std::exchange(hedge_.server, nullptr), sched::Counted::kActive);
  hedge_.sent = false;
}

// The first request is over; the second takes its place.
void Exchange::adopt_hedge() {
  SHUNT_ASSERT(hedge_.sent);
  drop_connection();
  give_up_server();
  if (hedge_timer_.armed()) context_.io.cancel(hedge_timer_);
  server_ = std::exchange(hedge_.server, nullptr);
  connection_ = std::exchange(hedge_.connection, nullptr);
  hedge_.sent = false;
  connection_->lend(*this);
  judged_ = false;
  reused_ = hedge_.kept;
  ++attempts_;
  note_server();
  connected_ = hedge_.connected;
  first_byte_ = kNever;
  request_sent_ = true;
  response_scanner_ = HeadScanner(false);
  if (phase_ == Phase::kConnecting) enter(Phase::kForwarding);
  request_half_ = Half::kOpen;
  request_done();
}

void Exchange::on_hedge_answer() {
  // A first request that is stuck half way out cannot be taken back.
  if (!replayable_) return end_hedge(sched::Verdict::kNone);
  adopt_hedge();
  context_.metrics.hedges_won.add();
  on_response_bytes();
}

}  // namespace shunt::proxy
