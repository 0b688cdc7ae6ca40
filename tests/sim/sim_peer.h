// The other end of one simulated connection: a client of the proxy, or an origin it connected to.
// Tests script it: what it sends, when it reads, how it ends. The socket's end belongs to SimIo,
// and so does this object, for as long as the simulation lives.
//
//   test -> send() -> outbox -> (latency, room) -> inbox -> recv by the proxy
//   test <- received() <- (latency, reading) <- outgoing <- send_now by the proxy
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "core/address.h"
#include "core/instant.h"
#include "sim/sim_options.h"
#include "sim/sim_random.h"

namespace shunt::sim {

class SimPeer {
 public:
  SimPeer(const SimOptions& options, Random& random, const Instant& now, SocketAddress address,
          SocketAddress socket_address);
  SimPeer(const SimPeer&) = delete;
  SimPeer& operator=(const SimPeer&) = delete;

  // --- The script ---

  void send(std::string_view bytes);
  void finish();  // End of stream after everything sent so far.
  void reset();   // At once: what has not arrived is lost, both ways.
  void close();   // finish(), and whatever arrives from now on is answered by a reset.
  void pause() { reading_ = false; }
  void resume() { reading_ = true; }
  // Reads at most `bytes` at a time, and then nothing for `interval`.
  void slow_down(size_t bytes, Duration interval);
  // Called when bytes, an end or a reset arrived.
  std::function<void(SimPeer&)> on_event;

  const std::string& received() const { return received_; }
  std::string take() { return std::exchange(received_, {}); }
  bool accepted() const { return socket_open_ever_; }  // The proxy has this connection in hand.
  bool ended() const { return saw_end_; }              // The proxy closed, and all bytes are here.
  bool was_reset() const { return saw_reset_; }
  bool over() const { return saw_end_ || saw_reset_; }
  size_t unsent() const;  // Bytes sent that have not arrived at the socket.
  const SocketAddress& address() const { return address_; }

 private:
  friend class SimIo;

  struct Segment {
    std::string bytes;
    Instant ready;
  };

  // --- The socket's end: calls of SimIo, with the kernel's results ---

  void open_socket() { socket_open_ = socket_open_ever_ = true; }
  int64_t socket_recv(char* data, size_t size, bool peek);
  int64_t socket_send(std::string_view bytes);
  void socket_shutdown();
  void socket_close(bool with_reset);
  uint32_t socket_events() const;
  size_t readable() const { return inbox_.size(); }
  size_t room() const;

  // --- The network between ---

  bool can_move() const { return can_arrive() || can_leave(); }
  void move();
  Instant next_move() const;  // When something will be able to move; kNever if nothing will.

  bool can_arrive() const;
  bool can_leave() const;
  void arrive();
  void leave();
  void kill(bool peer_is_told, bool socket_is_told);
  void report();
  Instant arrival_time();

  const SimOptions& options_;
  Random& random_;
  const Instant& now_;
  const SocketAddress address_;
  const SocketAddress socket_address_;

  // Towards the socket.
  std::deque<Segment> outbox_;
  std::string inbox_;
  bool finished_ = false;  // The peer sends no more.
  bool fin_arrived_ = false;

  // Towards the peer.
  std::deque<Segment> outgoing_;
  size_t outgoing_size_ = 0;
  std::string received_;
  bool reading_ = true;
  bool deaf_ = false;  // Closed: answers data with a reset.
  size_t read_max_ = SIZE_MAX;
  Duration read_interval_{0};
  Instant next_read_;
  bool saw_end_ = false;
  bool saw_reset_ = false;

  // The socket.
  bool socket_open_ = false;  // A descriptor refers to it.
  bool socket_open_ever_ = false;
  bool socket_shut_ = false;  // Sends no more.
  bool dead_ = false;         // Reset, from either side.
  int socket_error_ = 0;      // errno that the next call reports.
};

}  // namespace shunt::sim
