// A connection that is no longer HTTP: bytes both ways between a client and a server, unread, until
// both directions have ended. An end of one direction is passed on as such (half-close). Two body
// relays do the work: neither reads more than the other side takes, and large amounts are spliced.
// Owned by an exchange; used on the worker's thread only.
#pragma once

#include <string_view>

#include "core/reason.h"
#include "proxy/body_relay.h"

namespace shunt::proxy {

class Tunnel final : public BodyRelay::Owner {
 public:
  // None is called from start() or stop().
  class Owner {
   public:
    virtual void on_tunnel_progress() = 0;
    virtual void on_tunnel_end() = 0;     // See reason(); join when !busy().
    virtual void on_tunnel_joined() = 0;  // An operation came back after the end.

   protected:
    ~Owner() = default;
  };

  // `input`: what was received already; the tunnel passes it on first.
  struct Side {
    io::Stream& stream;
    Input& input;
  };

  Tunnel(Context& context, Owner& owner, Side client, Side server);
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  // Sends `head` to the client, then what comes. True if the tunnel has ended already.
  bool start(std::string_view head);
  // kDone: both sides have ended their direction and all was passed on, or one has closed.
  Reason reason() const { return reason_; }
  uint64_t bytes_to_server() const { return up_.bytes_sent(); }
  uint64_t bytes_to_client() const { return down_.bytes_sent(); }  // The head included.

  void stop();
  bool busy() const { return up_.busy() || down_.busy(); }

 private:
  void on_relay_progress(BodyRelay& relay) override;
  void on_relay_end(BodyRelay& relay) override;
  void on_relay_joined(BodyRelay& relay) override;
  bool take_end(BodyRelay& relay);

  Context& context_;
  Owner& owner_;
  const Side client_;
  const Side server_;
  BodyRelay up_;    // Client to server.
  BodyRelay down_;  // Server to client.
  bool up_started_ = false;
  bool client_ended_ = false;  // Its direction; all of it was passed on.
  bool server_ended_ = false;
  bool over_ = false;
  Reason reason_ = Reason::kDone;
};

}  // namespace shunt::proxy
