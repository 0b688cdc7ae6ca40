// Copies in flight: connecting, sending, and reading answers to their end so that connections can
// be kept. See the header.
#include "proxy/mirror.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/assert.h"
#include "io/proxy_protocol.h"

namespace shunt::proxy {
namespace {

constexpr HeadLimits kResponseLimits{8 * 1024, 64 * 1024, kFieldsMax};

}  // namespace

// --- All of a worker ---

Mirror* Mirrors::begin(const Pool& pool, const sched::Flow& flow, const MirrorSource& source) {
  if (slab_.in_use() == kMirrorsMax) return nullptr;
  sched::Server* server = pool.servers->schedule(flow, sched::Counted::kActive);
  if (server == nullptr) return nullptr;
  Mirror* mirror = slab_.make(*this, pool, *server, source);
  all_.push_back(*mirror);
  return mirror;
}

void Mirrors::stop() {
  all_.each([](Mirror& mirror) {
    if (mirror.phase_ != Mirror::Phase::kEnding) mirror.fail();
  });
}

// --- One ---

Mirror::Mirror(Mirrors& mirrors, const Pool& pool, sched::Server& server,
               const MirrorSource& source)
    : mirrors_(mirrors),
      generation_(*mirrors.context_.generation),
      pool_(pool),
      server_(server),
      method_(source.method),
      client_(source.client),
      destination_(source.destination),
      block_(mirrors.context_.blocks.take()) {
  ++generation_.exchanges;
  io::bind<&Mirror::on_ready>(ready_, *this);
  bind<&Mirror::on_timeout>(timer_, *this);
}

Mirror::~Mirror() {
  SHUNT_ASSERT(connection_ == nullptr);
  SHUNT_ASSERT(!ready_.submitted);
  if (timer_.armed()) mirrors_.context_.io.cancel(timer_);
  if (block_ != nullptr) mirrors_.context_.blocks.give_back(block_);
  pool_.servers->unbind(server_, sched::Counted::kActive);
  --generation_.exchanges;
}

void Mirror::start(size_t size) {
  SHUNT_ASSERT(size <= kBlockSize);
  Context& context = mirrors_.context_;
  end_ = size;
  context.metrics.mirrored.add();
  // A connection with a PROXY header is its client's.
  if (pool_.config->send_proxy == 0)
    connection_ = context.upstreams->take(server_, idle_limits(*pool_.config), false, *this,
                                          pool_.tls_of(server_));
  if (connection_ != nullptr) return send_more();
  const Pool* known = pool_that_knows(server_, pool_, *context.generation->snapshot);
  if (known == nullptr) return fail();
  int error = 0;
  connection_ = context.upstreams->connect(server_, *this, error, known->tls_of(server_));
  if (connection_ == nullptr) return fail();
  arm(pool_.config->connect_timeout);
}

std::string_view Mirror::preamble(std::span<char> room) {
  const int version = pool_.config->send_proxy;
  if (version == 0) return {};
  return {room.data(), io::write_proxy_header(version, client_, destination_, room)};
}

void Mirror::on_connected(int32_t result) {
  SHUNT_ASSERT(phase_ == Phase::kConnecting);
  if (result < 0) {
    connection_ = nullptr;
    return fail();
  }
  send_more();
}

void Mirror::send_more() {
  Context& context = mirrors_.context_;
  phase_ = Phase::kSending;
  const iovec rest = {block_->data + begin_, end_ - begin_};
  const int64_t sent = connection_->stream().send_now(context.io, {&rest, 1}, false);
  if (sent < 0 && sent != -EAGAIN) return fail();
  begin_ += static_cast<size_t>(std::max<int64_t>(sent, 0));
  if (begin_ < end_) {
    arm(pool_.config->server_timeout);
    return connection_->stream().poll(context.io, ready_, POLLOUT);
  }
  context.blocks.give_back(std::exchange(block_, nullptr));
  phase_ = Phase::kReading;
  arm(pool_.config->response_timeout);
}

void Mirror::on_ready(int32_t result) {
  if (phase_ == Phase::kEnding) {
    mirrors_.context_.upstreams->let_go(*std::exchange(connection_, nullptr));
    return free();
  }
  if (result < 0) return fail();
  send_more();
}

void Mirror::on_timeout() {
  if (phase_ != Phase::kEnding) fail();
}

void Mirror::on_response_bytes() {
  // An answer before the end of the request is an answer to something else.
  if (phase_ != Phase::kReading) return fail();
  for (;;) {
    if (!head_read_ && !read_head()) return;
    if (read_body()) return end(keep_alive_ && connection_->input().empty());
    if (connection_->input().empty()) break;
    return fail();  // Bad framing.
  }
  arm(pool_.config->server_timeout);
  connection_->receive();
}

// True once the final head has been read; false: waits for more, or the end has come.
bool Mirror::read_head() {
  Input& input = connection_->input();
  for (;;) {
    const Scan scan =
        input.empty() ? Scan::kIncomplete : scanner_.scan(input.view(), kResponseLimits);
    if (scan == Scan::kIncomplete) {
      connection_->receive();
      return false;
    }
    ResponseHead& head = mirrors_.context_.response_head;
    const bool good =
        scan == Scan::kComplete && !parse_response(input.view().substr(0, scanner_.head_size()),
                                                   kResponseLimits, method_, head);
    if (!good) {
      fail();
      return false;
    }
    scanner_ = HeadScanner(false);
    input.consume(head.size);
    if (head.status < 200) continue;
    head_read_ = true;
    keep_alive_ = head.keep_alive && head.framing != Framing::kUntilClose;
    framing_ = head.framing;
    remaining_ = head.framing == Framing::kLength ? head.content_length : 0;
    return true;
  }
}

// Throws away what is there of the body. True if that was its end; false with bytes left over: it
// is malformed.
bool Mirror::read_body() {
  Input& input = connection_->input();
  switch (framing_) {
    case Framing::kNone:
      return true;
    case Framing::kUntilClose:
      input.consume(input.size());
      return false;
    case Framing::kLength: {
      const size_t used = std::min<uint64_t>(input.size(), remaining_);
      input.consume(used);
      remaining_ -= used;
      return remaining_ == 0;
    }
    case Framing::kChunked:
      break;
  }
  std::array<iovec, 16> pieces;
  while (!input.empty()) {
    const ChunkedDecoder::Step step = chunks_.decode(input.view(), pieces);
    if (step.status == ChunkedDecoder::Status::kReject) return false;
    input.consume(step.consumed);
    if (step.status == ChunkedDecoder::Status::kDone) return true;
  }
  return false;
}

void Mirror::on_response_end(int32_t result) {
  const bool complete =
      phase_ == Phase::kReading && head_read_ && framing_ == Framing::kUntilClose && result == 0;
  if (!complete) return fail();
  end(false);
}

void Mirror::arm(Duration longest) {
  io::Io& io = mirrors_.context_.io;
  io.arm(timer_, io.now() + longest);
}

void Mirror::fail() {
  mirrors_.context_.metrics.mirrors_failed.add();
  end(false);
}

// `clean`: the connection can be used again.
void Mirror::end(bool clean) {
  SHUNT_ASSERT(phase_ != Phase::kEnding);
  phase_ = Phase::kEnding;
  Context& context = mirrors_.context_;
  if (connection_ != nullptr && ready_.submitted) {
    context.upstreams->close_held(*connection_);
    return context.io.cancel(ready_);
  }
  if (connection_ != nullptr) {
    UpstreamConnection& connection = *std::exchange(connection_, nullptr);
    if (clean) {
      context.upstreams->park(connection, idle_limits(*pool_.config));
    } else {
      context.upstreams->close(connection);
    }
  }
  free();
}

void Mirror::free() {
  IntrusiveList<Mirror>::remove(*this);
  mirrors_.slab_.free(this);
}

}  // namespace shunt::proxy
