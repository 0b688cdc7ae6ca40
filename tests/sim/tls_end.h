// TLS at the far end of a simulated connection, as client or origin, and the certificate that the
// simulated world shows. OpenSSL between memory buffers, by code that shares nothing with Shunt's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/tls_files.h"
#include "sim/sim_peer.h"

struct ssl_st;

namespace shunt::sim {

// Who the simulated listener and the simulated servers are: one certificate for all.
const io::TlsServerFiles& tls_server_files();
// Of connections to them, unverified.
const io::TlsClientFiles& tls_client_files();

class TlsEnd {
 public:
  enum class Side { kClient, kServer };

  // Takes over the script of `peer`, which must live as long. `on_event`: something has happened.
  TlsEnd(SimPeer& peer, Side side, std::function<void(TlsEnd&)> on_event = {});
  ~TlsEnd();
  TlsEnd(const TlsEnd&) = delete;
  TlsEnd& operator=(const TlsEnd&) = delete;

  void send(std::string_view text);  // After the handshake.
  void close();                      // close_notify after all that was sent, and the end.
  const std::string& received() const { return received_; }
  std::string take() { return std::exchange(received_, {}); }
  bool ended() const { return ended_; }  // By close_notify: all that was sent is here.
  bool resumed() const;

 private:
  void on_bytes();
  void step();
  void write_out();

  struct SslFree {
    void operator()(ssl_st* ssl) const;
  };

  SimPeer& peer_;
  std::function<void(TlsEnd&)> on_event_;
  std::unique_ptr<ssl_st, SslFree> ssl_;
  std::string to_send_;
  std::string received_;
  bool closing_ = false;
  bool closed_ = false;
  bool ended_ = false;
};

}  // namespace shunt::sim
