// The event loop as a seeded simulation: in-memory sockets and pipes, a virtual clock, and every
// unkindness a kernel may show: short reads and writes, would-block at any time, completions in any
// order, receives that wait for buffers, resets, refused connections, slow peers, no descriptors.
// The same seed gives the same run. It also checks the contract of io/io.h: what breaks it throws
// ContractViolation, whose text names the seed.
//
//   SimIo io(SimOptions::from_seed(seed));
//   Fd listener = io.listen(address);             // Given to the code under test.
//   io.serve(origin_address, [](SimPeer& peer) { peer.on_event = …; });
//   SimPeer& client = io.connect(listener);
//   client.send("GET / HTTP/1.1\r\n…");
//   io.run_until([&] { return client.received().ends_with("…"); });
//   io.check_clean();
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/io.h"
#include "sim/sim_options.h"
#include "sim/sim_peer.h"
#include "sim/sim_random.h"

namespace shunt::sim {

using io::Fd;

struct ContractViolation : std::logic_error {
  using std::logic_error::logic_error;
};

class SimIo final : public io::Io {
 public:
  explicit SimIo(const SimOptions& options = {});
  SimIo(const SimIo&) = delete;
  SimIo& operator=(const SimIo&) = delete;
  ~SimIo() override;

  // --- The world around the code under test ---

  // A listening socket; the test closes it with close().
  Fd listen(const SocketAddress& address);
  // A client whose connection waits to be accepted. Lives as long as this.
  SimPeer& connect(Fd listener);
  SimPeer& connect(Fd listener, const SocketAddress& from);
  // An origin: `on_connect` gets the other end of each connection made to `address`.
  void serve(const SocketAddress& address, std::function<void(SimPeer&)> on_connect);
  void refuse(const SocketAddress& address);      // As if nobody listened; what is not served is.
  void black_hole(const SocketAddress& address);  // Connecting never completes.
  // The next `count` accepts, or connects to any address, fail with this errno.
  void fail_accept(int error, int count = 1);
  void fail_connect(int error, int count = 1);

  // --- Running ---

  // Lets everything happen that can at this moment of the virtual time (some of it, with `delay`).
  // False if nothing could.
  bool step();
  // Runs until nothing more happens unless a timer fires.
  void settle();
  // Runs for a span of virtual time, timers included.
  void run_for(Duration span);
  // Runs until `condition` holds, timers included, for at most `longest` of virtual time: whether
  // it held.
  bool run_until(const std::function<bool()>& condition,
                 Duration longest = std::chrono::minutes(10));

  size_t in_flight() const { return operations_.size(); }
  size_t buffers_held() const { return buffers_.size(); }
  size_t descriptors() const { return descriptors_.size(); }
  // Throws if an operation, a receive buffer, a timer or a descriptor is left over.
  void check_clean() const;

  Random& random() { return random_; }  // For scripts that are part of the same run.

  // --- io::Io ---

  Instant now() const override { return now_; }
  void recv(io::RecvOp& op, Fd fd) override;
  void poll(io::Op& op, Fd fd, uint32_t events) override;
  void accept(io::Op& op, Fd listener) override;
  void connect(io::Op& op, Fd fd, const SocketAddress& address) override;
  void post(io::Op& op, Fd fd, int32_t result) override;
  void cancel(io::Op& op) override;
  Fd open_socket(const SocketAddress& peer) override;
  SocketAddress peer_address(Fd fd) override;
  SocketAddress local_address(Fd fd) override;
  int64_t recv_now(Fd fd, void* data, size_t size, bool peek = false) override;
  int64_t send_now(Fd fd, std::span<const iovec> parts, bool more) override;
  int open_pipe(Fd (&ends)[2]) override;
  int64_t splice_in(Fd socket, Fd pipe, size_t size) override;
  int64_t splice_out(Fd pipe, Fd socket, size_t size, bool more) override;
  uint64_t unacknowledged(Fd fd) override;
  bool is_writable(Fd fd) override;
  int encrypt_sends(Fd fd, std::span<const char> value) override;
  int64_t send_record(Fd fd, uint8_t type, std::span<const char> bytes) override;
  void shutdown_write(Fd fd) override;
  void close(Fd fd) override;
  void close_reset(Fd fd) override;
  io::Buffer take_buffer() override;
  void release(io::Buffer& buffer) override;
  void arm(Timer& timer, Instant deadline) override;
  void cancel(Timer& timer) override;

