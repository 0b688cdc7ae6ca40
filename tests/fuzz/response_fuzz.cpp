// Answers from any bytes: reading them in pieces gives what reading them whole gives, and what is
// passed on is, for a strict reader that shares no code with the codec, exactly one answer with the
// same body.
#include <cstdint>
#include <string>
#include <string_view>

#include "core/assert.h"
#include "support/codec_reader.h"
#include "support/strict_http.h"

using namespace shunt;
using test::CodecReader;
using test::Reading;
using test::StrictReader;
using test::StrictReading;

namespace {

// Small ones, so that the fuzzer finds them.
constexpr proxy::HeadLimits kLimits{.line_max = 200, .head_max = 1000, .fields_max = 12};

}  // namespace

// The first byte says where to cut, the second whether it answers HEAD and whether the connection
// ends behind it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const bool head = (data[1] & 1) != 0;
  const bool closed = (data[1] & 2) != 0;
  const proxy::Method method = head ? proxy::Method::kHead : proxy::Method::kGet;
  const auto read = [&](size_t first, size_t step) {
    return CodecReader({bytes, first, step, closed}, kLimits).response(method);
  };
  const Reading whole = read(0, 0);
  SHUNT_ASSERT(read(data[0], 0) == whole);
  SHUNT_ASSERT(read(1, 1) == whole);
  if (whole.outcome == Reading::kRejected && !whole.head_complete)
    SHUNT_ASSERT(whole.reject.status == 502);
  if (whole.outcome != Reading::kComplete) return 0;
  SHUNT_ASSERT(whole.framing != proxy::Framing::kUntilClose || (closed && !whole.keep_alive));
  const std::string sent = test::as_sent(whole);
  const StrictReading strict = StrictReader::response(sent, head);
  SHUNT_ASSERT(strict.outcome == StrictReading::kComplete);
  SHUNT_ASSERT(strict.message.consumed == sent.size());
  SHUNT_ASSERT(strict.message.body == whole.body);
  return 0;
}
