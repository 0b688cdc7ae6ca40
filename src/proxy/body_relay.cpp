// One step of a relay at a time, in this order: what is kept back, what was received already, the
// pipe, the source.
#include "proxy/body_relay.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace shunt::proxy {
namespace {

// Bytes moved in one go before others get their turn.
constexpr uint64_t kTurnBudget = 1024 * 1024;
// Below this a copy through the cache is cheaper than filling and draining a pipe.
constexpr uint64_t kSpliceMinimum = 16 * 1024;
constexpr uint64_t kSpliceSize = 256 * 1024;
constexpr size_t kPieces = 48;
constexpr std::string_view kCrlf = "\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

iovec part(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

// A chunk-size line in memory of its own.
class ChunkSize {
 public:
  explicit ChunkSize(size_t size) {
    char* end = std::to_chars(text_.data(), text_.data() + 16, size, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    size_ = static_cast<size_t>(end - text_.data());
  }
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  std::array<char, 18> text_;
  size_t size_;
};

// What of a body may go out beside a head of `head_size`, so that a block could keep both.
size_t room_beside(size_t head_size) {
  constexpr size_t kFraming = 1024;
  return head_size + kFraming < kBlockSize ? kBlockSize - head_size - kFraming : 0;
}

struct DecodedChunks {
  ChunkedDecoder::Status status = ChunkedDecoder::Status::kMore;
  size_t consumed = 0;
  size_t body = 0;
  size_t pieces = 0;
};

// Decodes all of `bytes`. Many tiny chunks would need many pieces: whenever these run out, what
// they hold moves together, over bytes that have been decoded already.
DecodedChunks decode_chunks(ChunkedDecoder& decoder, std::span<char> bytes,
                            std::span<iovec> pieces) {
  DecodedChunks all;
  for (;;) {
    const ChunkedDecoder::Step step = decoder.decode(
        {bytes.data() + all.consumed, bytes.size() - all.consumed}, pieces.subspan(all.pieces));
    all.status = step.status;
    all.consumed += step.consumed;
    all.body += step.body;
    all.pieces += step.pieces;
    if (step.status != ChunkedDecoder::Status::kMore || all.consumed == bytes.size()) return all;
    SHUNT_ASSERT(all.pieces == pieces.size());
    char* to = static_cast<char*>(pieces[0].iov_base);
    size_t size = 0;
    for (const iovec& piece : pieces) {
      std::memmove(to + size, piece.iov_base, piece.iov_len);
      size += piece.iov_len;
    }
    pieces[0].iov_len = size;
    all.pieces = 1;
  }
}

}  // namespace

BodyRelay::BodyRelay(Context& context, Owner& owner) : context_(context), owner_(owner) {
  io::bind<&BodyRelay::on_ready>(source_ready_, *this);
  io::bind<&BodyRelay::on_ready>(sink_ready_, *this);
}

BodyRelay::~BodyRelay() {
  SHUNT_ASSERT(!busy());
  SHUNT_ASSERT(pending_ == nullptr);
  SHUNT_ASSERT(!pipe_);
}

bool BodyRelay::start(const Plan& plan, std::string_view head) {
  SHUNT_ASSERT(!active_);
  SHUNT_ASSERT(plan.input != nullptr);
  plan_ = plan;
  active_ = true;
  head_ = head;
  remaining_ = plan.framing == Framing::kLength ? plan.length : 0;
  source_complete_ =
      plan.framing == Framing::kNone || (plan.framing == Framing::kLength && remaining_ == 0);
  const bool ended = pump();
  SHUNT_ASSERT(head_.empty());
  return ended;
}

void BodyRelay::on_ready(int32_t) {
  if (!active_) return owner_.on_relay_joined(*this);
  // One readiness is enough to go on; the other poll, if armed, asks again by itself.
  const uint64_t moved = bytes_read_ + bytes_sent_;
  if (pump()) return owner_.on_relay_end(*this);
  if (bytes_read_ + bytes_sent_ != moved) owner_.on_relay_progress(*this);
}

bool BodyRelay::pump() {
  const uint64_t limit = bytes_sent_ + kTurnBudget;
  for (;;) {
    switch (step()) {
      case Step::kEnd:
        return true;
      case Step::kWait:
        return false;
      case Step::kGoOn:
        break;
    }
    if (bytes_sent_ > limit) {
      wait_for_sink();
      return false;
    }
  }
}

BodyRelay::Step BodyRelay::step() {
  if (pending_ != nullptr) return flush_pending();
  if (!head_.empty() || (!source_complete_ && !plan_.input->empty())) return forward_input();
  if (pipe_) return drain_pipe();
  if (source_complete_) return plan_.sink->may_end() ? finish(End::kDone) : wait_for_sink();
  if (may_splice()) return fill_pipe();
  return read_some();
}

// --- What has been received, and what the sink has not taken ---

BodyRelay::Step BodyRelay::forward_input() {
  const std::span<char> bytes = source_complete_ ? std::span<char>() : plan_.input->bytes();
  size_t used = 0;
  const Step result = forward(bytes, used);
  plan_.input->consume(used);
  head_ = {};
  return result;
}

BodyRelay::Step BodyRelay::flush_pending() {
  const iovec rest = {pending_->data + pending_begin_, pending_end_ - pending_begin_};
  const int64_t sent = plan_.sink->send_now(context_.io, {&rest, 1});
  if (sent == -EAGAIN) return wait_for_sink();
  if (sent < 0) return finish(End::kSinkFailed);
  bytes_sent_ += static_cast<uint64_t>(sent);
  pending_begin_ += static_cast<uint32_t>(sent);
  if (pending_begin_ < pending_end_) return wait_for_sink();
  context_.blocks.give_back(std::exchange(pending_, nullptr));
  return Step::kGoOn;
}

BodyRelay::Step BodyRelay::read_some() {
  std::span<char> room = context_.body_scratch;
  if (plan_.framing == Framing::kLength && remaining_ < room.size()) room = room.first(remaining_);
  const int64_t received = plan_.source->recv_now(context_.io, room);
  if (received == -EAGAIN) return wait_for_source();
  if (received < 0) return finish(End::kSourceFailed);
  if (received == 0) return source_ended();
  bulk_ = static_cast<uint64_t>(received) >= kSpliceMinimum;
  const std::span<char> bytes = room.first(static_cast<size_t>(received));
  size_t used = 0;
  const Step result = forward(bytes, used);
  if (result != Step::kEnd && used < bytes.size()) keep_excess(bytes.subspan(used));
  // A plain source that gave less than there was room for has no more: asking again would be told
  // so. With TLS a record ends there.
  const bool drained = bytes.size() < room.size() && !plan_.source->is_tls();
  return result == Step::kGoOn && drained && !source_complete_ ? wait_for_source() : result;
}

BodyRelay::Step BodyRelay::source_ended() {
  if (plan_.framing != Framing::kUntilClose) return finish(End::kSourceEnded);
  source_complete_ = true;
  if (!plan_.chunk_output) return Step::kGoOn;
  const iovec last = part(kLastChunk);
  return send({&last, 1}, false);
}

// --- Framing ---

// Uses up all bytes that belong to the body, unless a head goes out with them and they would not
// fit a block together.
BodyRelay::Step BodyRelay::forward(std::span<char> bytes, size_t& used) {
  if (!head_.empty()) bytes = bytes.first(std::min(bytes.size(), room_beside(head_.size())));
  if (plan_.framing == Framing::kChunked && !source_complete_) return forward_chunked(bytes, used);
  return forward_raw({bytes.data(), bytes.size()}, used);
}

BodyRelay::Step BodyRelay::forward_raw(std::string_view bytes, size_t& used) {
  if (plan_.framing == Framing::kLength && bytes.size() > remaining_) {
    bytes = bytes.substr(0, remaining_);
  }
  used = bytes.size();
  bytes_read_ += used;
  if (plan_.framing == Framing::kLength) {
    remaining_ -= used;
    source_complete_ = remaining_ == 0;
  }
  if (plan_.chunk_output && !bytes.empty()) {
    const ChunkSize size(bytes.size());
    const iovec parts[] = {part(head_), part(size.view()), part(bytes), part(kCrlf)};
    return send(parts, false);
  }
  // The head may wait for company only if that is in the pipe already.
  const bool more = !head_.empty() && used == plan_.input->size() && prefill_pipe();
  const iovec parts[] = {part(head_), part(bytes)};
  return send(std::span(parts).subspan(head_.empty() ? 1 : 0), more);
}

BodyRelay::Step BodyRelay::forward_chunked(std::span<char> bytes, size_t& used) {
  std::array<iovec, kPieces + 6> parts;
  const std::span<iovec> pieces = std::span(parts).subspan(2, kPieces);
  const DecodedChunks decoded = decode_chunks(decoder_, bytes, pieces);
  used = decoded.consumed;
  bytes_read_ += decoded.body;
  if (decoded.status == ChunkedDecoder::Status::kReject) return finish(End::kBadFraming);
  source_complete_ = decoded.status == ChunkedDecoder::Status::kDone;

  const ChunkSize size(decoded.body);
  const bool framed = plan_.chunk_output && decoded.body > 0;
  parts[0] = part(head_);
  parts[1] = part(framed ? size.view() : std::string_view());
  size_t count = 2 + decoded.pieces;
  if (framed) parts[count++] = part(kCrlf);
  if (source_complete_ && plan_.chunk_output) {
    parts[count++] = part(kLastChunk.substr(0, 3));
    parts[count++] = part(decoder_.trailers());
    parts[count++] = part(kCrlf);
  }
  return send(std::span(parts).first(count), false);
}

BodyRelay::Step BodyRelay::send(std::span<const iovec> parts, bool more) {
  SHUNT_ASSERT(pending_ == nullptr);
  size_t total = 0;
  for (const iovec& each : parts) total += each.iov_len;
  if (total == 0) return Step::kGoOn;
  int64_t sent = plan_.sink->send_now(context_.io, parts, more);
  if (sent == -EAGAIN) sent = 0;
  if (sent < 0) return finish(End::kSinkFailed);
  bytes_sent_ += static_cast<uint64_t>(sent);
  if (static_cast<size_t>(sent) == total) return Step::kGoOn;
  keep_unsent(parts, static_cast<size_t>(sent));
  return wait_for_sink();
}

void BodyRelay::keep_unsent(std::span<const iovec> parts, size_t sent) {
  pending_ = context_.blocks.take();
  pending_begin_ = pending_end_ = 0;
  for (const iovec& each : parts) {
    const size_t skip = std::min(sent, each.iov_len);
    sent -= skip;
    const size_t rest = each.iov_len - skip;
    SHUNT_ASSERT(pending_end_ + rest <= kBlockSize);
    if (rest > 0)
      std::memcpy(pending_->data + pending_end_, static_cast<char*>(each.iov_base) + skip, rest);
    pending_end_ += static_cast<uint32_t>(rest);
  }
}

void BodyRelay::keep_excess(std::span<const char> bytes) {
  has_excess_ = true;
  if (plan_.excess == nullptr) return;
  Block* block = context_.blocks.take();
  std::memcpy(block->data, bytes.data(), bytes.size());
  plan_.excess->adopt(block, bytes.size());
}

// --- Splice ---

bool BodyRelay::may_splice() const {
  if (no_splice_ || plan_.chunk_output || plan_.framing == Framing::kChunked) return false;
  if (plan_.small_first && !bulk_) return false;
  const uint64_t expected = plan_.framing == Framing::kUntilClose ? kSpliceSize : remaining_;
  return expected >= kSpliceMinimum && plan_.source->may_splice_in() &&
         plan_.sink->may_splice_out(expected);
}

// Moves what the source has into the pipe; the pipe is held only while something is in it.
int64_t BodyRelay::fill_pipe_now() {
  if (!pipe_ && context_.pipes.in_use() < kPipesMax) pipe_ = context_.pipes.acquire();
  if (!pipe_) return -EMFILE;
  const uint64_t want =
      plan_.framing == Framing::kLength ? std::min(remaining_, kSpliceSize) : kSpliceSize;
  const int64_t moved = plan_.source->splice_in(context_.io, pipe_->write, want);
  if (moved <= 0) {
    give_back_pipe();
    return moved;
  }
  const auto size = static_cast<uint64_t>(moved);
  pipe_->bytes += size;
  bytes_read_ += size;
  bulk_ = size >= kSpliceMinimum;
  context_.metrics.spliced.add(size);
  if (plan_.framing == Framing::kLength) {
    remaining_ -= size;
    source_complete_ = remaining_ == 0;
  }
  return moved;
}

BodyRelay::Step BodyRelay::fill_pipe() {
  const int64_t moved = fill_pipe_now();
  if (moved > 0) return Step::kGoOn;
  if (moved == 0) return source_ended();
  if (moved == -EAGAIN) return wait_for_source();
  if (moved == -EINVAL || moved == -EMFILE || moved == -ENFILE || moved == -ENOMEM) {
    no_splice_ = true;  // The copying path does the same without a pipe.
    return Step::kGoOn;
  }
  return finish(End::kSourceFailed);
}

// Fills the pipe ahead of the head, so that both can leave in full segments. Whatever goes wrong
// here shows again, and is dealt with, when the pipe is filled in its turn.
bool BodyRelay::prefill_pipe() {
  return !source_complete_ && may_splice() && fill_pipe_now() > 0;
}

BodyRelay::Step BodyRelay::drain_pipe() {
  const int64_t moved = plan_.sink->splice_out(context_.io, pipe_->read, pipe_->bytes);
  if (moved == -EAGAIN) return wait_for_sink();
  if (moved <= 0) return finish(End::kSinkFailed);
  bytes_sent_ += static_cast<uint64_t>(moved);
  pipe_->bytes -= static_cast<size_t>(moved);
  if (pipe_->bytes == 0) give_back_pipe();
  return Step::kGoOn;
}

void BodyRelay::give_back_pipe() {
  context_.pipes.give_back(*pipe_);
  pipe_.reset();
}

// --- Waiting and ending ---

BodyRelay::Step BodyRelay::wait_for_source() {
  if (!source_ready_.submitted) plan_.source->poll(context_.io, source_ready_, POLLIN | POLLRDHUP);
  return Step::kWait;
}

BodyRelay::Step BodyRelay::wait_for_sink() {
  if (!sink_ready_.submitted) plan_.sink->poll(context_.io, sink_ready_, POLLOUT);
  return Step::kWait;
}

BodyRelay::Step BodyRelay::finish(End end) {
  end_ = end;
  stop();
  return Step::kEnd;
}

void BodyRelay::stop() {
  active_ = false;
  head_ = {};
  if (pending_ != nullptr) context_.blocks.give_back(std::exchange(pending_, nullptr));
  if (pipe_) give_back_pipe();
  if (source_ready_.submitted) context_.io.cancel(source_ready_);
  if (sink_ready_.submitted) context_.io.cancel(sink_ready_);
}

}  // namespace shunt::proxy