 private:
  struct PipeState {
    std::string bytes;
    bool read_open = true;
    bool write_open = true;
  };
  enum class Kind : uint8_t { kListener, kSocket, kPipeRead, kPipeWrite };
  struct Descriptor {
    Kind kind;
    SocketAddress address = {};       // Of a listener.
    std::deque<SimPeer*> queue = {};  // Of a listener: not accepted yet.
    SimPeer* peer = nullptr;          // Of a connected socket.
    std::shared_ptr<PipeState> pipe = {};
  };
  // An operation that the loop has in flight, with copies by which a freed or changed one shows.
  struct Operation {
    io::Op* op;
    io::Op::OnDone on_done;
    io::OpKind kind;
    Fd fd;
    uint32_t events = 0;                  // Of a poll.
    SocketAddress address = {};           // Of a connect.
    const SocketAddress* lent = nullptr;  // Of a connect: must stay what it was.
    Instant ready{};                      // Of a connect: not before.
    int32_t posted = 0;                   // Of a post: its result.
    bool cancelled = false;
    std::optional<int32_t> result = {};  // Collected: the callback gets it, whatever happens.
    bool more = false;                   // Of an accept: it goes on after that.
  };
  struct Origin {
    enum class Answer : uint8_t { kServe, kRefuse, kNever } answer;
    std::function<void(SimPeer&)> on_connect;
  };
  struct Failures {
    int error = 0;
    int count = 0;
    std::optional<int> take();
  };

  [[noreturn]] void violation(const std::string& text) const;
  void trace(const std::string& text) const;

  Operation& begin(io::Op& op, io::OpKind kind, Fd fd);
  Operation* find(const io::Op* op);
  void check_operations() const;
  bool move_network();
  bool complete_operations();
  bool can_complete(const Operation& operation) const;
  void collect();
  void dispatch(io::Op* op);
  int32_t finish(Operation& operation, bool& more);
  int32_t finish_recv(Operation& operation);
  io::Buffer new_buffer();
  int32_t finish_accept(Operation& operation, bool& more);
  int32_t finish_connect(Operation& operation);
  uint32_t poll_events(const Operation& operation) const;
  Instant next_event() const;
  void jump_to(Instant time);

  Fd add(Descriptor descriptor);
  Descriptor& get(Fd fd, const char* call);
  const Descriptor* look_up(Fd fd) const;
  Descriptor& get(Fd fd, Kind kind, const char* call);
  SimPeer& connected(Fd fd, const char* call);
  SimPeer& new_peer(const SocketAddress& address, const SocketAddress& socket_address);
  void close_descriptor(Fd fd, bool with_reset, const char* call);
  const Origin* origin_at(const SocketAddress& address) const;
  size_t some(size_t available, double chance_of_less);

  const SimOptions options_;
  Random random_;
  Instant now_{};
  TimerWheel wheel_{Instant{}};
  std::vector<Operation> operations_;
  std::deque<io::Op*> ready_;  // Collected and not dispatched.
  std::map<Fd, Descriptor> descriptors_;
  std::map<uint32_t, std::unique_ptr<char[]>>
      buffers_;  // One allocation each: a sanitizer sees misuse.
  uint32_t next_buffer_ = 1;
  std::vector<std::unique_ptr<SimPeer>> peers_;
  std::vector<std::pair<SocketAddress, Origin>> origins_;
  Failures accept_failures_;
  Failures connect_failures_;
  uint16_t next_port_ = 10'000;
  bool stepping_ = false;
};

}  // namespace shunt::sim
