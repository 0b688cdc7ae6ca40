// PROXY headers from any bytes: what follows a header does not matter, half of one is never more
// than incomplete, and what one tells can be told on.
#include <cstdint>
#include <string_view>

#include "core/assert.h"
#include "io/proxy_protocol.h"

using namespace shunt;
using io::ProxyParse;
using Status = ProxyParse::Status;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyParse parse = io::parse_proxy_header(bytes);
  if (parse.status == Status::kIncomplete) SHUNT_ASSERT(size < io::kProxyHeaderMax);
  if (parse.status != Status::kComplete) return 0;
  const size_t length = parse.header.size;
  SHUNT_ASSERT(length <= size);
  SHUNT_ASSERT(length <= io::kProxyHeaderMax);
  SHUNT_ASSERT(io::parse_proxy_header(bytes.substr(0, length)).status == Status::kComplete);
  for (const size_t part : {size_t{0}, length / 2, length - 1}) {
    SHUNT_ASSERT(io::parse_proxy_header(bytes.substr(0, part)).status == Status::kIncomplete);
  }
  if (!parse.header.told) return 0;
  const auto& [source, destination] = *parse.header.told;
  for (const int version : {1, 2}) {
    char out[io::kProxyHeaderWritten];
    const size_t written = io::write_proxy_header(version, source, destination, out);
    const ProxyParse again = io::parse_proxy_header({out, written});
    SHUNT_ASSERT(again.status == Status::kComplete);
    if (source.family() != destination.family()) continue;
    SHUNT_ASSERT(again.header.told.has_value());
    SHUNT_ASSERT(again.header.told->source == source);
    SHUNT_ASSERT(again.header.told->destination == destination);
  }
  return 0;
}
