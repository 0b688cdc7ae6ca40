// Moves one body from a connection to another, with the head that goes before it: decodes what came
// in, frames what goes out, splices when both sides are plain. Never reads more than the sink has
// taken, so the memory it holds is at most one block (or one pipe), and none while both sides keep
// up. Owned by an exchange, one for each direction.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "io/io.h"
#include "io/stream.h"
#include "proxy/chunked.h"
#include "proxy/context.h"
#include "proxy/input.h"

namespace shunt::proxy {

class BodyRelay {
 public:
  enum class End : uint8_t {
    kDone,          // The whole body has been handed to the sink.
    kSourceEnded,   // The source ended in the middle of the body.
    kSourceFailed,  // The source reported an error.
    kSinkFailed,    // The sink did.
    kBadFraming,    // The body is not what its framing says; see reject().
  };

  struct Plan {
    io::Stream* source = nullptr;
    io::Stream* sink = nullptr;
    Input* input =
        nullptr;  // What was received from the source already; the relay consumes it first.
    Input* excess = nullptr;  // Gets what was read beyond the end of a chunked body; holds no
                              // memory before. May be null.
    Framing framing = Framing::kNone;
    uint64_t length = 0;        // For kLength.
    bool chunk_output = false;  // Frame the output as chunked; else it goes out raw.
    bool small_first = false;   // For kUntilClose: copies until it sees that much is coming.
  };

  // The owner learns of steps that moved bytes (to push its deadline), of the end, and, after a
  // stop(), of the operations that come back (to join). None is called from start() or stop().
  class Owner {
   public:
    virtual void on_relay_progress(BodyRelay& relay) = 0;
    virtual void on_relay_end(BodyRelay& relay) = 0;
    virtual void on_relay_joined(BodyRelay& relay) = 0;

   protected:
    ~Owner() = default;
  };

  BodyRelay(Context& context, Owner& owner);
  BodyRelay(const BodyRelay&) = delete;
  BodyRelay& operator=(const BodyRelay&) = delete;
  ~BodyRelay();

  // Sends `head`, then the body as planned, as far as it goes without waiting. Returns true if the
  // relay has ended already (see end()); otherwise on_relay_end follows later.
  bool start(const Plan& plan, std::string_view head);

  bool active() const { return active_; }
  End end() const { return end_; }
  Reject reject() const { return decoder_.reject(); }
  uint64_t bytes_read() const {
    return bytes_read_;
  }  // Body bytes, framing not counted, input included.
  uint64_t bytes_sent() const { return bytes_sent_; }  // To the sink, head and framing included.
  bool waits_for_source() const { return source_ready_.submitted; }
  bool waits_for_sink() const { return sink_ready_.submitted; }

  bool has_excess() const { return has_excess_; }  // Bytes came behind the end of a chunked body.

  // Ends early. Memory is given back at once; operations in flight remain: join when !busy().
  void stop();
  bool busy() const { return source_ready_.submitted || sink_ready_.submitted; }

 private:
  enum class Step : uint8_t { kGoOn, kWait, kEnd };

  void on_ready(int32_t result);
  bool pump();  // True at the end.
  Step step();
  Step flush_pending();
  Step forward_input();
  Step read_some();
  Step source_ended();
  Step forward(std::span<char> bytes, size_t& used);
  Step forward_raw(std::string_view bytes, size_t& used);
  Step forward_chunked(std::span<char> bytes, size_t& used);
  Step drain_pipe();
  Step fill_pipe();
  int64_t fill_pipe_now();
  bool prefill_pipe();
  Step send(std::span<const iovec> parts, bool more);
  void keep_unsent(std::span<const iovec> parts, size_t sent);
  void keep_excess(std::span<const char> bytes);
  Step finish(End end);
  Step wait_for_source();
  Step wait_for_sink();
  bool may_splice() const;
  void give_back_pipe();

  // Constant after construction.
  Context& context_;
  Owner& owner_;

  Plan plan_;
  bool active_ = false;
  bool source_complete_ = false;  // The end of the body has been read; what is left is to send it.
  bool has_excess_ = false;
  bool bulk_ = false;       // With small_first: much is coming.
  bool no_splice_ = false;  // Refused by the kernel for this pair.
  End end_ = End::kDone;
  uint64_t remaining_ = 0;  // For kLength: body bytes not read yet.
  uint64_t bytes_read_ = 0;
  uint64_t bytes_sent_ = 0;
  std::string_view head_;     // Within start() only.
  Block* pending_ = nullptr;  // Bytes that the sink has not taken.
  uint32_t pending_begin_ = 0;
  uint32_t pending_end_ = 0;
  std::optional<io::Pipe> pipe_;  // Only while bytes are in it.
  io::Op source_ready_;
  io::Op sink_ready_;
  ChunkedDecoder decoder_;
};

}  // namespace shunt::proxy
