// How a client connection begins, before its first request: with a PROXY header, a TLS handshake,
// both or neither.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "io/proxy_protocol.h"
#include "proxy/session.h"

namespace shunt::proxy {

void Session::start() {
  await_request();
  set_deadline(context_.io.now() + listener_.config.header_timeout);
  if (!listener_.config.proxy_protocol) return begin_stream();
  if (!may_send_preface())
    return refuse(Reason::kProxySource, {403, "the source is not in proxy_protocol_from"});
  enter(Phase::kPreface);
  stream_.poll(context_.io, ready_, POLLIN | POLLRDHUP);
}

// What the client has to say begins: a handshake, or the first head.
void Session::begin_stream() {
  if (tcp_) return begin_tcp();
  if (listener_.tls != nullptr) return start_tls();
  if (phase_ == Phase::kPreface) enter(Phase::kReading);
  read_more();
}

void Session::start_tls() {
  enter(Phase::kHandshake);
  if (!stream_.accept_tls(*context_.tls, *listener_.tls)) return terminate(true);
  stream_.handshake(ready_);
}

void Session::on_handshake(int32_t result) {
  if (result == 0) {
    enter(Phase::kReading);
    // The first head has the time of any other, not what the handshake has left.
    set_deadline(context_.io.now() + listener_.config.header_timeout);
    return process_input();
  }
  // Somebody looked whether the port is open.
  if (!stream_.tls()->has_heard()) return terminate(false);
  if (result == -EPROTO)
    return lose(Reason::kTlsHandshake, stream_.tls()->failure(), Afterwards::kClose);
  lose(Reason::kTlsHandshake, "the client ended the connection", Afterwards::kReset);
}

// --- The PROXY header ---

// Whoever may use a unix socket has been let in by its mode.
bool Session::may_send_preface() const {
  if (!client_.is_ip()) return true;
  return std::ranges::any_of(listener_.config.proxy_protocol_from, [this](const Cidr& network) {
    return network.contains(client_.ip());
  });
}

// Takes the header out of the socket, and no byte behind it: what follows may not be for us to read
// in clear.
void Session::read_preface() {
  const std::span<char> room = context_.body_scratch;
  while (phase_ == Phase::kPreface) {
    const std::string_view before = input_.view();
    std::ranges::copy(before, room.begin());
    const int64_t peeked = context_.io.recv_now(stream_.fd(), room.data() + before.size(),
                                                io::kProxyHeaderMax - before.size(), true);
    if (peeked == -EAGAIN) return stream_.poll(context_.io, ready_, POLLIN | POLLRDHUP);
    if (peeked <= 0) return terminate(false);
    if (!take_preface(room.first(before.size() + static_cast<size_t>(peeked)))) return;
  }
}

// `seen` begins with what the input holds already. False if that is over: the header is complete,
// or the connection refused.
bool Session::take_preface(std::span<char> seen) {
  const io::ProxyParse parse = io::parse_proxy_header({seen.data(), seen.size()});
  if (parse.status == io::ProxyParse::Status::kMalformed) {
    refuse(Reason::kBadProxyHeader, {400, parse.why});
    return false;
  }
  const bool complete = parse.status == io::ProxyParse::Status::kComplete;
  const size_t new_bytes = (complete ? parse.header.size : seen.size()) - input_.size();
  const std::span<char> room = input_.room(context_.io, context_.blocks);
  SHUNT_ASSERT(room.size() >= new_bytes);
  const int64_t taken = context_.io.recv_now(stream_.fd(), room.data(), new_bytes);
  if (taken > 0) input_.filled(static_cast<size_t>(taken));
  if (!complete || taken != static_cast<int64_t>(new_bytes)) return true;
  input_.release(context_.io, context_.blocks);
  if (parse.header.told) {
    set_client(parse.header.told->source);
    told_destination_ = std::make_unique<SocketAddress>(parse.header.told->destination);
  }
  begin_stream();
  return false;
}

}  // namespace shunt::proxy
