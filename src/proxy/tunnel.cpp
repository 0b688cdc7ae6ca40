// The two directions of a tunnel, and what the end of one means for the other. See the header.
#include "proxy/tunnel.h"

namespace shunt::proxy {
namespace {

BodyRelay::Plan plan_of(const Tunnel::Side& source, const Tunnel::Side& sink) {
  BodyRelay::Plan plan;
  plan.source = &source.stream;
  plan.sink = &sink.stream;
  plan.input = &source.input;
  plan.framing = Framing::kUntilClose;
  plan.small_first = true;
  return plan;
}

}  // namespace

Tunnel::Tunnel(Context& context, Owner& owner, Side client, Side server)
    : context_(context),
      owner_(owner),
      client_(client),
      server_(server),
      up_(context, *this),
      down_(context, *this) {}

// What the client sent behind its request goes out only now that the server has agreed.
bool Tunnel::start(std::string_view head) {
  if (down_.start(plan_of(server_, client_), head) && take_end(down_)) return true;
  up_started_ = true;
  return up_.start(plan_of(client_, server_), {}) && take_end(up_);
}

void Tunnel::stop() {
  over_ = true;
  if (up_.active()) up_.stop();
  if (down_.active()) down_.stop();
}

// True if that was the end of the tunnel too.
bool Tunnel::take_end(BodyRelay& relay) {
  const bool upwards = &relay == &up_;
  switch (relay.end()) {
    case BodyRelay::End::kDone: {
      (upwards ? client_ended_ : server_ended_) = true;
      (upwards ? server_ : client_).stream.end_write(context_.io);
      const BodyRelay& other = upwards ? down_ : up_;
      const bool other_to_come = !upwards && !up_started_;
      over_ = !other.active() && !other_to_come;
      return over_;
    }
    case BodyRelay::End::kSourceEnded:
    case BodyRelay::End::kSourceFailed:
      reason_ = upwards ? Reason::kClientReset : Reason::kServerReset;
      break;
    case BodyRelay::End::kSinkFailed:
      // A side that has ended its direction and takes no more has closed. What comes too late for
      // it is often no more than the close_notify of the other's TLS.
      if (upwards ? server_ended_ : client_ended_) break;
      reason_ = upwards ? Reason::kServerReset : Reason::kClientReset;
      break;
    case BodyRelay::End::kBadFraming:
      SHUNT_ASSERT(false);  // There is none.
  }
  stop();
  return true;
}

void Tunnel::on_relay_progress(BodyRelay&) {
  owner_.on_tunnel_progress();
}

void Tunnel::on_relay_end(BodyRelay& relay) {
  if (take_end(relay)) return owner_.on_tunnel_end();
  owner_.on_tunnel_progress();
}

void Tunnel::on_relay_joined(BodyRelay&) {
  if (over_) owner_.on_tunnel_joined();
}

}  // namespace shunt::proxy
