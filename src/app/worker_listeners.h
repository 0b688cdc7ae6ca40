// The listening sockets of one worker: hands them to the service, and takes them back without
// losing a client that has already connected. Owned by the worker; its thread only.
//
// Retiring a socket: (a) a socket filter drops new SYNs, while handshakes under way still finish ->
// (b) the service goes on accepting until the queue is empty -> (c) the service lets go -> (d)
// close.
#pragma once

#include <cstddef>
#include <vector>

#include "app/listen_sockets.h"
#include "core/timer_wheel.h"
#include "io/io.h"
#include "proxy/service.h"

namespace shunt::app {

class WorkerListeners {
 public:
  WorkerListeners(io::Io& io, proxy::Service& service);
  ~WorkerListeners();  // Requires empty().
  WorkerListeners(const WorkerListeners&) = delete;
  WorkerListeners& operator=(const WorkerListeners&) = delete;

  void apply(const ListenChange& change);
  void retire_all();
  // Closes everything as soon as the service lets go, whoever waits in the queues.
  void close_all();

  bool empty() const { return sockets_.empty(); }
  size_t leaving() const;  // Sockets that are being retired or closed.

 private:
  enum class Phase : uint8_t {
    kServing,
    kRetiring,   // Accepts who has begun to connect.
    kReleasing,  // The service is letting go; closed then.
    kMoving,     // The service is letting go; given to another listener then.
    kClosed,     // To be forgotten.
  };
  struct Socket {
    io::Fd fd;
    Phase phase;
    uint32_t listener;  // For kMoving.
    Instant earliest;   // For kRetiring: not before, for handshakes under way.
    Instant latest;     // For kRetiring: no longer than, although the queue is not empty.
  };

  void retire(Socket& socket);
  void release(Socket& socket, Phase phase);
  bool retired(const Socket& socket) const;
  void step(Socket& socket);
  void on_tick();
  void tick_soon();

  io::Io& io_;
  proxy::Service& service_;
  std::vector<Socket> sockets_;
  Timer tick_;
};

}  // namespace shunt::app
