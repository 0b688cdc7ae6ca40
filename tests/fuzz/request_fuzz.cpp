// Requests from any bytes: reading them in pieces gives what reading them whole gives, and what is
// passed on is, for a strict reader that shares no code with the codec, exactly one request: the
// same method, target and body.
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

Reading read(std::string_view bytes, size_t first, size_t step) {
  return CodecReader({bytes, first, step}, kLimits)
      .request({.client_ip = "2001:db8::1", .host = "server"});
}

void check_forwarded(const Reading& reading) {
  const std::string sent = test::as_sent(reading);
  const StrictReading strict = StrictReader::request(sent);
  SHUNT_ASSERT(strict.outcome == StrictReading::kComplete);
  SHUNT_ASSERT(strict.message.consumed == sent.size());
  SHUNT_ASSERT(strict.message.body == reading.body);
  SHUNT_ASSERT(strict.message.all("x-forwarded-for").size() == 1);
  SHUNT_ASSERT(strict.message.all("connection").empty());
  // What Shunt sends, Shunt reads the same way.
  const Reading again = CodecReader({sent}, {.head_max = 16384}).request();
  SHUNT_ASSERT(again.outcome == Reading::kComplete);
  SHUNT_ASSERT(again.consumed == sent.size());
  SHUNT_ASSERT(again.body == reading.body);
  SHUNT_ASSERT(again.keep_alive);
  const auto line_of = [](const std::string& head) { return head.substr(0, head.find('\r')); };
  SHUNT_ASSERT(line_of(again.forwarded) == line_of(reading.forwarded));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Reading whole = read(bytes, 0, 0);
  SHUNT_ASSERT(read(bytes, data[0], 0) == whole);
  SHUNT_ASSERT(read(bytes, 1, 1) == whole);
  if (whole.outcome == Reading::kComplete) check_forwarded(whole);
  SHUNT_ASSERT(whole.forwarded.size() <= bytes.size() + proxy::kHeadGrowthMax);
  if (whole.outcome == Reading::kRejected)
    SHUNT_ASSERT(whole.reject.status >= 400 && whole.reject.status < 600);
  return 0;
}
