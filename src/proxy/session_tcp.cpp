// The beginning of a connection to a listener with protocol = "tcp": the ClientHello is waited for
// if a rule wants the name in it, and read without being taken for oneself. A client that says
// nothing may wait for its server to speak first; one that says anything else is no TLS.
#include <cerrno>

#include "io/client_hello.h"
#include "proxy/session.h"

namespace shunt::proxy {

void Session::begin_tcp() {
  phase_ = Phase::kReading;
  if (listener_.wants_name) return read_more();
  // In the next turn: such a connection may end at once, and must not within the accept of another.
  context_.io.post(ready_, stream_.fd(), 0);
}

// What cannot be read is for the server to refuse: it goes on without a name.
bool Session::process_hello() {
  const io::ClientHello hello = io::parse_client_hello(input_.view());
  if (hello.status != io::ClientHello::Status::kIncomplete) {
    begin_connection(hello.name());
  } else {
    read_more();
  }
  return false;
}

void Session::begin_connection(std::string_view name) {
  SHUNT_ASSERT(!receive_.submitted);
  SHUNT_ASSERT(!ready_.submitted);
  enter(Phase::kExchange);
  exchange_ = owner_.make_exchange(*this);
  exchange_->begin_connection(name);
}

void Session::on_hello_timeout() {
  if (!input_.empty())
    return refuse(Reason::kRequestHeaderTimeout, {408, "the ClientHello did not arrive in time"});
  // The receive comes back, as cancelled or with bytes after all, which have the time of any.
  set_deadline(context_.io.now() + listener_.config.header_timeout);
  if (receive_.submitted) context_.io.cancel(receive_);
}

void Session::on_hello_end(int32_t result) {
  if (result == -ECANCELED) return begin_connection({});
  terminate(false);
}

}  // namespace shunt::proxy
