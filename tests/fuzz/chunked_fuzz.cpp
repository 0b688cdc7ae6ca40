// Chunked bodies from any bytes: the same in any pieces, with any number of them asked for at once
// and with data skipped instead of read; what it accepts is sound when sent on, and what a strict
// reader accepts it accepts.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/assert.h"
#include "proxy/chunked.h"
#include "support/codec_reader.h"
#include "support/strict_http.h"

using namespace shunt;
using proxy::ChunkedDecoder;
using Status = ChunkedDecoder::Status;

namespace {

struct Decoded {
  Status status = Status::kMore;
  std::string body;
  std::string trailers;
  size_t consumed = 0;
  bool operator==(const Decoded&) const = default;
};

// With `skipping`, chunk data of which the decoder knows goes past it, as spliced data does.
Decoded decode(std::string_view input, size_t step, size_t piece_count, bool skipping) {
  ChunkedDecoder decoder;
  std::array<iovec, 8> pieces;
  Decoded result;
  while (result.status == Status::kMore && result.consumed < input.size()) {
    const std::string_view rest = input.substr(result.consumed);
    if (skipping && decoder.chunk_remaining() > 0) {
      const auto size =
          static_cast<size_t>(std::min<uint64_t>(rest.size(), decoder.chunk_remaining()));
      result.body += rest.substr(0, size);
      decoder.skip(size);
      result.consumed += size;
      continue;
    }
    const auto one =
        decoder.decode(rest.substr(0, step), std::span<iovec>{pieces}.first(piece_count));
    SHUNT_ASSERT(one.consumed <= rest.size());
    for (uint32_t i = 0; i < one.pieces; ++i) {
      result.body.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    }
    result.consumed += one.consumed;
    result.status = one.status;
    SHUNT_ASSERT((one.status == Status::kReject) == (decoder.reject().why[0] != 0));
  }
  result.trailers = decoder.trailers();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Decoded whole = decode(bytes, bytes.size(), 8, false);
  SHUNT_ASSERT(decode(bytes, 1, 1, false) == whole);
  SHUNT_ASSERT(decode(bytes, 5, 2, false) == whole);
  SHUNT_ASSERT(decode(bytes, 3, 1, true) == whole);

  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  if (whole.status == Status::kDone) {
    test::Reading reading;
    reading.framing = proxy::Framing::kChunked;
    reading.forwarded = head;
    reading.body = whole.body;
    reading.trailers = whole.trailers;
    const std::string sent = test::as_sent(reading);
    const auto strict = test::StrictReader::request(sent);
    SHUNT_ASSERT(strict.outcome == test::StrictReading::kComplete);
    SHUNT_ASSERT(strict.message.body == whole.body);
    SHUNT_ASSERT(strict.message.consumed == sent.size());
  }
  const std::string request = head + std::string(bytes);
  const auto strict = test::StrictReader::request(request);
  // Below the limits that the strict reader does not have: 16 digits, 64 trailer lines.
  if (strict.outcome == test::StrictReading::kComplete && size < 100 &&
      bytes.find("0000000") == std::string_view::npos) {
    SHUNT_ASSERT(whole.status == Status::kDone);
    SHUNT_ASSERT(whole.body == strict.message.body);
    SHUNT_ASSERT(whole.consumed + head.size() == strict.message.consumed);
  }
  return 0;
}
