// From bytes to heads. Two steps: HeadScanner finds the end of a head as bytes arrive and refuses at once what no strict
// reader accepts; then the whole head is parsed by llhttp and its framing decided (RFC 9112 §6), stricter than llhttp does.
// Pure: no I/O, no state beyond the scanner's position.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/message.h"

namespace shunt::proxy {

enum class Scan : uint8_t { kIncomplete, kComplete, kReject };

// Finds the blank line. Give it all bytes received so far each time; it goes on where it stopped.
class HeadScanner {
 public:
  // For requests also skips empty lines before the request line, as RFC 9112 §2.2 allows (at most 2).
  explicit HeadScanner(bool request) : request_(request) {}

  Scan scan(std::string_view received, const HeadLimits& limits);
  uint32_t skipped() const { return skipped_; }      // Bytes of empty lines before the head.
  uint32_t head_size() const { return head_size_; }  // After kComplete, without skipped().
  Reject reject() const { return reject_; }          // After kReject.

 private:
  bool request_;
  uint32_t skipped_ = 0;
  uint32_t position_ = 0;    // Everything before it has been looked at.
  uint32_t line_start_ = 0;
  uint32_t lines_ = 0;
  uint32_t head_size_ = 0;
  Reject reject_;
};

// Parses one complete head (`head` ends with its blank line). Views in `out` point into `head`.
// Returns why it is refused, or nothing. `out` is left unspecified then.
std::optional<Reject> parse_request(std::string_view head, const HeadLimits& limits, RequestHead& out);

// `request` is the request this answers: HEAD, and 2xx to CONNECT, have no body whatever the fields say.
std::optional<Reject> parse_response(std::string_view head, const HeadLimits& limits, Method request,
                                     ResponseHead& out);

}  // namespace shunt::proxy
