// The life of a client connection once it has begun (session_begin.cpp): reading heads, handing
// them over, closing without losing the answer.
#include "proxy/session.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace shunt::proxy {
namespace {

using namespace std::chrono_literals;
constexpr Duration kLingerTime = 5s;
// An idle client has its answers; it is not worth a longer wait when the process wants to end.
constexpr Duration kDrainLingerTime = 1s;
constexpr int kDiscardsPerTurn = 16;

}  // namespace

Session::Session(Context& context, SessionOwner& owner, ListenerState& listener, io::Fd fd,
                 const SocketAddress& client, KeyCounts::Ticket source)
    : context_(context), owner_(owner), listener_(listener), stream_(fd), source_(source) {
  set_client(client);
  io::bind<&Session::on_receive>(receive_, *this);
  io::bind<&Session::on_ready>(ready_, *this);
  bind<&Session::on_timer>(timer_, *this);
}

Session::~Session() {
  SHUNT_ASSERT(exchange_ == nullptr);
  SHUNT_ASSERT(!timer_.armed());
}

void Session::set_client(const SocketAddress& client) {
  client_ = client;
  const std::string text = client_.is_ip() ? client_.ip().to_string() : "unknown";
  client_ip_size_ = static_cast<uint8_t>(std::min(text.size(), client_ip_.size()));
  std::copy_n(text.data(), client_ip_size_, client_ip_.data());
}

SocketAddress Session::destination() const {
  return told_destination_ ? *told_destination_ : context_.io.local_address(stream_.fd());
}

HeadLimits Session::head_limits() const {
  return {listener_.config.request_line_max, listener_.config.header_max,
          listener_.config.header_count_max};
}

bool Session::may_keep_alive() const {
  const uint32_t limit = listener_.config.keep_alive_requests;
  const bool is_http = listener_.config.protocol == config::Protocol::kHttp;
  return !context_.draining && !client_ended_ && listener_.index != config::kNone && is_http &&
         (limit == 0 || requests_ < limit);
}

void Session::set_deadline(Instant deadline) {
  context_.io.arm(timer_, deadline);
}

void Session::enter(Phase target) {
  const bool allowed = target == Phase::kTerminating || target == Phase::kLingering ||
                       (phase_ == Phase::kPreface && target != Phase::kPreface) ||
                       (phase_ == Phase::kHandshake && target == Phase::kReading) ||
                       (phase_ == Phase::kHandshake && target == Phase::kExchange) ||
                       (phase_ == Phase::kReading && target == Phase::kExchange) ||
                       (phase_ == Phase::kReading && target == Phase::kPreface) ||
                       (phase_ == Phase::kReading && target == Phase::kHandshake) ||
                       (phase_ == Phase::kExchange && target == Phase::kReading);
  SHUNT_ASSERT(allowed);
  SHUNT_ASSERT(phase_ != Phase::kTerminating);
  if (awaits_request()) IntrusiveList<Session, AwaitsRequest>::remove(*this);
  phase_ = target;
  if (awaits_request()) await_request();
}

void Session::await_request() {
  awaiting_since_ = context_.io.now();
  context_.awaiting.push_back(*this);
}

// --- Receiving ---

// The beginning of a head waits in the input: the rest goes behind it, without a second buffer.
void Session::read_more() {
  if (receive_.submitted || ready_.submitted) return;
  if (input_.empty()) {
    input_.release(context_.io, context_.blocks);
    stream_.recv(context_.io, receive_);
  } else {
    stream_.poll(context_.io, ready_, POLLIN | POLLRDHUP);
  }
}

void Session::watch_client() {
  SHUNT_ASSERT(phase_ == Phase::kExchange);
  if (receive_.submitted || client_ended_ || next_input_.holds_memory()) return;
  stream_.recv(context_.io, receive_);
}

void Session::watch_end() {
  SHUNT_ASSERT(phase_ == Phase::kExchange);
  watching_end_ = true;
  if (!receive_.submitted && !ready_.submitted) stream_.poll(context_.io, ready_, 0);
}

void Session::unwatch_end() {
  if (std::exchange(watching_end_, false) && ready_.submitted) context_.io.cancel(ready_);
}

