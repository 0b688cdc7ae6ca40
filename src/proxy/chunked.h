// Decoder for the chunked transfer coding (RFC 9112 §7.1), strict: CRLF only, hex size without sign
// or white space, limits on sizes, extensions and trailers. Chunk extensions are dropped, as a
// recipient may. Pure.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/message.h"

namespace shunt::proxy {

class ChunkedDecoder {
 public:
  enum class Status : uint8_t { kMore, kDone, kReject };

  struct Step {
    Status status = Status::kMore;
    size_t consumed = 0;  // Bytes of the input used; on kDone the rest belongs to the next message.
    uint32_t pieces = 0;  // Elements of `pieces` filled with body bytes (views into the input).
    size_t body = 0;      // Their total size.
  };

  // Decodes until the input ends, the body ends, or `pieces` is full (then consumed < input.size():
  // call again).
  Step decode(std::string_view input, std::span<iovec> pieces);

  // Bytes of the current chunk that have not arrived yet: what may be spliced without looking. 0
  // between chunks.
  uint64_t chunk_remaining() const;
  // Tells the decoder that `size` <= chunk_remaining() bytes of chunk data went past it.
  void skip(uint64_t size);

  Reject reject() const { return reject_; }
  // After kDone: trailer field lines that may be forwarded, each ending in CRLF, forbidden ones
  // (framing, routing, connection, RFC 9110 §6.5.1) left out. Empty mostly.
  std::string_view trailers() const { return trailers_; }

 private:
  enum class State : uint8_t {
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kEndLf,
    kDone,
    kError
  };

  // Takes bytes of everything but chunk data; returns how many it used.
  size_t decode_syntax(std::string_view input);
  size_t decode_extension(std::string_view input);
  size_t decode_trailer(std::string_view input);
  void on_size_digit(char digit);
  void on_size_end();
  void on_trailer_line();
  void expect(char got, char wanted, State next, const char* why);
  void refuse(uint16_t status, const char* why);

  State state_ = State::kSizeFirst;
  uint64_t remaining_ = 0;
  uint32_t line_size_ = 0;  // Bytes of the current extension, for the limits.
  uint32_t size_digits_ = 0;
  uint64_t padding_ = 0;  // Extension bytes that no data pays for; see on_size_end().
  uint32_t trailer_lines_ = 0;
  uint32_t trailer_size_ = 0;      // Of all trailer lines, dropped ones included.
  size_t trailer_line_start_ = 0;  // In trailers_.
  std::string trailers_;           // Lines that may pass, and the one that is arriving.
  Reject reject_;
};

}  // namespace shunt::proxy
