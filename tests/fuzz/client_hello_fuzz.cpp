// ClientHellos from any bytes: half of one is never more than incomplete, what follows it does not
// matter, its name is one that a rule can match, and waiting for one ends.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/assert.h"
#include "io/client_hello.h"

using namespace shunt;
using io::ClientHello;
using Status = ClientHello::Status;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ClientHello hello = io::parse_client_hello(bytes);
  if (hello.status == Status::kIncomplete) SHUNT_ASSERT(size < io::kClientHelloMax);
  SHUNT_ASSERT((hello.status == Status::kMalformed) == (*hello.why != '\0'));
  if (hello.status != Status::kComplete) {
    SHUNT_ASSERT(hello.name().empty());
    return 0;
  }
  SHUNT_ASSERT(std::ranges::none_of(hello.name(), [](char c) { return c >= 'A' && c <= 'Z'; }));
  // The shortest prefix that is complete, and from there on nothing changes.
  size_t low = 0;
  size_t high = size;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const Status status = io::parse_client_hello(bytes.substr(0, middle)).status;
    SHUNT_ASSERT(status == Status::kComplete || status == Status::kIncomplete);
    if (status == Status::kComplete) high = middle;
    if (status == Status::kIncomplete) low = middle + 1;
  }
  const ClientHello shortest = io::parse_client_hello(bytes.substr(0, low));
  SHUNT_ASSERT(shortest.status == Status::kComplete && shortest.name() == hello.name());
  const std::string longer = std::string(bytes) + '\x15';
  SHUNT_ASSERT(io::parse_client_hello(longer).name() == hello.name());
  return 0;
}