void Session::on_receive(int32_t result) {
  if (result > 0 && phase_ != Phase::kReading && phase_ != Phase::kExchange)
    context_.io.release(receive_.buffer);
  switch (phase_) {
    case Phase::kPreface:
    case Phase::kHandshake:
      SHUNT_ASSERT(false);  // They poll.
      return;
    case Phase::kReading:
      if (result <= 0) return tcp_ ? on_hello_end(result) : terminate(false);
      input_.adopt(receive_.buffer);
      return process_input();
    case Phase::kExchange:
      if (result < 0) return exchange_->on_client_gone(Reason::kClientReset);
      // A client may end its direction and still wait for the answer (RFC 9112 §9.6): only a
      // reset, or an end of both directions, says that nobody does.
      if (result == 0) {
        client_ended_ = true;
        if (!ready_.submitted) stream_.poll(context_.io, ready_, 0);
      }
      if (result > 0) {
        next_input_.adopt(receive_.buffer);
        if (watching_end_) watch_end();  // The receive has been doing it so far.
      }
      return;
    case Phase::kLingering:
      return result > 0 ? discard() : terminate(false);
    case Phase::kTerminating:
      return join();
  }
}

void Session::on_ready(int32_t result) {
  if (phase_ == Phase::kTerminating) return join();
  if (phase_ == Phase::kPreface) return read_preface();
  if (phase_ == Phase::kLingering) return discard();
  if (phase_ == Phase::kHandshake) return on_handshake(result);
  if (phase_ == Phase::kExchange) {
    // Armed by an end of the client's direction, by watch_end(), or for the rest of a head that was
    // refused.
    if (result > 0 && (result & (POLLERR | POLLHUP)) != 0)
      return exchange_->on_client_gone(Reason::kClientReset);
    if (result < 0 && watching_end_) watch_end();  // An earlier poll was cancelled.
    return;
  }
  if (tcp_ && !listener_.wants_name) return begin_connection({});
  const std::span<char> room = input_.room(context_.io, context_.blocks);
  const int64_t received = stream_.recv_now(context_.io, room);
  if (received == -EAGAIN) return read_more();
  if (received <= 0) return terminate(false);
  input_.filled(static_cast<size_t>(received));
  process_input();
}

// --- Requests ---

void Session::process_input() {
  SHUNT_ASSERT(!processing_);
  processing_ = true;
  while (phase_ == Phase::kReading && (tcp_ ? process_hello() : process_head())) {
  }
  processing_ = false;
  if (phase_ == Phase::kTerminating) join();
}

// One head, if it is complete. False if more bytes are needed first.
bool Session::process_head() {
  if (input_.empty()) {
    if (client_ended_ || context_.draining || listener_.index == config::kNone) {
      linger(kLingerTime);
    } else {
      read_more();
    }
    return false;
  }
  if (!head_begun_) limits_ = head_limits();
  switch (scanner_.scan(input_.view(), limits_)) {
    case Scan::kIncomplete:
      if (!head_begun_) set_deadline(context_.io.now() + listener_.config.header_timeout);
      head_begun_ = true;
      read_more();
      return false;
    case Scan::kReject:
      refuse(Reason::kBadRequest, scanner_.reject());
      return true;
    case Scan::kComplete:
      break;
  }
  const uint32_t offset = scanner_.skipped();
  RequestHead& head = context_.request_head;
  const auto rejected =
      parse_request(input_.view().substr(offset, scanner_.head_size()), limits_, head);
  if (rejected) {
    refuse(Reason::kBadRequest, *rejected);
    return true;
  }
  ++requests_;
  enter(Phase::kExchange);
  exchange_ = owner_.make_exchange(*this);
  exchange_->begin(head, offset);
  return true;
}

void Session::refuse(Reason reason, Reject reject) {
  // A client that wants TLS or no HTTP understands no page in clear.
  if (tcp_ || (listener_.tls != nullptr && !stream_.is_tls()))
    return lose(reason, reject.why, Afterwards::kClose);
  enter(Phase::kExchange);
  exchange_ = owner_.make_exchange(*this);
  exchange_->begin_refused(reason, reject);
}

// There is nobody to answer, but the log tells.
void Session::lose(Reason reason, const char* why, Afterwards afterwards) {
  enter(Phase::kExchange);
  exchange_ = owner_.make_exchange(*this);
  exchange_->begin_lost(reason, why, afterwards);
}

