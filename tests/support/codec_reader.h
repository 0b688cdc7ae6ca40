// Reads whole messages through the codec of src/proxy the way a session does, from bytes that
// arrive in pieces. For tests and fuzzers; buffers everything.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/chunked.h"
#include "proxy/head_writer.h"
#include "proxy/http_parser.h"

namespace shunt::test {

struct Reading {
  enum Outcome { kComplete, kIncomplete, kRejected };
  Outcome outcome = kIncomplete;
  proxy::Reject reject;
  bool head_complete = false;
  bool keep_alive = false;
  proxy::Framing framing = proxy::Framing::kNone;
  size_t consumed = 0;  // Of a complete message.
  std::string body;     // What has been decoded, complete or not.
  std::string trailers;
  std::string forwarded;  // The head as it would be passed on.

  friend bool operator==(const Reading& a, const Reading& b) {
    return a.outcome == b.outcome && a.reject.status == b.reject.status &&
           std::string_view(a.reject.why) == b.reject.why && a.head_complete == b.head_complete &&
           a.keep_alive == b.keep_alive && a.framing == b.framing && a.consumed == b.consumed &&
           a.body == b.body && a.trailers == b.trailers && a.forwarded == b.forwarded;
  }
};

// The bytes of a message, arriving in pieces: the first of `first` bytes (0: all), then of `step`
// each (0: all).
struct Arrival {
  std::string_view bytes;
  size_t first = 0;
  size_t step = 0;
  bool closed = false;  // The connection ends behind the bytes.

  size_t next(size_t arrived) const {
    const size_t size = arrived == 0 ? first : step;
    return size == 0 ? bytes.size() : std::min(bytes.size(), arrived + size);
  }
};

class CodecReader {
 public:
  explicit CodecReader(Arrival arrival, proxy::HeadLimits limits = {})
      : arrival_(arrival), limits_(limits) {}

  Reading request(const proxy::RequestForwarding& how = {}) {
    const auto head = std::make_unique<proxy::RequestHead>();
    const auto bytes = read_head(true);
    if (!bytes) return out_;
    if (auto reject = proxy::parse_request(*bytes, limits_, *head)) return rejected(*reject);
    proxy::RequestForwarding forwarding = how;
    forwarding.chunked = head->framing == proxy::Framing::kChunked;
    proxy::HeadBuffer buffer(memory_);
    proxy::write_request_head(buffer, *head, forwarding);
    out_.forwarded = buffer.view();
    return read_body(*head);
  }

  Reading response(proxy::Method method, const proxy::ResponseForwarding& how = {}) {
    const auto head = std::make_unique<proxy::ResponseHead>();
    const auto bytes = read_head(false);
    if (!bytes) return out_;
    if (auto reject = proxy::parse_response(*bytes, limits_, method, *head))
      return rejected(*reject);
    status = head->status;
    proxy::ResponseForwarding forwarding = how;
    forwarding.chunked = head->framing == proxy::Framing::kChunked;
    forwarding.keep_alive = head->framing != proxy::Framing::kUntilClose;
    proxy::HeadBuffer buffer(memory_);
    proxy::write_response_head(buffer, *head, forwarding);
    out_.forwarded = buffer.view();
    return read_body(*head);
  }

  uint16_t status = 0;  // Of an answer.

 private:
  std::optional<std::string_view> read_head(bool request) {
    proxy::HeadScanner scanner(request);
    proxy::Scan scan = proxy::Scan::kIncomplete;
    do {
      arrived_ = arrival_.next(arrived_);
      scan = scanner.scan(arrival_.bytes.substr(0, arrived_), limits_);
    } while (scan == proxy::Scan::kIncomplete && arrived_ < arrival_.bytes.size());
    if (scan == proxy::Scan::kReject) rejected(scanner.reject());
    if (scan != proxy::Scan::kComplete) return std::nullopt;
    used_ = scanner.skipped() + scanner.head_size();
    return arrival_.bytes.substr(scanner.skipped(), scanner.head_size());
  }

  Reading read_body(const proxy::Head& head) {
    out_.head_complete = true;
    out_.keep_alive = head.keep_alive;
    out_.framing = head.framing;
    const std::string_view rest = arrival_.bytes.substr(used_);
    switch (head.framing) {
      case proxy::Framing::kNone:
        return complete();
      case proxy::Framing::kLength:
        out_.body = rest.substr(0, head.content_length);
        used_ += out_.body.size();
        return out_.body.size() == head.content_length ? complete() : out_;
      case proxy::Framing::kUntilClose:
        out_.body = rest;
        used_ += rest.size();
        return arrival_.closed ? complete() : out_;
      case proxy::Framing::kChunked:
        return read_chunks();
    }
    return out_;
  }

  Reading read_chunks() {
    proxy::ChunkedDecoder decoder;
    std::array<iovec, 3> pieces;
    while (used_ < arrival_.bytes.size()) {
      arrived_ = std::max(arrived_, used_);
      if (arrived_ == used_) arrived_ = arrival_.next(arrived_);
      const auto step = decoder.decode(arrival_.bytes.substr(used_, arrived_ - used_), pieces);
      for (uint32_t i = 0; i < step.pieces; ++i) {
        out_.body.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      }
      used_ += step.consumed;
      if (step.status == proxy::ChunkedDecoder::Status::kReject) return rejected(decoder.reject());
      if (step.status == proxy::ChunkedDecoder::Status::kDone) {
        out_.trailers = decoder.trailers();
        return complete();
      }
    }
    return out_;
  }

  Reading complete() {
    out_.outcome = Reading::kComplete;
    out_.consumed = used_;
    return out_;
  }

  Reading rejected(proxy::Reject reject) {
    out_.outcome = Reading::kRejected;
    out_.reject = reject;
    return out_;
  }

  Arrival arrival_;
  proxy::HeadLimits limits_;
  size_t arrived_ = 0;
  size_t used_ = 0;
  Reading out_;
  std::array<char, 256 * 1024> memory_;
};

// What was decoded of a body, chunked again: what a server would be sent with the forwarded head.
inline std::string as_sent(const Reading& reading) {
  std::string out = reading.forwarded;
  if (reading.framing != proxy::Framing::kChunked) return out + reading.body;
  if (!reading.body.empty()) {
    char size[20];
    const auto end = std::to_chars(size, size + sizeof(size), reading.body.size(), 16).ptr;
    out.append(size, end).append("\r\n").append(reading.body).append("\r\n");
  }
  return out + "0\r\n" + reading.trailers + "\r\n";
}

}  // namespace shunt::test
