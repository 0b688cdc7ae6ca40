// The chunked decoder: a state per syntax element, chunk data in one stride. What other readers
// forgive (signs, white space, "0x", bare LF or CR, a missing CRLF behind the data) is refused,
// since somebody reads each of them differently.
#include "proxy/chunked.h"

#include <algorithm>
#include <limits>

#include "core/assert.h"
#include "proxy/characters.h"
#include "proxy/hop_headers.h"

namespace shunt::proxy {
namespace {

constexpr uint32_t kSizeDigitsMax = 16;
constexpr uint64_t kChunkSizeMax = std::numeric_limits<int64_t>::max();
constexpr uint32_t kExtensionSizeMax = 1024;  // Of one chunk.
constexpr uint64_t kPaddingMax = 16 * 1024;   // Of the whole body, net of its data.
constexpr uint32_t kTrailerSizeMax = 8 * 1024;
constexpr uint32_t kTrailerLinesMax = 64;

uint64_t hex_value(char digit) {
  const int value = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
  return static_cast<uint64_t>(value);
}

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::decode(std::string_view input, std::span<iovec> pieces) {
  Step step;
  while (step.consumed < input.size() && state_ != State::kDone && state_ != State::kError) {
    const std::string_view rest = input.substr(step.consumed);
    if (state_ != State::kData) {
      step.consumed += decode_syntax(rest);
      continue;
    }
    if (step.pieces == pieces.size()) return step;
    const auto size = static_cast<size_t>(std::min<uint64_t>(remaining_, rest.size()));
    pieces[step.pieces++] = {const_cast<char*>(rest.data()), size};
    step.body += size;
    step.consumed += size;
    skip(size);
  }
  if (state_ == State::kDone) step.status = Status::kDone;
  if (state_ == State::kError) step.status = Status::kReject;
  return step;
}

uint64_t ChunkedDecoder::chunk_remaining() const {
  return state_ == State::kData ? remaining_ : 0;
}

void ChunkedDecoder::skip(uint64_t size) {
  SHUNT_ASSERT(size <= chunk_remaining());
  remaining_ -= size;
  if (state_ == State::kData && remaining_ == 0) state_ = State::kDataCr;
}

size_t ChunkedDecoder::decode_syntax(std::string_view input) {
  const char c = input.front();
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      if (is_class(c, character::kHex)) {
        on_size_digit(c);
      } else if (state_ == State::kSizeFirst) {
        refuse(400, "chunk size is missing");
      } else if (c == ';') {
        state_ = State::kExtension;
      } else {
        expect(c, '\r', State::kSizeLf, "invalid chunk size");
      }
      return 1;
    case State::kExtension:
      return decode_extension(input);
    case State::kSizeLf:
      expect(c, '\n', State::kData, "CR without LF in a chunk header");
      if (state_ == State::kData) on_size_end();
      return 1;
    case State::kDataCr:
      expect(c, '\r', State::kDataLf, "chunk data longer than its size");
      return 1;
    case State::kDataLf:
      expect(c, '\n', State::kSizeFirst, "chunk data longer than its size");
      return 1;
    case State::kTrailerStart:
    case State::kTrailer:
      return decode_trailer(input);
    case State::kTrailerLf:
      expect(c, '\n', State::kTrailerStart, "CR without LF in the trailers");
      if (state_ == State::kTrailerStart) on_trailer_line();
      return 1;
    case State::kEndLf:
      expect(c, '\n', State::kDone, "CR without LF in the trailers");
      return 1;
    case State::kData:
    case State::kDone:
    case State::kError:
      break;
  }
  SHUNT_ASSERT(false);
  return 0;
}

size_t ChunkedDecoder::decode_extension(std::string_view input) {
  const std::string_view allowed = input.substr(0, kExtensionSizeMax - line_size_ + 1);
  const size_t size = find_control(allowed);
  if (size == allowed.size()) {
    line_size_ += static_cast<uint32_t>(size);
    if (line_size_ > kExtensionSizeMax) refuse(400, "chunk extension is too long");
    return size;
  }
  line_size_ += static_cast<uint32_t>(size);
  expect(allowed[size], '\r', State::kSizeLf, "control character in a chunk extension");
  return size + 1;
}

size_t ChunkedDecoder::decode_trailer(std::string_view input) {
  const std::string_view allowed = input.substr(0, kTrailerSizeMax - trailer_size_ + 1);
  const size_t size = find_control(allowed);
  trailer_size_ += static_cast<uint32_t>(size);
  trailers_.append(allowed.substr(0, size));
  if (trailer_size_ > kTrailerSizeMax) {
    refuse(431, "the trailers are too large");
    return size;
  }
  if (size > 0) state_ = State::kTrailer;
  if (size == allowed.size()) return size;
  expect(allowed[size], '\r', state_ == State::kTrailer ? State::kTrailerLf : State::kEndLf,
         "control character in the trailers");
  return size + 1;
}

void ChunkedDecoder::on_size_digit(char digit) {
  state_ = State::kSize;
  const uint64_t value = hex_value(digit);
  if (++size_digits_ > kSizeDigitsMax || remaining_ > (kChunkSizeMax - value) / 16) {
    return refuse(400, "chunk size is too large");
  }
  remaining_ = remaining_ * 16 + value;
}

// A few large extensions are fine, and so are many on large chunks (signed uploads have them); a
// body that is mostly extension makes the proxy read without end for nothing.
void ChunkedDecoder::on_size_end() {
  padding_ += line_size_;
  padding_ -= std::min(padding_, remaining_);
  if (padding_ > kPaddingMax) return refuse(400, "the body is mostly chunk extensions");
  line_size_ = 0;
  size_digits_ = 0;
  if (remaining_ == 0) state_ = State::kTrailerStart;
}

// A line of the trailer section is complete: checked, and dropped if it must not pass.
void ChunkedDecoder::on_trailer_line() {
  const std::string_view line = std::string_view(trailers_).substr(trailer_line_start_);
  const size_t name_size = span_of(line, character::kToken);
  if (name_size == 0 || name_size == line.size() || line[name_size] != ':') {
    return refuse(400, "invalid field line in the trailers");
  }
  if (++trailer_lines_ > kTrailerLinesMax)
    return refuse(431, "too many field lines in the trailers");
  if (forbidden_in_trailers(line.substr(0, name_size))) {
    trailers_.resize(trailer_line_start_);
  } else {
    trailers_.append("\r\n");
    trailer_line_start_ = trailers_.size();
  }
}

void ChunkedDecoder::expect(char got, char wanted, State next, const char* why) {
  if (got != wanted) return refuse(400, why);
  state_ = next;
}

void ChunkedDecoder::refuse(uint16_t status, const char* why) {
  state_ = State::kError;
  reject_ = {status, why};
}

}  // namespace shunt::proxy
