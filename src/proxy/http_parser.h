// From bytes to heads. Two steps: HeadScanner finds the end of a head as bytes arrive and refuses
// at once what no strict reader accepts; then the whole head is parsed, its field lines by llhttp,
// and its framing decided (RFC 9112 §6), stricter than llhttp does. Pure: no I/O, no state beyond
// the scanner's position.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/message.h"

namespace shunt::proxy {

enum class Scan : uint8_t { kIncomplete, kComplete, kReject };

// Finds the blank line. Give it all bytes received so far each time; it goes on where it stopped,
// and answers the same however the bytes were split. Once it has said kComplete or kReject it says
// so for ever. What it completes has a start line without control characters but HTAB, and field
// lines that are a token, a colon at once, and a value without control characters but HTAB; every
// line ends in CRLF and none continues another.
class HeadScanner {
 public:
  // For requests also skips at most 2 empty lines before the request line (RFC 9112 §2.2).
  explicit HeadScanner(bool request)
      : request_(request), state_(request ? State::kEmptyLines : State::kStart) {}

  Scan scan(std::string_view received, const HeadLimits& limits);
  uint32_t skipped() const { return skipped_; }      // Bytes of empty lines before the head.
  uint32_t head_size() const { return head_size_; }  // After kComplete, without skipped().
  Reject reject() const { return reject_; }          // After kReject.

 private:
  enum class State : uint8_t {
    kEmptyLines,
    kStart,
    kStartLine,
    kLineStart,
    kName,
    kValue,
    kDone,
    kRejected
  };

  bool step(std::string_view bytes, const HeadLimits& limits);
  bool skip_empty_line(std::string_view bytes);
  bool scan_start(std::string_view bytes, const HeadLimits& limits);
  bool scan_start_line(std::string_view bytes, const HeadLimits& limits);
  bool scan_line_start(std::string_view bytes, const HeadLimits& limits);
  bool scan_name(std::string_view bytes);
  bool scan_value(std::string_view bytes);
  bool end_line(std::string_view bytes, State next);
  bool refuse(uint16_t status, const char* why);

  bool request_;
  State state_;
  uint32_t skipped_ = 0;
  uint32_t position_ = 0;  // Everything before it has been looked at.
  uint32_t fields_ = 0;
  uint32_t head_size_ = 0;
  Reject reject_;
};

// Parses one complete head: exactly the head_size() bytes behind skipped() that HeadScanner has
// completed, since what the scanner refuses is not looked for again. Views in `out` point into
// `head`. Returns why it is refused, or nothing. `out` is left unspecified then. Decisions where
// the RFCs leave a choice:
// - HTTP/1.2 to 1.9 are read as HTTP/1.1 (RFC 9110 §2.5); other major versions are a 505.
// - CONNECT and TRACE are a 501: there is no tunnel, and TRACE would show the farm's inside.
// - Host, Content-Length or Transfer-Encoding twice is a 400, whether they agree or not.
// - So are Content_Length and Transfer_Encoding: CGI-like servers take "_" for "-".
// - Expect with anything but 100-continue is a 417 (RFC 9110 §10.1.1).
std::optional<Reject> parse_request(std::string_view head, const HeadLimits& limits,
                                    RequestHead& out);

// `request` is the method of the request this answers: an answer to HEAD has no body, whatever its
// fields say. `upgrade` is the protocol that the request offered to change to, or empty. All
// rejects are 502. Refused besides ambiguous framing: 101, but for a change to that protocol;
// statuses outside 100 to 599. keep_alive is false where the end of the answer is not certain, too.
std::optional<Reject> parse_response(std::string_view head, const HeadLimits& limits,
                                     Method request, ResponseHead& out,
                                     std::string_view upgrade = {});

}  // namespace shunt::proxy