void Session::on_exchange_end(Exchange& exchange, size_t used, Afterwards afterwards) {
  SHUNT_ASSERT(exchange_ == &exchange);
  exchange_ = nullptr;
  owner_.free_exchange(exchange);
  input_.consume(used);
  switch (afterwards) {
    case Afterwards::kClose:
      return linger(kLingerTime);
    case Afterwards::kReset:
      return terminate(true);
    case Afterwards::kKeepAlive:
      break;
  }
  if (input_.empty()) {
    input_.release(context_.io, context_.blocks);
    input_.take_over(next_input_);
  }
  SHUNT_ASSERT(!next_input_.holds_memory());
  scanner_ = HeadScanner(true);
  head_begun_ = false;
  enter(Phase::kReading);
  set_deadline(context_.io.now() + listener_.config.keep_alive_timeout);
  if (!processing_) process_input();
}

// --- Closing ---

// Answers may still be on their way, and the client may be sending: closing with bytes of its
// unread would reset the connection and take the answers with it (RFC 9112 §9.6). So the end of our
// direction goes first, and what comes is read away until the client ends its own.
void Session::linger(Duration longest) {
  if (client_ended_) return terminate(false);
  enter(Phase::kLingering);
  input_.release(context_.io, context_.blocks);
  next_input_.release(context_.io, context_.blocks);
  stream_.shutdown_write(context_.io);
  set_deadline(context_.io.now() + longest);
  discard();
}

void Session::discard() {
  if (receive_.submitted || ready_.submitted) return;
  const std::span<char> scratch = context_.body_scratch;
  for (int i = 0; i < kDiscardsPerTurn; ++i) {
    const int64_t received = stream_.recv_now(context_.io, scratch);
    if (received == -EAGAIN) break;
    if (received <= 0) return terminate(false);
  }
  stream_.poll(context_.io, ready_, POLLIN | POLLRDHUP);
}

void Session::on_timer() {
  switch (phase_) {
    case Phase::kPreface:
      return refuse(Reason::kRequestHeaderTimeout,
                    {408, "the PROXY header did not arrive in time"});
    case Phase::kHandshake:
      if (!stream_.tls()->has_heard()) return terminate(false);
      return lose(Reason::kTlsHandshake, "the handshake did not end in time", Afterwards::kReset);
    case Phase::kReading:
      if (tcp_) return on_hello_timeout();
      if (input_.empty()) return end_idle();
      return refuse(Reason::kRequestHeaderTimeout,
                    {408, "the request head did not arrive in time"});
    case Phase::kExchange:
      return exchange_->on_deadline();
    case Phase::kLingering:
      return terminate(false);
    case Phase::kTerminating:
      return;
  }
}

// Ordinary enough to be logged only if that is wanted.
void Session::end_idle() {
  context_.metrics.client_idle.add();
  const config::Global& global = context_.generation->snapshot->config.global;
  if (!global.access_log_idle || !context_.log.enabled()) return terminate(false);
  lose(Reason::kKeepAliveTimeout, requests_ == 0 ? "no request came" : "no further request came",
       Afterwards::kClose);
}

void Session::drain() {
  if ((phase_ != Phase::kReading && phase_ != Phase::kPreface) || !input_.empty()) return;
  linger(kDrainLingerTime);
}

// Whatever of a request is here has been coming for too long to be worth an answer.
void Session::evict() {
  SHUNT_ASSERT(awaits_request());
  context_.metrics.client_evicted.add();
  terminate(false);
}

void Session::stop() {
  if (phase_ == Phase::kTerminating) return;
  if (exchange_ != nullptr) return exchange_->abort(Reason::kShutdown);
  terminate(false);
}

void Session::terminate(bool reset) {
  enter(Phase::kTerminating);
  reset_ = reset;
  if (timer_.armed()) context_.io.cancel(timer_);
  if (receive_.submitted) context_.io.cancel(receive_);
  if (ready_.submitted) context_.io.cancel(ready_);
  join();
}

void Session::join() {
  SHUNT_ASSERT(exchange_ == nullptr);
  if (processing_ || receive_.submitted || ready_.submitted) return;
  input_.release(context_.io, context_.blocks);
  next_input_.release(context_.io, context_.blocks);
  if (reset_) {
    stream_.close_reset(context_.io);
  } else {
    stream_.close(context_.io);
  }
  owner_.on_session_closed(*this);
}

}  // namespace shunt::proxy
