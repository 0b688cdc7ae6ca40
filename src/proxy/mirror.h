// Copies of requests that go to a second pool, whose answers are read and thrown away. Nothing
// waits for them: only requests that are here as a whole are copied, a bounded number is in flight,
// and what fails is counted and forgotten. Owned by the service; used on the worker's thread only.
//
//   begin() -> (the exchange writes the request into memory()) -> send() -> connect -> sent ->
//   answer read -> parked or closed -> freed
#pragma once

#include <cstdint>
#include <span>

#include "core/intrusive_list.h"
#include "core/slab.h"
#include "proxy/chunked.h"
#include "proxy/context.h"
#include "proxy/http_parser.h"
#include "proxy/upstream_pool.h"
#include "sched/flow.h"

namespace shunt::proxy {

// Copies in flight of one worker; requests beyond that are not copied.
inline constexpr uint32_t kMirrorsMax = 64;

class Mirrors;

// What of the client's request is not in its bytes.
struct MirrorSource {
  Method method = Method::kGet;
  const SocketAddress& client;
  const SocketAddress& destination;
};

// One copy in flight. It holds a server of the pool (which counts it), a connection, and a block.
class Mirror final : public ListNode<>, public UpstreamConnection::User {
 public:
  Mirror(Mirrors& mirrors, const Pool& pool, sched::Server& server, const MirrorSource& source);
  ~Mirror();
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  const sched::Server& server() const { return server_; }
  std::span<char> memory() { return {block_->data, kBlockSize}; }  // For the whole request.

 private:
  friend class Mirrors;
  enum class Phase : uint8_t { kConnecting, kSending, kReading, kEnding };

  void start(size_t size);
  // UpstreamConnection::User
  std::string_view preamble(std::span<char> room) override;
  void on_connected(int32_t result) override;
  void on_response_bytes() override;
  void on_response_end(int32_t result) override;

  void send_more();
  void on_ready(int32_t result);
  void on_timeout();
  bool read_head();
  bool read_body();
  void arm(Duration longest);
  void fail();
  void end(bool clean);
  void free();

  // Constant after construction.
  Mirrors& mirrors_;
  Generation& generation_;
  const Pool& pool_;
  sched::Server& server_;
  const Method method_;
  const SocketAddress client_;
  const SocketAddress destination_;

  Phase phase_ = Phase::kConnecting;
  UpstreamConnection* connection_ = nullptr;
  Block* block_;
  size_t begin_ = 0;  // What is left of the request in the block.
  size_t end_ = 0;
  io::Op ready_;  // For more room in the socket.
  Timer timer_;
  HeadScanner scanner_{false};
  bool head_read_ = false;
  bool keep_alive_ = false;
  Framing framing_ = Framing::kNone;
  uint64_t remaining_ = 0;
  ChunkedDecoder chunks_;
};

class Mirrors {
 public:
  explicit Mirrors(Context& context) : context_(context) {}

  // A server of `pool` for a copy, or null: none is available, or too many are in flight.
  Mirror* begin(const Pool& pool, const sched::Flow& flow, const MirrorSource& source);
  // The first `size` bytes of memory() are the request.
  void send(Mirror& mirror, size_t size) { mirror.start(size); }
  void drop(Mirror& mirror) { mirror.free(); }  // Instead of send().

  void stop();  // Ends all; empty() follows when their operations have come back.
  bool empty() const { return slab_.in_use() == 0; }

 private:
  friend class Mirror;

  Context& context_;
  Slab<Mirror> slab_{kMirrorsMax, 8};
  IntrusiveList<Mirror> all_;
};

}  // namespace shunt::proxy
