// Bytes both ways, unread: a request whose server has agreed to another protocol, and connections
// of listeners with protocol = "tcp", which are nothing else. Choosing a server, trying the next
// one and ending are those of any exchange.
#include "core/wall_clock.h"
#include "proxy/exchange.h"
#include "proxy/flow_of.h"
#include "proxy/session.h"

namespace shunt::proxy {

void Exchange::begin_connection(std::string_view name) {
  tcp_ = true;
  tcp_name_ = name;
  begun_ = context_.io.now();
  if (context_.log.enabled()) wall_time_ms_ = wall_clock_ms();
  route_connection();
}

void Exchange::route_connection() {
  const Snapshot& snapshot = *generation_.snapshot;
  rules::RequestView view;
  view.sni = tcp_name_;
  view.source = session_.client().ip();
  view.source_port = session_.client().port();
  view.listener = session_.listener().index;
  const uint32_t matched = snapshot.rules->match(view, context_.rule_scratch);
  // After a reload, the listener may be one that answers requests.
  if (matched == rules::kNoRule || snapshot.config.rules[matched].local())
    return abort(Reason::kNoRule);
  rule_ = &snapshot.config.rules[matched];
  actions_ = snapshot.actions[matched].get();
  view.host = view.sni;  // For keys: what is asked for.
  view.destination = session_.destination().ip();
  use_pool(choose_pool(view));
  flow_ = flow_of_connection(*pool_, view, context_.io.now());
  if (pool_config().sticky.mode != config::Sticky::Mode::kOff) find_affinity(view);
  try_server(nullptr);
}

std::string_view Exchange::requested_name() const {
  if (tcp_) return tcp_name_;
  return session_.stream().is_tls() ? session_.stream().tls()->sni() : std::string_view();
}

// From here on both connections are the tunnel's. `head` goes to the client first.
void Exchange::open_tunnel(std::string_view head) {
  if (tcp_) {
    enter(Phase::kForwarding);
    judge(sched::Verdict::kSuccess);  // Whatever it says, it is there.
  }
  context_.metrics.tunnels.add();
  context_.metrics.tunnels_active.add();
  tunnel_ =
      std::make_unique<Tunnel>(context_, *this, Tunnel::Side{session_.stream(), session_.input()},
                               Tunnel::Side{connection_->stream(), connection_->input()});
  if (tunnel_->start(head)) return on_tunnel_end();
  on_tunnel_progress();
}

// Of an upgraded connection it is that of the answer.
void Exchange::note_first_byte() {
  if (first_byte_ == kNever && tunnel_->bytes_to_client() > 0) first_byte_ = context_.io.now();
}

void Exchange::on_tunnel_progress() {
  note_first_byte();
  set_deadline(tunnel_timeout(), Reason::kTunnelTimeout);
}

void Exchange::on_tunnel_end() {
  note_first_byte();
  if (tunnel_->reason() == Reason::kDone) return finish(Reason::kDone);
  abort(tunnel_->reason());
}

void Exchange::on_tunnel_joined() {
  if (phase_ == Phase::kEnding) join();
}

}  // namespace shunt::proxy
