// Finds the end of a head in bytes as they arrive. Each byte is looked at once; only a CR whose
// successor has not arrived yet is looked at again. Owned by a connection, used by its worker.
#include <algorithm>
#include <limits>

#include "core/assert.h"
#include "proxy/characters.h"
#include "proxy/http_parser.h"

namespace shunt::proxy {
namespace {

constexpr uint32_t kEmptyLinesSizeMax = 4;  // Two times CRLF.
constexpr std::string_view kAnswerStart = "HTTP/1.";

}  // namespace

Scan HeadScanner::scan(std::string_view received, const HeadLimits& limits) {
  SHUNT_ASSERT(received.size() <= std::numeric_limits<uint32_t>::max() / 2);
  SHUNT_ASSERT(received.size() >= position_);
  while (state_ == State::kEmptyLines && skip_empty_line(received)) {
  }
  // Nothing behind the limit is looked at, so that the verdict does not depend on how much has
  // arrived.
  const std::string_view bytes = received.substr(0, skipped_ + size_t{limits.head_max});
  while (step(bytes, limits)) {
  }
  if (state_ == State::kDone) return Scan::kComplete;
  if (state_ != State::kRejected && received.size() - skipped_ >= limits.head_max) {
    refuse(431, "the head is too large");
  }
  return state_ == State::kRejected ? Scan::kReject : Scan::kIncomplete;
}

// Each state's function returns whether there is more to do with the bytes at hand.
bool HeadScanner::step(std::string_view bytes, const HeadLimits& limits) {
  switch (state_) {
    case State::kStart:
      return scan_start(bytes, limits);
    case State::kStartLine:
      return scan_start_line(bytes, limits);
    case State::kLineStart:
      return scan_line_start(bytes, limits);
    case State::kName:
      return scan_name(bytes);
    case State::kValue:
      return scan_value(bytes);
    case State::kEmptyLines:
    case State::kDone:
    case State::kRejected:
      return false;
  }
  return false;
}

bool HeadScanner::skip_empty_line(std::string_view bytes) {
  if (skipped_ == bytes.size()) return false;
  if (bytes[skipped_] != '\r') {
    state_ = State::kStart;
    return false;
  }
  if (skipped_ == kEmptyLinesSizeMax) return refuse(400, "too many empty lines before the request");
  if (skipped_ + 1 == bytes.size()) return false;
  if (bytes[skipped_ + 1] != '\n') return refuse(400, "CR without LF");
  skipped_ += 2;
  position_ = skipped_;
  return true;
}

// The method and its space, or the protocol of an answer: bytes of another protocol end here.
bool HeadScanner::scan_start(std::string_view bytes, const HeadLimits& limits) {
  for (; position_ < bytes.size(); ++position_) {
    const uint32_t offset = position_ - skipped_;
    if (offset >= limits.line_max) return refuse(414, "the start line is too long");
    const char c = bytes[position_];
    if (request_ && is_class(c, character::kToken)) continue;
    if (request_ && (c != ' ' || offset == 0))
      return refuse(400, "the request does not begin with a method");
    if (!request_ && c != kAnswerStart[offset]) return refuse(400, "not an HTTP/1 answer");
    if (!request_ && offset + 1 < kAnswerStart.size()) continue;
    ++position_;
    state_ = State::kStartLine;
    return true;
  }
  return false;
}

bool HeadScanner::scan_start_line(std::string_view bytes, const HeadLimits& limits) {
  const size_t line_end_max = skipped_ + size_t{limits.line_max};
  const std::string_view line = bytes.substr(0, line_end_max + 1);
  position_ +=
      static_cast<uint32_t>(find_control(line.substr(std::min<size_t>(position_, line.size()))));
  if (position_ < line.size()) return end_line(bytes, State::kLineStart);
  if (line.size() > line_end_max) return refuse(414, "the start line is too long");
  return false;
}

bool HeadScanner::scan_line_start(std::string_view bytes, const HeadLimits& limits) {
  if (position_ == bytes.size()) return false;
  const char c = bytes[position_];
  if (c == '\r') return end_line(bytes, State::kDone);
  if (c == ' ' || c == '\t')
    return refuse(400, "a field line is folded or begins with white space");
  if (fields_ == std::min(limits.fields_max, kFieldsMax))
    return refuse(431, "too many field lines");
  if (!is_class(c, character::kToken)) return refuse(400, "invalid field name");
  ++fields_;
  state_ = State::kName;
  return true;
}

bool HeadScanner::scan_name(std::string_view bytes) {
  while (position_ < bytes.size() && is_class(bytes[position_], character::kToken)) ++position_;
  if (position_ == bytes.size()) return false;
  if (bytes[position_] != ':')
    return refuse(400, "invalid field name, or white space before its colon");
  ++position_;
  state_ = State::kValue;
  return true;
}

bool HeadScanner::scan_value(std::string_view bytes) {
  position_ += static_cast<uint32_t>(find_control(bytes.substr(position_)));
  return position_ < bytes.size() && end_line(bytes, State::kLineStart);
}

// A control character at position_: the CR of a CRLF, or the end of all patience.
bool HeadScanner::end_line(std::string_view bytes, State next) {
  if (bytes[position_] == '\n') return refuse(400, "LF without CR");
  if (bytes[position_] != '\r') return refuse(400, "control character in the head");
  if (position_ + 1 == bytes.size()) return false;
  if (bytes[position_ + 1] != '\n') return refuse(400, "CR without LF");
  position_ += 2;
  state_ = next;
  if (next == State::kDone) head_size_ = position_ - skipped_;
  return next != State::kDone;
}

bool HeadScanner::refuse(uint16_t status, const char* why) {
  // What a server sends is not the client's fault (RFC 9110 §15.6.3).
  reject_ = {request_ ? status : uint16_t{502}, why};
  state_ = State::kRejected;
  return false;
}

}  // namespace shunt::proxy
